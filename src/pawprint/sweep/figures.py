"""Pictures of a sweep: which settings go with which accuracy."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure  # without pyplot: no global state, no window

from pawprint.evaluation.plots import BLUE, INK, ORANGE
from pawprint.sweep.leaderboard import SHORT, Leaderboard

LONGEST = 14  # characters of a value in a figure
FEW = 8  # values, each of which has a place of its own; more numbers stand on a scale


def parallel_figure(leaderboard: Leaderboard) -> Figure:
    """A line per trial through its settings to its figures, coloured by the first of these."""
    metrics = [m for m in leaderboard.objectives if any(m in t.figures for t in leaderboard.trials)]
    names = [*leaderboard.axes, *metrics]
    figure = Figure(figsize=(max(6.0, 1.9 * len(names)), 4.2), layout="constrained")
    axes = figure.subplots()
    first = metrics[0]
    values = np.array([t.figures[first] for t in leaderboard.trials])
    low, high = float(values.min()), float(values.max())
    scale = (values - low) / (high - low) if high > low else np.full(len(values), 1.0)
    columns = [_of_words([t.axes.get(a, "") for t in leaderboard.trials]) for a in leaderboard.axes]
    columns += [
        _of_numbers([t.figures.get(m, math.nan) for t in leaderboard.trials]) for m in metrics
    ]
    colours = colormaps["viridis"]
    for index in np.argsort(values):  # the best ones on top
        trial = leaderboard.trials[index]
        axes.plot(
            range(len(columns)),
            [column.heights[index] for column in columns],
            color=colours(0.9 * scale[index]),
            linestyle=":" if trial.pruned else "-",
            linewidth=1.8,
            alpha=0.9,
        )
    behind = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
    for place, column in enumerate(columns):
        axes.axvline(place, color=INK, linewidth=0.8)
        for mark, at in column.marks:
            axes.annotate(
                mark,
                (place, at),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=INK,
                bbox=behind,
            )
    axes.set_xticks(range(len(names)), [SHORT.get(name, name) for name in names])
    axes.set_yticks([])
    axes.set_xlim(-0.15, len(columns) - 0.6)
    axes.spines[:].set_visible(False)
    return figure


def axes_figure(leaderboard: Leaderboard) -> Figure:
    """For each axis, the accuracy of the trials by its value, and their mean."""
    metric = next(iter(leaderboard.objectives))
    count = len(leaderboard.axes)
    across = min(3, count)
    down = math.ceil(count / across)
    figure = Figure(figsize=(4.2 * across, 3.2 * down), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for axes, axis in zip(grid, leaderboard.axes, strict=False):
        _axis(axes, leaderboard, axis, metric)
    for empty in grid[count:]:
        empty.set_visible(False)
    return figure


def _axis(axes: Axes, leaderboard: Leaderboard, axis: str, metric: str) -> None:
    words = [t.axes.get(axis, "") for t in leaderboard.trials]
    values = np.array([t.figures[metric] for t in leaderboard.trials])
    pruned = np.array([t.pruned for t in leaderboard.trials])
    numbers = _numbers(words)
    if numbers is not None and len(set(words)) > FEW:
        at = np.array(numbers)
        if _is_logarithmic(numbers):
            axes.set_xscale("log")
    else:
        order = _ordered(words)
        at = np.array([order.index(word) for word in words], float)
        axes.set_xticks(range(len(order)), [_short(word) for word in order])
        means = [values[at == i].mean() for i in range(len(order))]
        axes.plot(
            range(len(order)),
            means,
            color=ORANGE,
            linestyle="none" if numbers is None else "-",  # names have no order
            marker="_",
            markersize=18,
            markeredgewidth=2,
            label="mean",
        )
        axes.legend(fontsize=8)
    for ended, face in ((False, BLUE), (True, "none")):
        chosen = pruned == ended
        axes.scatter(at[chosen], values[chosen], s=28, facecolors=face, edgecolors=BLUE)
    axes.set_xlabel(axis)
    axes.set_ylabel(SHORT.get(metric, metric))
    axes.grid(alpha=0.25)


class _Column(NamedTuple):
    """Where each trial meets a column, 0 to 1, and what is written there."""

    heights: Sequence[float]
    marks: Sequence[tuple[str, float]]


def _of_words(words: Sequence[str]) -> _Column:
    numbers = _numbers(words)
    if numbers is None or len(set(words)) <= FEW:
        order = _ordered(words)
        last = max(1, len(order) - 1)
        marks = [(_short(word), place / last) for place, word in enumerate(order)]
        return _Column([order.index(word) / last for word in words], marks)
    if not _is_logarithmic(numbers):
        return _of_numbers(numbers)
    logs = _of_numbers([math.log10(n) for n in numbers])
    return _Column(logs.heights, [(f"{10 ** float(mark):.3g}", at) for mark, at in logs.marks])


def _of_numbers(values: Sequence[float]) -> _Column:
    known = [value for value in values if not math.isnan(value)]
    low, high = min(known), max(known)
    width = (high - low) or 1.0
    marks = [(f"{value:.4g}", (value - low) / width) for value in np.linspace(low, high, 5)]
    return _Column([(value - low) / width for value in values], marks if high > low else marks[:1])


def _is_logarithmic(numbers: Sequence[float]) -> bool:
    return min(numbers) > 0 and max(numbers) / min(numbers) >= 30


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
