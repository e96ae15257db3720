"""Stage register: the network becomes the challenger, and the champion if it passes the gate."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pawprint.config.compose import project_root
from pawprint.config.paths import Paths
from pawprint.config.schema import Config, Gate
from pawprint.data.store import Split, Summary, load_split, load_summary
from pawprint.inference.predictor import Predictor
from pawprint.registry.champions import settle
from pawprint.registry.decide import contested, uncontested
from pawprint.registry.decision import PROMOTED, Decision, decision_of
from pawprint.registry.gate import ALWAYS, over_limit
from pawprint.registry.scoring import challenger_right, milliseconds_per_picture, right_here
from pawprint.registry.sidecar import facts_beside
from pawprint.system.errors import UserError
from pawprint.system.files import write_json
from pawprint.tracking.history import Event, held_back

log = logging.getLogger(__name__)


def register(config: Config, paths: Paths | None = None) -> dict[str, Any]:
    """Register the evaluated network as challenger; promote it where the gate lets it pass.

    Args:
        config: the whole configuration.
        paths: where network and figures are and the decision goes. Defaults to the project's.

    Raises:
        UserError: nothing is trained or evaluated, or the tracking store does not answer.
    """
    from pawprint.tracking.registry import CHALLENGER, Registry
    from pawprint.tracking.restore import read_record, run_of
    from pawprint.tracking.store import connect, link_opened_run

    paths = paths or Paths(project_root())
    summary = load_summary(paths.prepared)
    figures = _read_figures(paths, summary)
    test = load_split(paths.prepared, "test")
    right = challenger_right(paths.evaluation / "predictions.csv", test)
    limit = _limit_broken(config.gate, paths.training.onnx, test, float(right.mean()))
    store = connect(config.tracking.uri, config.tracking.experiment)
    with store.explained():
        run = run_of(store, paths.training)
        if "test_accuracy" not in run.metrics:  # restored: evaluate came from DVC's cache too
            run.log_metrics(figures, model_id=run.tags["model_id"])
            run.log_files(paths.evaluation, "evaluate")
        registry = Registry(store, config.tracking.registered_model)

        def decide(champion: Any, line: list[Event]) -> Decision:
            """The decision beside this champion; the line of champions ends with it."""
            if champion and champion.number == version.number:
                if limit:
                    log.warning("%s; it is champion already, and stays", limit)
                return _as_before(config.gate, version.tags, line)
            held = None if config.gate.name == ALWAYS else held_back(line, version.number)
            hindrances = [words for words in (held, limit) if words]
            if champion is None:
                why = "there is no champion" if line or version.number > 1 else "first version"
                return uncontested(config.gate, right, why, hindrances)
            network = registry.network(champion)
            if network is None:
                why = f"the files of champion version {champion.number} are gone"
                return uncontested(config.gate, right, why, hindrances)
            theirs = right_here(Predictor(network), test, summary, paths)
            classes = champion.tags.get("class_names")
            notes = []
            if classes != ", ".join(summary.class_names):
                notes.append(f"which have other classes than its {classes}")
            if champion.tags.get("test_digest") != summary.splits["test"].digest:
                notes.append("from which the champion may have learned")
            return contested(config.gate, right, theirs, champion.number, hindrances, notes)

        with registry.alone():
            tags = _tags(figures, summary, read_record(paths.training.run)["tags"])
            version = registry.version_of(run.id, run.tags["model_id"], tags)
            registry.point(CHALLENGER, version)
            decision, champion = settle(registry, version, decide)
    _tell_run(run, version.number, decision)
    log.info(
        "version %d of %s, decided %s: %s",
        *(version.number, registry.model, decision.decided, decision.reason),
    )
    content = {
        "model": registry.model,
        "version": version.number,
        "run_id": run.id,
        "champion": champion,
        **asdict(decision),
        **facts_beside(paths.training.onnx.read_bytes(), tags),
    }
    write_json(paths.registered, content)
    link_opened_run(store, run, "register")
    return content


def _read_figures(paths: Paths, summary: Summary) -> dict[str, float]:
    """The figures of evaluate, which must be of this training and of these test pictures."""
    from pawprint.tracking.restore import read_record

    trained = read_record(paths.training.run)["run_id"]
    path, intervals = (paths.evaluation / name for name in ("metrics.json", "intervals.json"))
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))
        float(figures["test_accuracy"])
        if intervals.is_file():
            figures |= json.loads(intervals.read_text(encoding="utf-8"))
        evaluated = json.loads(paths.evaluated.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError):
        evaluated = None
    if evaluated != {"run_id": trained, "test_digest": summary.splits["test"].digest}:
        raise UserError(
            f"{path} has no figures of this network on these test pictures; evaluate first with "
            "`dvc repro evaluate` or `pawprint evaluate`"
        )
    return figures


def _limit_broken(gate: Gate, network: Path, test: Split, accuracy: float) -> str | None:
    """The gate's limit that this network does not keep, in words."""
    milliseconds = None
    if gate.max_milliseconds is not None:
        milliseconds = milliseconds_per_picture(Predictor(network), test.pictures[0])
    return over_limit(
        accuracy,
        network.stat().st_size / 1e6,
        milliseconds,
        min_accuracy=gate.min_accuracy,
        max_megabytes=gate.max_megabytes,
        max_milliseconds=gate.max_milliseconds,
    )


def _as_before(gate: Gate, tags: Mapping[str, str], line: list[Event]) -> Decision:
    """What made this version champion stays as it was decided."""
    earlier = decision_of(tags)
    if earlier and earlier.promoted:
        return earlier
    return Decision(PROMOTED, f"is champion already: {line[-1].why}", gate.name)


def _tags(
    figures: Mapping[str, float], summary: Summary, trained: Mapping[str, str]
) -> dict[str, Any]:
    """Where a version comes from and how well it does, whatever becomes of it."""
    return {
        **{name: figure for name, figure in figures.items() if figure is not None},
        "test_digest": summary.splits["test"].digest,
        "data_digest": trained["data_digest"],
        "class_names": trained["class_names"],
        "git_commit": trained.get("git_commit", "none"),
    }


def _tell_run(run: Any, version: int, decision: Decision) -> None:
    """The decision in the run that the version is of."""
    told = ("verdict", "reason", "policy", "decided", "compared_with")
    tags = {k: v for k, v in decision.as_tags().items() if k in told and v is not None}
    run.set_tags({"registered_version": str(version), **tags})
    figures = {
        "champion_difference": decision.difference,
        "champion_difference_low": decision.difference_low,
        "champion_difference_high": decision.difference_high,
        "champion_p_value": decision.p_value,
    }
    there = run.metrics
    run.log_metrics({k: v for k, v in figures.items() if v is not None and there.get(k) != v})
