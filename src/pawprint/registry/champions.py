"""Changing the champion, alone on a local store and carefully on a server's."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from pawprint.registry.decision import Decision
from pawprint.system.errors import UserError
from pawprint.tracking.history import (
    REGISTER,
    ROLLBACK,
    Event,
    missing_event,
    now,
    standing,
)

if TYPE_CHECKING:
    from pawprint.tracking.registry import Registry, Version

log = logging.getLogger(__name__)


def line_of_champions(registry: Registry, champion: Version | None) -> list[Event]:
    """The line of champions, oldest first, with the event that a killed process did not write.

    Args:
        registry: where it stands; nothing is changed in it.
        champion: who has the alias now.
    """
    line = registry.events()
    if champion is not None:
        missing = missing_event(line, champion.number, champion.tags, registry.newest())
        line += [missing] if missing else []
    return line


def mend(registry: Registry) -> list[Event]:
    """Write the event that a killed process did not; returns the line of champions."""
    line = line_of_champions(registry, registry.champion())
    for event in line[len(registry.events()) :]:
        registry.record(event)
    return line


def settle(
    registry: Registry,
    version: Version,
    decide: Callable[[Version | None, list[Event]], Decision],
) -> tuple[Decision, int | None]:
    """Decide on a version and make it champion where it is promoted.

    On a server another process can change the champion meanwhile: then it is decided anew.

    Args:
        registry: where the version is.
        version: the challenger.
        decide: what to decide, from the champion and the line of champions.

    Returns:
        The decision, and the number of who is champion now, None if nobody.
    """
    while True:
        line = mend(registry)
        champion = registry.champion()
        before = champion.number if champion else None
        decision = decide(champion, line)
        changes = decision.promoted and before != version.number
        decision = decision.dated({} if changes else version.tags, now())
        registry.set_tags(version, decision.as_tags())
        if not changes:
            return decision, before
        if registry.has_champion(before):
            newest = registry.newest()
            event = Event(
                version.number, decision.decided, REGISTER, before, decision.reason, newest
            )
            registry.crown(event)
            return decision, version.number
        log.info("the champion has changed meanwhile; comparing with the new one")


def roll_back(registry: Registry, announce: Callable[[Event], None]) -> Event:
    """Make the champion before the last one champion again; returns that event.

    Args:
        registry: where they are.
        announce: called before anything is changed in the registry.

    Raises:
        UserError: there is none, or its files are gone.
    """
    with registry.alone():
        line = mend(registry)
        champion = registry.champion()
        champions = standing(line)
        if champion is None and not champions:
            raise registry.no_champion()
        if len(champions) < 2:
            raise UserError(
                f"version {champions[-1]} of {registry.model} has no champion before it to go back "
                "to; train another network with `dvc repro`"
            )
        number, last = champions[-2], champions[-1]
        earlier = registry.version(number)
        if earlier is None or registry.network(earlier) is None:
            raise UserError(
                f"version {number} of {registry.model} was champion before version {last}, but its "
                f"files are gone; version {last} stays, train another network with `dvc repro`"
            )
        if not registry.has_champion(champion.number if champion else None):
            raise UserError(
                f"the champion of {registry.model} has changed meanwhile; look with "
                "`pawprint champion` and roll back again"
            )
        why = f"version {last} was rolled back"
        event = Event(number, now(), ROLLBACK, last, why, registry.newest())
        announce(event)
        registry.crown(event)
        if (left := registry.version(last)) is not None:
            registry.set_tags(left, {"rolled_back": event.at})
        return event
