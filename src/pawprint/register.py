"""Stage register: the network becomes the challenger, and the champion if it is better."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from pawprint.config import project_root, run_stage
from pawprint.errors import UserError
from pawprint.files import write_json
from pawprint.images.layout import find_pictures
from pawprint.images.sources.opened import name_of, opened
from pawprint.images.store import Split, Summary, load_split, load_summary
from pawprint.paths import Paths
from pawprint.schema import Config
from pawprint.serving.champion import CHAMPION
from pawprint.serving.predictor import Predictor

log = logging.getLogger(__name__)


def main() -> None:
    """Register the project's network."""
    run_stage("register", register)


def register(config: Config) -> dict[str, Any]:
    """Register the evaluated network as challenger; promote it where the champion is worse.

    Raises:
        UserError: nothing is trained or evaluated, or the tracking store does not answer.
    """
    from pawprint.tracking.provenance import provenance
    from pawprint.tracking.registry import CHALLENGER, Registry
    from pawprint.tracking.restore import run_of
    from pawprint.tracking.store import connect, link_opened_run

    paths = Paths(project_root())
    summary = load_summary(paths.prepared)
    metrics = _read_metrics(paths, summary)
    store = connect(config.tracking.uri, config.tracking.experiment)
    run = run_of(store, paths.training)
    if "test_accuracy" not in run.metrics:  # a restored run: evaluate came from DVC's cache too
        run.log_metrics(metrics)
    registry = Registry(store, config.tracking.registered_model)
    with registry.alone():
        version = registry.version_of(run.id, run.tags["model_id"])
        registry.point(CHALLENGER, version)
        champion = registry.champion()
        decision = _decide(registry, version, champion, metrics["test_accuracy"], summary, paths)
        registry.set_tags(
            version,
            {
                "test_accuracy": metrics["test_accuracy"],
                "test_digest": summary.splits["test"].digest,
                "data_digest": summary.digest,
                "class_names": ", ".join(summary.class_names),
                "git_commit": provenance(paths.root).get("git_commit", "none"),
                "decision": "promoted" if decision["promoted"] else "kept",
                "reason": decision["reason"],
            },
        )
        if decision["promoted"]:
            registry.point(CHAMPION, version)
    run.set_tags({"registered_version": str(version.number), "decision": decision["reason"]})
    log.info("version %d of %s: %s", version.number, registry.model, decision["reason"])
    content = {"model": registry.model, "version": version.number, "run_id": run.id, **decision}
    write_json(paths.registered, content)
    link_opened_run(store, run, "register")
    return content


def _read_metrics(paths: Paths, summary: Summary) -> dict[str, float]:
    """The figures of evaluate, which must be of this training and of these test pictures."""
    from pawprint.tracking.restore import read_record

    trained = read_record(paths.training.run)["run_id"]
    path = paths.evaluation / "metrics.json"
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        float(metrics["test_accuracy"])
        evaluated = json.loads(paths.evaluated.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError):
        evaluated = None
    if evaluated != {"run_id": trained, "test_digest": summary.splits["test"].digest}:
        raise UserError(
            f"{path} has no figures of this network on these test pictures; evaluate first with "
            "`dvc repro evaluate` or `python -m pawprint.evaluate`"
        )
    return metrics


def _decide(
    registry: Any, version: Any, champion: Any, accuracy: float, summary: Summary, paths: Paths
) -> dict[str, Any]:
    """Who is champion now, and why, in a sentence."""
    if champion is None:
        reason = f"first version, test accuracy {accuracy:.4f}: champion"
        return {"promoted": True, "reason": reason, "champion": version.number}
    if champion.number == version.number:
        reason = f"is champion already, test accuracy {accuracy:.4f}"
        return {"promoted": True, "reason": reason, "champion": version.number}
    network = registry.network(champion)
    if network is None:
        reason = f"the files of champion version {champion.number} are gone: champion"
        return {"promoted": True, "reason": reason, "champion": version.number}
    known = champion.tags.get("test_accuracy")
    same = known is not None and champion.tags.get("test_digest") == summary.splits["test"].digest
    theirs = float(known) if same else _accuracy_here(Predictor(network), summary, paths)
    again = "" if same else ", scored again on these test pictures"
    if champion.tags.get("class_names") != ", ".join(summary.class_names):
        again += f", which have other classes than its {champion.tags.get('class_names')}"
    promoted = accuracy > theirs
    comparison = "more" if promoted else "not more"
    reason = (
        f"{comparison} accurate ({accuracy:.4f}) than champion version {champion.number} "
        f"({theirs:.4f}{again}): {'champion' if promoted else 'challenger only'}"
    )
    return {
        "promoted": promoted,
        "reason": reason,
        "champion": version.number if promoted else champion.number,
    }


def _accuracy_here(predictor: Predictor, summary: Summary, paths: Paths) -> float:
    """Accuracy of another network on this test split; classes it does not know count as wrong."""
    test = load_split(paths.prepared, "test")
    truth = np.array(test.class_names)[test.labels]
    if (predictor.image_size, predictor.resize) == (summary.image_size, summary.resize):
        probabilities = predictor.probabilities(test.pictures)
    else:
        probabilities = _from_files(predictor, test, summary, paths)
    answers = np.array(predictor.class_names)[probabilities.argmax(axis=1)]
    return float((answers == truth).mean())


def _from_files(predictor: Predictor, test: Split, summary: Summary, paths: Paths) -> np.ndarray:
    """Probabilities from the files themselves, at the size that the network sees."""
    images = paths.pictures(summary.images)
    with opened(images, beside=paths.prepared, downloads=paths.downloads) as folder:
        files = find_pictures(folder, name_of(images)).files
        locations = {file.path: Path(file.location) for file in files}
        gone = [path for path in test.paths if path not in locations]
        if gone:
            raise UserError(
                f'{len(gone)} test pictures are gone from "{name_of(images)}", {gone[0]!a} among '
                "them; prepare again with `dvc repro`"
            )
        parts = [
            predictor.probabilities(np.stack([predictor.read(locations[p]) for p in batch]))
            for batch in (test.paths[i : i + 256] for i in range(0, len(test.paths), 256))
        ]
    return np.concatenate(parts)


if __name__ == "__main__":
    main()
