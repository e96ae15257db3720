"""Who is champion: a challenger is registered and compared, a champion rolled back.

On a local store a lock keeps another process waiting. On a server, which no lock reaches, a
champion that changed meanwhile is noticed before the alias is given away.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pawprint.config.paths import Paths
from pawprint.config.schema import Gate
from pawprint.data.store import Split, Summary
from pawprint.evaluation.paired import compare_paired
from pawprint.inference.predictor import Predictor
from pawprint.registry.gate import ALWAYS, KEPT, PROMOTED, Decision, apply_gate, decision_in
from pawprint.registry.history import (
    REGISTER,
    ROLLBACK,
    Event,
    change_champion,
    held_back,
    now,
    repair_history,
    rollback_stack,
)
from pawprint.registry.scoring import correct_by_network
from pawprint.system.errors import UserError
from pawprint.tracking.names import CHALLENGER, no_champion
from pawprint.tracking.registry import Registry, Version

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Challenger:
    """An evaluated network that is to be registered, and what the decision on it rests on.

    Attributes:
        run_id: the run that trained it.
        model_id: of MLflow's logged model.
        tags: for its version: where it comes from and how well it does.
        correct: bool (n,): whether it got each test picture right.
        broken_limit: the gate's limit that it does not keep, in words; None where it keeps all.
        gate: the policy.
        test: the test pictures.
        summary: of the prepared folder that they are in.
        paths: of the project.
    """

    run_id: str
    model_id: str
    tags: Mapping[str, Any]
    correct: np.ndarray
    broken_limit: str | None
    gate: Gate
    test: Split
    summary: Summary
    paths: Paths


@dataclass(frozen=True)
class Registration:
    """A challenger's version, the decision on it, and the version that is champion, if any."""

    version: int
    decision: Decision
    champion: int | None


def register_challenger(registry: Registry, challenger: Challenger) -> Registration:
    """Register a network as challenger; it is champion where the gate lets it pass.

    Interrupted anywhere, the registry is consistent, and the next time goes on from there: a
    version is registered once, and an event that is missing is written.
    """
    with registry.lock():
        version = registry.add_version(challenger.run_id, challenger.model_id, challenger.tags)
        registry.set_alias(CHALLENGER, version.number)
        return decide_and_record(registry, version, challenger)


def decide_and_record(registry: Registry, version: Version, challenger: Challenger) -> Registration:
    """Decide on a version and make it champion where it is promoted.

    On a server another process can change the champion meanwhile: then it is decided anew.
    """
    while True:
        champion = registry.champion()
        before = champion.number if champion else None
        history = repair_history(registry, champion)

        # Score both, apply the gate, decide.
        decision = decide(registry, version, champion, history, challenger)
        changes = decision.promoted and before != version.number
        decision = decision.dated({} if changes else version.tags, now())

        # Record the decision on the version, and then the change of champion.
        registry.set_tags(version, decision.as_tags())
        if not changes:
            return Registration(version.number, decision, before)
        if registry.has_champion(before):
            at, newest = decision.decided, registry.newest()
            event = Event(version.number, at, REGISTER, before, decision.reason, newest)
            change_champion(registry, event)
            return Registration(version.number, decision, version.number)
        log.info("the champion has changed meanwhile; comparing with the new one")


def decide(
    registry: Registry,
    version: Version,
    champion: Version | None,
    history: Sequence[Event],
    challenger: Challenger,
) -> Decision:
    """Whether a version is to be champion: alone, or by the test pictures that both answered.

    Args:
        registry: where the champion's network is; nothing is changed in it.
        version: of the challenger.
        champion: who has the alias now, None if nobody.
        history: of champions, the last event that of ``champion``.
        challenger: with the gate.
    """
    gate, correct = challenger.gate, challenger.correct

    # A champion that is registered again stays what it is.
    if champion is not None and champion.number == version.number:
        if challenger.broken_limit:
            log.warning("%s; it is champion already, and stays", challenger.broken_limit)
        earlier = decision_in(version.tags)
        if earlier and earlier.promoted:
            return earlier
        return Decision(PROMOTED, f"is champion already: {history[-1].why}", gate.name)

    # What keeps it from being champion, however well it does.
    held = None if gate.name == ALWAYS else held_back(history, version.number)
    hindrances = [words for words in (held, challenger.broken_limit) if words]

    # Without another network nothing else does.
    network = registry.network(champion) if champion is not None else None
    if champion is None or network is None:
        if champion is not None:
            why = f"the files of champion version {champion.number} are gone"
        else:
            why = "there is no champion" if history or version.number > 1 else "first version"
        sentence = f"{why}, test accuracy {correct.mean():.4f} on {len(correct):,} pictures"
        return _decision(gate, sentence, hindrances, passes=True)

    # Score the champion on the same test pictures, and apply the gate.
    champion_correct = correct_by_network(
        Predictor(network), challenger.test, challenger.summary, challenger.paths
    )
    paired = compare_paired(champion_correct, correct)
    verdict = apply_gate(gate, paired)
    notes = _notes_on_pictures(champion, challenger.summary)
    sentence = (
        f"{verdict.relation} champion version {champion.number} on the same {paired.pictures:,} "
        f"test pictures{notes}: accuracy {correct.mean():.4f} against "
        f"{champion_correct.mean():.4f}, difference {paired.difference:+.4f} (95 % interval "
        f"{paired.low:+.4f} to {paired.high:+.4f}, McNemar's p = {paired.p_value:.3g})"
    )
    decision = _decision(gate, sentence, hindrances, passes=verdict.passes)
    return decision.with_comparison(paired, champion.number)


def _notes_on_pictures(champion: Version, summary: Summary) -> str:
    """How the test pictures differ from those of the champion, in words that follow them."""
    notes = []
    class_names = champion.tags.get("class_names")
    if class_names != ", ".join(summary.class_names):
        notes.append(f"which have other classes than its {class_names}")
    if champion.tags.get("test_digest") != summary.splits["test"].digest:
        notes.append("from which the champion may have learned")
    return f" ({'; '.join(notes)})" if notes else ""


def _decision(gate: Gate, sentence: str, hindrances: Sequence[str], *, passes: bool) -> Decision:
    passes = passes and not hindrances
    outcome = "champion" if passes else "challenger only"
    reason = "; ".join([*hindrances, f"{sentence}: {outcome}"])
    return Decision(PROMOTED if passes else KEPT, reason, gate.name)


def roll_back(registry: Registry, announce: Callable[[Event], None]) -> Event:
    """Make the champion before the last one champion again; returns that event.

    Args:
        registry: where they are.
        announce: called before anything is changed in the registry.

    Raises:
        UserError: there is none, or its files are gone.
    """
    with registry.lock():
        champion = registry.champion()
        champions = rollback_stack(repair_history(registry, champion))
        if champion is None and not champions:
            raise no_champion(registry.model, registry.address)
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
        change_champion(registry, event)
        if (left := registry.version(last)) is not None:
            registry.set_tags(left, {"rolled_back": event.at})
        return event
