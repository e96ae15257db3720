"""Figures of runs, with the intervals that they have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_OTHER_FIGURES = (
    *("best_val_accuracy", "best_val_loss", "exported_val_accuracy", "best_epoch"),
    *("weights", "seconds_of_training"),
)
_PER_CLASS = re.compile(r"test_(precision|recall|f1)_")


@dataclass(frozen=True)
class Figure:
    """A figure of one run with the ends of its 95 % interval, None where it has none."""

    value: float
    low: float | None = None
    high: float | None = None


def is_of_a_class(name: str) -> bool:
    """Whether a test figure is of one class only."""
    return bool(_PER_CLASS.match(name))


def figures_of(runs: Sequence[dict[str, float]]) -> dict[str, list[Figure | None]]:
    """Rows of figures from each run's metrics: of the test, then of validation and training.

    Ends of intervals, which end in ``_low`` and ``_high``, belong to their figures.
    """
    names = dict.fromkeys(name for metrics in runs for name in metrics if name.startswith("test_"))
    ends = {
        end for name in names if (both := _ends(name)) and set(both) <= set(names) for end in both
    }
    names = [name for name in sorted(names, key=_importance) if name not in ends]
    return {
        name: row
        for name in [*names, *_OTHER_FIGURES]
        if any(row := [_figure(metrics, name) for metrics in runs])
    }


def _importance(name: str) -> tuple[bool, str]:
    return name != "test_accuracy", name


def _figure(metrics: dict[str, float], name: str) -> Figure | None:
    if name not in metrics:
        return None
    low, high = map(metrics.get, _ends(name))
    if low is None or high is None:  # one alone is the figure of a class that is called so
        return Figure(metrics[name])
    return Figure(metrics[name], low, high)


def _ends(name: str) -> tuple[str, str]:
    return f"{name}_low", f"{name}_high"
