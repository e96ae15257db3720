"""The history of champions: who became champion when, how and why; tags of the registered model."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pawprint.tracking.names import CHAMPION
from pawprint.tracking.registry import Registry, Version

REGISTER = "register"
ROLLBACK = "rollback"
HAND = "hand"  # somebody promoted it on purpose, or set the alias without pawprint
PREFIX = "champion."
LONGEST_WHY = 500


@dataclass(frozen=True)
class Event:
    """A change of champion, in the registry a tag of the registered model.

    Attributes:
        version: who became champion.
        at: when, UTC in ISO 8601.
        by: register, rollback or hand.
        before: who was champion until then; None if nobody.
        why: a sentence.
        newest: the newest version there was then.
    """

    version: int
    at: str
    by: str
    before: int | None
    why: str
    newest: int

    @property
    def name(self) -> str:
        """The name of its tag, which no other event has: nothing is written over."""
        time = self.at.partition("+")[0]  # no plus in a name for MLflow
        return f"{PREFIX}{time}.{self.version}.{self.by}"

    def as_tag(self) -> str:
        """The event as JSON of one line."""
        content = {
            "version": self.version,
            "at": self.at,
            "by": self.by,
            "from": self.before,
            "why": self.why[:LONGEST_WHY],
            "newest": self.newest,
        }
        return json.dumps(content, ensure_ascii=False)


def now() -> str:
    """The time, UTC in ISO 8601 to the millisecond: as text these sort by time."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def read_history(registry: Registry, champion: Version | None) -> list[Event]:
    """The events, oldest first, with the one that a killed process did not write.

    Args:
        registry: where they are; nothing is changed in it.
        champion: who has the alias now.
    """
    history = events_of(registry.model_tags())
    if champion is not None:
        missing = missing_event(history, champion.number, champion.tags, registry.newest())
        history += [missing] if missing else []
    return history


def repair_history(registry: Registry, champion: Version | None) -> list[Event]:
    """As ``read_history``; an event that is missing in the registry is written."""
    history = read_history(registry, champion)
    for event in history[len(events_of(registry.model_tags())) :]:
        registry.set_model_tag(event.name, event.as_tag())
    return history


def change_champion(registry: Registry, event: Event) -> None:
    """Give the alias `champion` to the event's version, and record the event."""
    registry.set_alias(CHAMPION, event.version)
    registry.set_model_tag(event.name, event.as_tag())


def events_of(tags: Mapping[str, str]) -> list[Event]:
    """The events among a registered model's tags, oldest first; what is none is left out."""
    found = []
    for name, text in tags.items():
        if not name.startswith(PREFIX):
            continue
        try:
            content = json.loads(text)
            before = content["from"]
            found.append(
                Event(
                    int(content["version"]),
                    str(content["at"]),
                    str(content["by"]),
                    None if before is None else int(before),
                    str(content["why"]),
                    int(content["newest"]),
                )
            )
        except (ValueError, KeyError, TypeError):  # edited by hand
            continue
    return sorted(found, key=lambda event: event.at)


def rollback_stack(history: Sequence[Event]) -> list[int]:
    """The champions that rollbacks go through, the last one on top: a rollback takes one away."""
    stack: list[int] = []
    for event in history:
        if event.by == ROLLBACK and event.version in stack:
            while stack[-1] != event.version:
                stack.pop()
        elif stack[-1:] != [event.version]:
            stack.append(event.version)
    return stack


def missing_event(
    history: Sequence[Event], champion: int, tags: Mapping[str, str], newest: int
) -> Event | None:
    """The event that tells of this champion where the history does not; None where it does.

    A process was killed between the alias and its event, or somebody set the alias by hand.

    Args:
        history: the events that there are, oldest first.
        champion: the version that has the alias.
        tags: its tags.
        newest: the newest version.
    """
    last = history[-1] if history else None
    if last and last.version == champion:
        return None
    before = last.version if last else None
    decided = tags.get("decided", "")
    if tags.get("verdict") == "promoted" and (not last or decided > last.at):
        by = HAND if tags.get("policy") == HAND else REGISTER
        return Event(champion, decided or now(), by, before, tags.get("reason", ""), newest)
    if champion in rollback_stack(history)[:-1]:
        why = f"version {before} was rolled back"
        return Event(champion, now(), ROLLBACK, before, why, newest)
    return Event(champion, now(), HAND, before, "the alias was set without pawprint", newest)


def held_back(history: Sequence[Event], version: int) -> str | None:
    """Why a version is not promoted by registering it again, in words; None where it may be.

    After a rollback those that were there before stay out: only a new version can follow.
    """
    rolled_back: dict[int, str] = {}
    for event in history:
        rolled_back.pop(event.version, None)
        if event.by == ROLLBACK and event.before is not None:
            rolled_back[event.before] = event.at
    if version in rolled_back:
        return f"it was rolled back on {rolled_back[version]}"
    last = history[-1] if history else None
    if last and last.by == ROLLBACK and last.version != version <= last.newest:
        return f"it was there before version {last.before} was rolled back on {last.at}"
    return None
