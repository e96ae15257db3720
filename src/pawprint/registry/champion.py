"""Who is champion: a challenger is registered and compared, one is promoted, or rolled back.

The champion's network and a record of it are in `models/champion` too, for whoever has no store.
On a local store a lock keeps another process waiting. On a server, which no lock reaches, a
champion that changed meanwhile is noticed before the alias is given away.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pawprint.config.paths import Paths
from pawprint.config.schema import Gate
from pawprint.data.store import Split, Summary
from pawprint.evaluation.paired import compare_paired
from pawprint.inference.predictor import Predictor
from pawprint.registry.description import describe, describe_champion
from pawprint.registry.gate import ALWAYS, KEPT, PROMOTED, Decision, apply_gate, decision_in
from pawprint.registry.history import (
    HAND,
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
from pawprint.registry.source import (
    CARD_FILE,
    RECORD,
    Source,
    champion_file,
    is_version,
    record_of,
    with_class_note,
)
from pawprint.system.errors import UserError
from pawprint.system.files import replacing_file, sha256_of, write_json
from pawprint.tracking.location import no_champion, no_version
from pawprint.tracking.names import CARD, CHALLENGER, LONGEST_TAG, NETWORK_FILE, NETWORK_TAG
from pawprint.tracking.registry import Registry, Version, artifact_text

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
        network: its file.
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
    network: Path


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
        outcome = decide_and_record(registry, version, challenger)
        keep_champion(registry, outcome.champion, challenger.paths.champion)
        describe(registry, version, outcome.champion)
        return outcome


def keep_champion(registry: Registry, number: int | None, folder: Path) -> None:
    """Write the network of version ``number``, its record and its model card into ``folder``.

    Nothing is written where the network and the record are there.

    The folder itself stays, as a container may have it mounted; killed in between, network and
    record do not fit together, and the next call writes both.

    Args:
        registry: where the network comes from; one that is gone leaves the folder as it is.
        number: of the champion; None for nobody, for which the folder is made, as DVC expects it.
        folder: as ``Paths.champion``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    version = registry.version(number) if number is not None else None
    if version is None or _kept(registry, version, folder):
        return
    if (network := registry.network(version)) is None:
        return
    content = network.read_bytes()
    with replacing_file(folder / NETWORK_FILE) as temporary:
        temporary.write_bytes(content)
    record = record_of(content, registry.model, version.number, version.run_id, version.tags)
    write_json(folder / RECORD, record)
    card = artifact_text(registry.client, version.run_id, CARD) if version.run_id else None
    (folder / CARD_FILE).unlink(missing_ok=True)
    if card is not None:
        with replacing_file(folder / CARD_FILE) as temporary:
            temporary.write_text(card, encoding="utf-8", errors="surrogateescape")


def _kept(registry: Registry, version: Version, folder: Path) -> Path | None:
    """The network in ``folder`` where it is that version's, else None."""
    kept = champion_file(folder, registry.model)
    same = kept and is_version(kept, number=version.number, run_id=version.run_id)
    return kept.network if kept and same else None


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

    alone = f"test accuracy {correct.mean():.4f} on {len(correct):,} pictures"

    # Who is to be beaten: nobody, where there is no champion.
    rival = _rival(registry, champion, challenger)
    if rival is None:
        why = "there is no champion" if history or version.number > 1 else "first version"
        return _decision(gate, f"{why}, {alone}", hindrances, passes=True)
    if rival.network is None:
        sentence = (
            f"the network of {rival.name} is gone from {rival.place}, so that nothing can be "
            "compared with it; bring it back, or promote this one with `pawprint register "
            f"gate=always`; {alone}"
        )
        return _decision(gate, sentence, hindrances, passes=gate.name == ALWAYS)
    if champion is None and rival.network.read_bytes() == challenger.network.read_bytes():
        return _decision(gate, f"it is {rival.name}, {alone}", hindrances, passes=True)
    predictor, class_names = Predictor(rival.network), challenger.summary.class_names
    unknown = [name for name in class_names if name not in predictor.class_names]
    if unknown:
        sentence = (
            f"{rival.name} knows {len(class_names) - len(unknown)} of the {len(class_names)} "
            f"classes of the test pictures, not {unknown[0]}, and is no rival; {alone}"
        )
        return _decision(gate, sentence, hindrances, passes=True)

    # Score the champion on the same test pictures, and apply the gate.
    rival_correct = correct_by_network(
        predictor, challenger.test, challenger.summary, challenger.paths
    )
    paired = compare_paired(rival_correct, correct)
    verdict = apply_gate(gate, paired)
    notes = []
    if len(predictor.class_names) > len(class_names):
        notes.append("which lack some of its classes")
    if rival.test_digest != challenger.summary.splits["test"].digest:
        notes.append("from which the champion may have learned")
    differing = f" ({'; '.join(notes)})" if notes else ""
    sentence = (
        f"{verdict.relation} {rival.name} on the same {paired.pictures:,} test pictures"
        f"{differing}: accuracy {correct.mean():.4f} against "
        f"{rival_correct.mean():.4f}, difference {paired.difference:+.4f} (95 % interval "
        f"{paired.low:+.4f} to {paired.high:+.4f}, McNemar's p = {paired.p_value:.3g})"
    )
    decision = _decision(gate, sentence, hindrances, passes=verdict.passes)
    return decision.with_comparison(paired, champion.number if champion else None)


@dataclass(frozen=True)
class _Rival:
    """Who answers until now: what to call it, its network if that is not gone, and its pictures."""

    name: str
    network: Path | None
    place: str
    test_digest: str | None


