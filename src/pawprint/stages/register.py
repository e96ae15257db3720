"""Stage register: the network becomes the challenger, and the champion if it passes the gate."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pawprint.config.compose import project_root
from pawprint.config.paths import Paths
from pawprint.config.schema import Config
from pawprint.data.store import Summary, load_split, load_summary
from pawprint.inference.predictor import Predictor, milliseconds_per_picture
from pawprint.registry.champion import Challenger, Registration, register_challenger
from pawprint.registry.gate import broken_limit
from pawprint.registry.scoring import correct_in_table
from pawprint.system.errors import UserError
from pawprint.tracking.names import DATA_TAG, MODEL_ID_TAG, NETWORK_TAG

if TYPE_CHECKING:
    from pawprint.tracking.run import Run

log = logging.getLogger(__name__)


def register(config: Config, paths: Paths | None = None) -> dict[str, Any]:
    """Register the evaluated network as challenger; promote it where the gate lets it pass.

    Args:
        config: the whole configuration.
        paths: where network and figures are. Defaults to the project's.

    Raises:
        UserError: nothing is trained or evaluated, or the tracking store does not answer.
    """
    from pawprint.tracking.registry import registry_of
    from pawprint.tracking.store import connect, link_opened_run
    from pawprint.tracking.trained_run import read_trained, run_of

    # What was trained and how evaluate judged it.
    paths = paths or Paths(project_root())
    summary = load_summary(paths.prepared)
    trained = read_trained(paths)
    test_digest = summary.splits["test"].digest
    metrics = _read_metrics(paths, trained, test_digest)
    test = load_split(paths.prepared, "test")
    correct = correct_in_table(paths.evaluation / "predictions.csv", test)
    network, milliseconds = paths.training.onnx, None
    if config.gate.max_milliseconds is not None:
        milliseconds = milliseconds_per_picture(Predictor(network).probabilities, test.pictures[0])
    megabytes = network.stat().st_size / 1e6
    limit = broken_limit(config.gate, float(correct.mean()), megabytes, milliseconds)

    # Its run, in which evaluate's figures are too.
    store = connect(config.tracking.uri, config.tracking.experiment)
    with store.explained():
        run = run_of(store, paths)
        if (model_id := run.tags.get(MODEL_ID_TAG)) is None:
            raise UserError(
                f"{store.shown} has no network of run {run.id}; make room there and register again"
            )
        if "test_accuracy" not in run.metrics:  # restored: evaluate came from DVC's cache too
            run.log_dataset("test", str(paths.pictures(summary.images)), test_digest, "testing")
            run.log_metrics(metrics, model_id=model_id)
            run.log_files(paths.evaluation, "evaluate")

        # Its version: scored beside the champion, through the gate, decided and recorded.
        registry = registry_of(store, config.tracking.registered_model)
        challenger = Challenger(
            run_id=run.id,
            model_id=model_id,
            tags=_version_tags(metrics, summary, trained),
            correct=correct,
            broken_limit=limit,
            gate=config.gate,
            test=test,
            summary=summary,
            paths=paths,
            network=network,
        )
        outcome = register_challenger(registry, challenger)

    # The decision in the run and in the log.
    _log_decision(run, outcome)
    decision = outcome.decision
    way = f'`pawprint champion --promote v{outcome.version} --reason "…"` makes it champion'
    log.info(
        "version %d of %s, decided %s: %s%s",
        outcome.version,
        registry.model,
        decision.decided,
        decision.reason,
        "" if decision.promoted else f"; {way} all the same",
    )
    link_opened_run(store, run, "register")
    return {"version": outcome.version, "champion": outcome.champion, **asdict(decision)}


def _read_metrics(paths: Paths, trained: Mapping[str, Any], test_digest: str) -> dict[str, float]:
    """The figures of evaluate, which must be of this network and of these test pictures."""
    wanted = {"run_id": trained["run_id"], NETWORK_TAG: trained[NETWORK_TAG]}
    wanted["test_digest"] = test_digest
    intervals = paths.evaluation / "intervals.json"
    try:
        evaluated = json.loads(paths.evaluated.read_text(encoding="utf-8"))
        metrics = evaluated["metrics"]
        float(metrics["test_accuracy"])
        if intervals.is_file():
            metrics |= json.loads(intervals.read_text(encoding="utf-8"))
        fits = wanted.items() <= evaluated.items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        fits = False
    if not fits:
        raise UserError(
            f"{paths.evaluated} has no figures of this network on these test pictures; evaluate "
            "first with `dvc repro evaluate` or `pawprint evaluate`"
        )
    return metrics


def _version_tags(
    metrics: Mapping[str, float], summary: Summary, trained: Mapping[str, Any]
) -> dict[str, Any]:
    """Where a version comes from and how well it does, whatever becomes of it."""
    tags = trained["tags"]
    return {
        **{name: value for name, value in metrics.items() if value is not None},
        **{f"{name}_pictures": split.pictures for name, split in summary.splits.items()},
        "test_digest": summary.splits["test"].digest,
        DATA_TAG: tags[DATA_TAG],
        NETWORK_TAG: trained[NETWORK_TAG],
        "class_names": tags["class_names"],
        "git_commit": tags.get("git_commit", "none"),
    }


def _log_decision(run: Run, outcome: Registration) -> None:
    """Record the decision in the run that the version is of."""
    decision = outcome.decision
    tags = {k: v for k, v in decision.as_run_tags().items() if v is not None}
    run.set_tags({"registered_version": str(outcome.version), **tags})
    metrics = {
        "champion_difference": decision.difference,
        "champion_difference_low": decision.difference_low,
        "champion_difference_high": decision.difference_high,
        "champion_p_value": decision.p_value,
    }
    run.log_metrics({k: v for k, v in metrics.items() if v is not None})
