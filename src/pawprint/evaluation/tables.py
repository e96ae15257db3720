"""The files of an evaluation, which `dvc metrics` and `dvc plots` read."""

from pathlib import Path

import numpy as np

from pawprint.evaluation.result import Result
from pawprint.inference.predictor import class_columns
from pawprint.suspects.report import write_suspects_table
from pawprint.system.files import write_json, write_table
from pawprint.tracking.names import NOT_IN_NAMES

METRICS, INTERVALS = "metrics.json", "intervals.json"
PREDICTIONS, SLICES, SUSPECTS = "predictions.csv", "slices.csv", "suspects.csv"
ROC, PRECISION_RECALL = "roc.csv", "precision_recall.csv"
RELIABILITY, UNSCALED = "reliability.csv", "reliability_unscaled.csv"


# What a person compares in the tables of DVC, which have a column for each.
COMPARED = ("accuracy", "macro_f1", "log_loss", "expected_calibration_error")


def named_metrics(result: Result) -> dict[str, float]:
    """The figures under the names that DVC and MLflow have for them."""
    return {f"test_{name}": value for name, value in result.metrics.items()}


def named_intervals(result: Result) -> dict[str, float]:
    """Both ends of each interval under the names that MLflow has for them."""
    taken = {NOT_IN_NAMES.sub("_", name) for name in named_metrics(result)}
    named: dict[str, float] = {}
    for name, interval in result.intervals.items():
        ends = [f"test_{name}_low", f"test_{name}_high"]
        # A class may be called "x_low" beside one called "x".
        if not any(NOT_IN_NAMES.sub("_", end) in taken for end in ends):
            named |= zip(ends, interval, strict=True)
    return named


def write_tables(folder: Path, result: Result) -> None:
    """Write all files into ``folder``, each whole or not at all."""
    test, names = result.test, result.test.class_names
    labels = np.array(names)[test.labels]
    predicted = np.array(names)[result.probabilities.argmax(axis=1)]
    fixed = ("path", "label", "predicted")
    write_table(
        folder / PREDICTIONS,
        [*fixed, *class_columns(names, fixed)],
        (
            [path, label, answer, *map(_six, row)]
            for path, label, answer, row in zip(
                test.paths, labels, predicted, result.probabilities, strict=True
            )
        ),
    )
    for file, curves, columns in (
        (ROC, result.roc, ("false_positive_rate", "true_positive_rate")),
        (PRECISION_RECALL, result.precision_recall, ("recall", "precision")),
    ):
        rows = (
            [name, _six(x), _six(y)]
            for name, curve in curves.items()
            for x, y in zip(*curve, strict=True)
        )
        write_table(folder / file, ["class", *columns], rows)
    for file, bins in ((RELIABILITY, result.after), (UNSCALED, result.before)):
        write_table(
            folder / file,
            ["low", "high", "answers", "probability", "accuracy"],
            (
                [_six(b.low), _six(b.high), b.pictures, _six(b.probability), _six(b.accuracy)]
                for b in bins
            ),
        )
    write_table(
        folder / SLICES,
        ["kind", "slice", "pictures", "figure", "value", "low", "high"],
        (
            [one.kind, one.name, one.pictures, name, _six(value), *_ends(one.intervals.get(name))]
            for one in result.slices
            for name, value in one.figures.items()
        ),
    )
    write_suspects_table(folder / SUSPECTS, result.held_out, result.suspects)
    write_json(folder / INTERVALS, named_intervals(result))
    named = named_metrics(result)
    write_json(folder / METRICS, {f"test_{name}": named[f"test_{name}"] for name in COMPARED})


def _ends(interval: tuple[float, float] | None) -> tuple[str, str]:
    return (_six(interval[0]), _six(interval[1])) if interval else ("", "")


def _six(value: float) -> str:
    return f"{value:.6f}"