def _rival(registry: Registry, champion: Version | None, challenger: Challenger) -> _Rival | None:
    """The champion; without one in the registry, as in a clone, that of `models/champion`."""
    folder = challenger.paths.champion
    if champion is None:
        kept = champion_file(folder, registry.model)
        if kept is None:
            return None
        name = f"{kept.name} in {folder}, which this registry does not have"
        return _Rival(name, kept.network, str(folder), kept.tags.get("test_digest"))
    network = registry.network(champion) or _kept(registry, champion, folder)
    return _Rival(
        f"champion version {champion.number}",
        network,
        registry.folder_of(champion),
        champion.tags.get("test_digest"),
    )


def _decision(gate: Gate, sentence: str, hindrances: Sequence[str], *, passes: bool) -> Decision:
    passes = passes and not hindrances
    outcome = "champion" if passes else "challenger only"
    reason = "; ".join([*hindrances, f"{sentence}: {outcome}"])
    return Decision(PROMOTED if passes else KEPT, reason, gate.name)


def promote(registry: Registry, which: str, reason: str, folder: Path) -> Event:
    """Make a version champion on purpose, whatever the gate said of it; returns that event.

    Other classes than those of the prepared pictures are told in the log.

    Args:
        registry: where it is.
        which: the version's number, or an alias.
        reason: why, in a person's words.
        folder: as ``Paths.champion``.

    Raises:
        UserError: there is no such version, it is champion already, its network is gone or not
            whole, or another process changed the champion meanwhile.
    """
    with registry.lock():
        version = registry.find(which)
        if version is None:
            raise no_version(registry.model, which, registry.address)
        champion = registry.champion()
        before = champion.number if champion else None
        if before == version.number:
            raise UserError(f"version {before} of {registry.model} is champion already")
        for note in with_class_note(*_whole(registry, version, folder)).notes:
            log.warning("%s", note)
        repair_history(registry, champion)

        # What the gate said stays beside it.
        why, earlier = f"promoted by hand: {reason}", decision_in(version.tags)
        decision = earlier or Decision(PROMOTED, why, HAND)
        said = f"{why}; {decision.policy} had said: {decision.reason}" if earlier else why
        event = Event(version.number, now(), HAND, before, why, registry.newest())
        decision = replace(
            decision, verdict=PROMOTED, reason=said[:LONGEST_TAG], policy=HAND, decided=event.at
        )
        if not registry.has_champion(before):
            raise UserError(
                f"the champion of {registry.model} has changed meanwhile; look with "
                "`pawprint champion` and promote again"
            )
        registry.set_tags(version, decision.as_tags())
        change_champion(registry, event)
        keep_champion(registry, version.number, folder)
        registry.tag_run(version, decision.as_run_tags())
        describe(registry, version, version.number)
        return event


def _whole(registry: Registry, version: Version, folder: Path) -> tuple[Source, list[str]]:
    """A version's network, and its classes.

    Raises:
        UserError: it is gone, broken, or another than was registered.
    """
    name = f"version {version.number} of {registry.model}"
    network = registry.network(version) or _kept(registry, version, folder)
    if network is None:
        raise UserError(
            f"the network of {name} is gone from {registry.folder_of(version)}; bring it back, or "
            "promote another version, of those that `mlflow ui` shows"
        )
    class_names = Predictor(network).class_names
    if sha256_of(network) != version.tags.get(NETWORK_TAG, sha256_of(network)):
        raise UserError(
            f"{network} is not the network that was registered as {name}, but another file; "
            "bring that back, or promote another version, of those that `mlflow ui` shows"
        )
    source = Source(f"{registry.model} version {version.number}", network, registry.model)
    return source, class_names


def _plan_rollback(registry: Registry) -> Event:
    """The event that makes the champion before the last one champion again.

    Raises:
        UserError: there is none, or it or its network is gone.
    """
    champion = registry.champion()
    champions = rollback_stack(repair_history(registry, champion))
    if champion is None and not champions:
        raise no_champion(registry.model, registry.address)
    if len(champions) < 2:
        is_there = registry.version(champions[-1]) is not None
        raise UserError(
            f"version {champions[-1]} of {registry.model}{'' if is_there else ' was deleted, and'} "
            "has no champion before it to go back to; promote another version with `pawprint "
            "champion --promote`"
        )
    number, last = champions[-2], champions[-1]
    earlier = registry.version(number)
    gone = "that version was deleted"
    if earlier is not None:
        gone = f"its network is gone from {registry.folder_of(earlier)}"
    if earlier is None or registry.network(earlier) is None:
        raise UserError(
            f"version {number} of {registry.model} was champion before version {last}, but {gone}; "
            "give the alias champion to another version in `mlflow ui`, or train another network "
            "with `dvc repro`"
        )
    if not registry.has_champion(champion.number if champion else None):
        raise UserError(
            f"the champion of {registry.model} has changed meanwhile; look with "
            "`pawprint champion` and roll back again"
        )
    why = f"version {last} was rolled back"
    return Event(number, now(), ROLLBACK, last, why, registry.newest())


def roll_back(registry: Registry, folder: Path) -> Event:
    """Make the champion before the last one champion again; returns that event.

    Args:
        registry: where they are.
        folder: as ``Paths.champion``, written first: killed in between, `register` finds another
            version there than the champion, and mends that.

    Raises:
        UserError: there is none, or it or its network is gone.
    """
    with registry.lock():
        event = _plan_rollback(registry)
        keep_champion(registry, event.version, folder)
        change_champion(registry, event)
        if event.before is not None and (left := registry.version(event.before)) is not None:
            registry.set_tags(left, {"rolled_back": event.at})
        describe_champion(registry, event.version)
        return event
