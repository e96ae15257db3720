"""Stage evaluate: the trained network on the test split, into files, plots and the run."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

import numpy as np

from pawprint.config import project_root, run_stage
from pawprint.errors import UserError
from pawprint.evaluation.metrics import classification_metrics, confusion_matrix, roc_curves
from pawprint.files import replacing_table, write_json
from pawprint.images.store import Split, load_split, load_summary
from pawprint.paths import Paths
from pawprint.schema import Config
from pawprint.serving.predictor import Predictor, class_columns

log = logging.getLogger(__name__)


def main() -> None:
    """Evaluate the project's network."""
    run_stage("evaluate", evaluate)


def evaluate(config: Config) -> dict[str, float]:
    """Score the exported network on the test split; write figures, answers and plots.

    Raises:
        UserError: nothing is prepared or trained, they do not fit, or the store does not answer.
    """
    from pawprint.tracking.restore import read_record, run_of
    from pawprint.tracking.store import connect, link_opened_run

    paths = Paths(project_root())
    summary = load_summary(paths.prepared)
    test = load_split(paths.prepared, "test")
    if not paths.training.history.is_file():
        raise UserError(f"{paths.training.history} is missing; train again with `dvc repro train`")
    predictor = Predictor(paths.training.onnx)
    _check_fit(test, predictor)
    if predictor.resize != summary.resize:
        raise UserError(
            f"the network learned from pictures made square by {predictor.resize}, but those in "
            f"{paths.prepared} are by {summary.resize}; train again with `dvc repro train`"
        )
    digest = summary.splits["test"].digest
    record = read_record(paths.training.run)
    if record["tags"]["test_digest"] != digest:  # it may have learned from these very pictures
        raise UserError(
            "the network was trained beside other test pictures than those in "
            f"{paths.prepared}; train again with `dvc repro train`"
        )
    store = connect(config.tracking.uri, config.tracking.experiment)
    run = run_of(store, paths.training)

    probabilities = predictor.probabilities(test.pictures)
    metrics = classification_metrics(test.labels, probabilities, test.class_names)
    metrics = {f"test_{name}": value for name, value in metrics.items()}
    paths.evaluated.unlink(missing_ok=True)  # until all is written, the figures are of nobody
    _write_reports(paths.evaluation, test, probabilities, metrics)
    log.info(
        "test_accuracy %.4f, test_log_loss %.4f on %d pictures",
        metrics["test_accuracy"],
        metrics["test_log_loss"],
        len(test.labels),
    )

    source = str(paths.pictures(summary.images))
    run.log_dataset("test", source, digest, "testing")
    run.log_metrics(metrics, model_id=run.tags.get("model_id"))
    run.set_tags({"test_digest": digest})
    _record_figures(run, paths, test, probabilities)
    run.tell_missed()
    write_json(paths.evaluated, {"run_id": record["run_id"], "test_digest": digest})
    link_opened_run(store, run, "evaluate")
    return metrics


def _check_fit(test: Split, predictor: Predictor) -> None:
    side = test.pictures.shape[1]
    if predictor.image_size != side or predictor.class_names != test.class_names:
        raise UserError(
            f"the network knows {', '.join(predictor.class_names)} at {predictor.image_size} "
            f"pixels, but the test split has {', '.join(test.class_names)} at {side}; train "
            "again with `dvc repro train`"
        )


def _write_reports(
    folder: Path, test: Split, probabilities: np.ndarray, metrics: dict[str, float]
) -> None:
    """Write `metrics.json`, `predictions.csv` and `roc.csv`, which `dvc plots` draws."""
    names = np.array(test.class_names)
    predicted = names[probabilities.argmax(axis=1)]
    with replacing_table(folder / "predictions.csv") as file:
        writer = csv.writer(file, lineterminator="\n")
        fixed = ("path", "label", "predicted")
        writer.writerow([*fixed, *class_columns(test.class_names, fixed)])
        for path, label, answer, row in zip(
            test.paths, names[test.labels], predicted, probabilities, strict=True
        ):
            writer.writerow([path, label, answer, *(f"{p:.6f}" for p in row)])
    with replacing_table(folder / "roc.csv") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["class", "false_positive_rate", "true_positive_rate"])
        for name, curve in roc_curves(test.labels, probabilities, test.class_names).items():
            writer.writerows([name, f"{x:.6f}", f"{y:.6f}"] for x, y in zip(*curve, strict=True))
    write_json(folder / "metrics.json", metrics)


def _record_figures(run: object, paths: Paths, test: Split, probabilities: np.ndarray) -> None:
    from pawprint.evaluation.figures import confusion_figure, curves_figure, roc_figure

    names = test.class_names
    counts = confusion_matrix(test.labels, probabilities.argmax(axis=1), len(names))
    run.log_figure(curves_figure(paths.training.history), "figures/curves.png")
    run.log_figure(confusion_figure(counts, names), "figures/confusion_matrix.png")
    curves = roc_curves(test.labels, probabilities, names)
    run.log_figure(roc_figure(curves), "figures/roc.png")
    run.log_file(paths.evaluation / "predictions.csv", "evaluate")
    run.log_file(paths.evaluation / "metrics.json", "evaluate")


if __name__ == "__main__":
    main()
