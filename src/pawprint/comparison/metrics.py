"""Metrics of runs in rows, with the intervals that they have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_OF_TRAINING = (
    "best_val_accuracy",
    "best_val_loss",
    "exported_val_accuracy",
    "best_epoch",
    "weights",
    "seconds_of_training",
)
_PER_CLASS = re.compile(r"test_(precision|recall|f1)_")


@dataclass(frozen=True)
class Metric:
    """A metric of one run with the ends of its 95 % interval, None where it has none."""

    value: float
    low: float | None = None
    high: float | None = None


def is_of_a_class(name: str) -> bool:
    """Whether a test metric is of one class only."""
    return bool(_PER_CLASS.match(name))


def metric_rows(runs: Sequence[dict[str, float]]) -> dict[str, list[Metric | None]]:
    """Rows of metrics, one value for each run: of the test, then of validation and training.

    Ends of intervals, which end in ``_low`` and ``_high``, belong to their metrics.

    Args:
        runs: what each run recorded.
    """
    names = {name for metrics in runs for name in metrics if name.startswith("test_")}
    ends = {end for name in names if names.issuperset(_ends(name)) for end in _ends(name)}
    of_test = sorted(names - ends, key=lambda name: (name != "test_accuracy", name))
    return {
        name: row
        for name in (*of_test, *_OF_TRAINING)
        if any(row := [_metric(metrics, name) for metrics in runs])
    }


def _metric(metrics: dict[str, float], name: str) -> Metric | None:
    if name not in metrics:
        return None
    low, high = map(metrics.get, _ends(name))
    if low is None or high is None:  # one alone is the figure of a class that is called so
        return Metric(metrics[name])
    return Metric(metrics[name], low, high)


def _ends(name: str) -> tuple[str, str]:
    return f"{name}_low", f"{name}_high"
