"""Pictures of a sweep: which settings go with which accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure  # without pyplot: no global state, no window

from pawprint.evaluation.plots import BLUE, INK, ORANGE
from pawprint.sweep.board import SHORT, Board

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LONGEST = 14  # characters of a value in a figure
COLOURS = "viridis"


def parallel_figure(board: Board) -> Figure:
    """A line per trial through its settings to its figures, coloured by the first of these."""
    metrics = [m for m in board.objectives if any(m in t.figures for t in board.trials)]
    columns = [*board.axes, *metrics]
    figure = Figure(figsize=(max(6.0, 1.9 * len(columns)), 4.2), layout="constrained")
    axes = figure.subplots()
    first = metrics[0]
    values = np.array([t.figures[first] for t in board.trials])
    low, high = float(values.min()), float(values.max())
    scale = (values - low) / (high - low) if high > low else np.full(len(values), 1.0)
    heights = [
        *(_places([t.axes.get(axis, "") for t in board.trials]) for axis in board.axes),
        *(_spread([t.figures.get(m, math.nan) for t in board.trials]) for m in metrics),
    ]
    colours = colormaps[COLOURS]
    for index in np.argsort(values):  # the best ones on top
        trial = board.trials[index]
        axes.plot(
            range(len(columns)),
            [height.of[index] for height in heights],
            color=colours(0.9 * scale[index]),
            linestyle=":" if trial.pruned else "-",
            linewidth=1.8,
            alpha=0.9,
        )
    for place, height in enumerate(heights):
        axes.axvline(place, color=INK, linewidth=0.8)
        for name, at in height.marks:
            axes.annotate(
                name,
                (place, at),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=INK,
                bbox={
                    "boxstyle": "round,pad=0.1",
                    "facecolor": "white",
                    "edgecolor": "none",
                    "alpha": 0.8,
                },
            )
    axes.set_xticks(range(len(columns)), [SHORT.get(c, c) for c in columns])
    axes.set_yticks([])
    axes.set_xlim(-0.15, len(columns) - 0.6)
    for side in axes.spines.values():
        side.set_visible(False)
    return figure


def axes_figure(board: Board) -> Figure:
    """For each axis, the accuracy of the trials by its value, and their mean."""
    metric = next(iter(board.objectives))
    count = len(board.axes)
    across = min(3, count)
    down = math.ceil(count / across)
    figure = Figure(figsize=(4.2 * across, 3.2 * down), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for place, axis in enumerate(board.axes):
        _axis(grid[place], board, axis, metric)
    for empty in grid[count:]:
        empty.set_visible(False)
    return figure


def _axis(axes: Axes, board: Board, axis: str, metric: str) -> None:
    words = [t.axes.get(axis, "") for t in board.trials]
    values = np.array([t.figures[metric] for t in board.trials])
    pruned = np.array([t.pruned for t in board.trials])
    numbers = _numbers(words)
    many = numbers is not None and len(set(words)) > 8
    if many:
        at = np.array(numbers)
        if at.min() > 0 and at.max() / at.min() >= 30:
            axes.set_xscale("log")
    else:
        order = _ordered(words)
        at = np.array([order.index(word) for word in words], float)
        axes.set_xticks(range(len(order)), [_short(word) for word in order])
        means = [values[at == i].mean() for i in range(len(order))]
        line = "none" if numbers is None else "-"  # names have no order
        look = {"color": ORANGE, "linestyle": line, "marker": "_", "markersize": 18}
        axes.plot(range(len(order)), means, markeredgewidth=2, label="mean", **look)
        axes.legend(fontsize=8)
    for ended, face in ((False, BLUE), (True, "none")):
        chosen = pruned == ended
        axes.scatter(at[chosen], values[chosen], s=28, facecolors=face, edgecolors=BLUE)
    axes.set_xlabel(axis)
    axes.set_ylabel(SHORT.get(metric, metric))
    axes.grid(alpha=0.25)


class _Height:
    """Where each trial meets a column, 0 to 1, and what is written there."""

    def __init__(self, of: Sequence[float], marks: Sequence[tuple[str, float]]) -> None:
        self.of, self.marks = of, marks


def _places(words: Sequence[str]) -> _Height:
    numbers = _numbers(words)
    if numbers is not None and len(set(words)) > 8:
        if min(numbers) > 0 and max(numbers) / min(numbers) >= 30:
            logs = _spread([math.log10(n) for n in numbers])
            marks = [(f"{10 ** float(name):.3g}", at) for name, at in logs.marks]
            return _Height(logs.of, marks)
        return _spread(numbers)
    order = _ordered(words)
    last = max(1, len(order) - 1)
    marks = [(_short(word), place / last) for place, word in enumerate(order)]
    return _Height([order.index(word) / last for word in words], marks)


def _spread(values: Sequence[float]) -> _Height:
    known = [value for value in values if not math.isnan(value)]
    low, high = min(known), max(known)
    width = (high - low) or 1.0
    marks = [(f"{value:.4g}", (value - low) / width) for value in np.linspace(low, high, 5)]
    if high == low:
        marks = marks[:1]
    return _Height([(value - low) / width for value in values], marks)


def _numbers(words: Sequence[str]) -> list[float] | None:
    try:
        return [float(word) for word in words]
    except ValueError:
        return None


def _ordered(words: Sequence[str]) -> list[str]:
    """Each word once: numbers by their size, else as they came."""
    once = list(dict.fromkeys(words))
    return sorted(once, key=float) if _numbers(once) is not None else sorted(once)


def _short(word: str) -> str:
    return word if len(word) <= LONGEST else f"{word[: LONGEST - 1]}…"
