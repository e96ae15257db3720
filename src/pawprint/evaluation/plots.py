"""Plots of a training and of a test: curves, confusion matrix, calibration, ROC."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cycler import Cycler, cycler
from matplotlib.figure import Figure  # without pyplot: no global state, no window

from pawprint.evaluation.metrics import confusion_matrix, figure_of
from pawprint.evaluation.result import Result
from pawprint.inference.calibration import Reliability
from pawprint.system.errors import UserError

BLUE, ORANGE = "#2a6f97", "#e07a3f"
BLUE_ON_DARK, ORANGE_ON_DARK = "#7dbadd", "#ec9463"
INK, INK_ON_DARK = "#17232d", "#c3ced6"
MOST_NAMED = 25  # classes in a confusion matrix
MOST_IN_LEGEND = 8
LONGEST_NAME = 40  # characters of a class in a figure
CURVES = ("accuracy", "val_accuracy", "loss", "val_loss")
MOST_MEDIANS = 5  # of a curve's values: above it, it is cut off

Curves = Mapping[str, tuple[np.ndarray, np.ndarray]]
# Okabe and Ito's, which colour-blind people tell apart; on dark the blue one would be lost.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
COLOURS_ON_DARK = ("#56B4E9", "#E8743B", "#1FBF92", "#E09CC2", "#E69F00")
MARKERS = "os^DvPX<>*"


def evaluation_figures(history: Path, result: Result, *, dark: bool = False) -> dict[str, Figure]:
    """All figures of an evaluation, by name.

    Args:
        history: ``history.csv`` of the training.
        result: what was found out.
        dark: for a dark background, as in all figures here. The figure's own is transparent then.
    """
    names = result.test.class_names
    predicted = result.probabilities.argmax(axis=1)
    counts = confusion_matrix(result.test.labels, predicted, len(names))
    return {
        "accuracy": curves_figure(history, ["accuracy"], dark=dark),
        "loss": curves_figure(history, ["loss"], dark=dark),
        "confusion_matrix": confusion_figure(counts, names, dark=dark),
        "reliability": reliability_figure(result.before, result.after, dark=dark),
        "roc": roc_figure(result.roc, dark=dark),
        "precision_recall": precision_recall_figure(result.precision_recall, dark=dark),
    }


def read_history(path: Path) -> list[dict[str, float]]:
    """The epochs of a ``history.csv``, as the train stage writes it: numbers by column.

    Raises:
        UserError: it is missing, damaged, or holds no epoch.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, strict=True))
        epochs = [
            {"epoch": int(row["epoch"])} | {name: float(row[name]) for name in CURVES}
            for row in rows
        ]
    except OSError as error:
        problem = "is missing" if isinstance(error, FileNotFoundError) else "cannot be read"
    except (ValueError, TypeError, KeyError, csv.Error):
        problem = "is damaged"
    else:
        problem = "" if epochs else "holds no epoch"
    if problem:
        raise UserError(f"{path} {problem}; train again with `dvc repro train`")
    return epochs


def curves_figure(
    history: Path, names: Sequence[str] = ("accuracy", "loss"), *, dark: bool = False
) -> Figure:
    """Accuracy and loss of training and validation by epoch, from a ``history.csv``.

    What is far above the rest, as a loss at the beginning can be, is cut off.
    """
    rows = read_history(history)
    epochs = [int(row["epoch"]) for row in rows]
    figure = _epochs_figure(names, 4.5, 3.6, dark)
    for axes, name in zip(figure.axes, names, strict=True):
        for key, label, colour in zip(
            (name, f"val_{name}"), ("training", "validation"), _pair(dark), strict=True
        ):
            values = [row[key] for row in rows]
            axes.plot(epochs, values, label=label, color=colour, marker="o", markersize=3)
        everything = [row[key] for row in rows for key in (name, f"val_{name}")]
        middle = float(np.nanmedian(everything))
        if np.nanmax(everything) > MOST_MEDIANS * middle > 0:
            axes.set_ylim(0, MOST_MEDIANS * middle)
        axes.legend(frameon=False, labelcolor=_ink(dark))
    return figure


def compared_curves_figure(
    curves: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]],
    names: Sequence[str] = ("val_accuracy", "val_loss"),
    *,
    dark: bool = False,
) -> Figure:
    """The curves of two to ten runs, a panel for each of ``names``.

    Runs differ in colour, marker and, from the sixth on, dashes, so that no eye needs colours.

    Args:
        curves: by the run's label, for each of ``names`` that it has, (epoch, value) by epoch.
        names: metrics. Defaults to accuracy and loss of validation.
        dark: for a dark background. The figure's own is transparent then.
    """
    columns = 1 if max(map(len, curves), default=0) > 12 else 5
    rows = -(-len(curves) // columns)
    figure = _epochs_figure(names, 4.6, 3.4 + 0.2 * rows, dark)
    for axes, name in zip(figure.axes, names, strict=True):
        axes.set_title(figure_of(name).words)
        axes.set_prop_cycle(_line_styles(dark) + cycler(marker=MARKERS))
        for label, own in curves.items():
            points = own.get(name, ())
            axes.plot(
                [epoch for epoch, _ in points],
                [value for _, value in points],
                label=_plain(label),
                markersize=5,
                markevery=max(1, len(points) // 10),
            )
    figure.legend(
        figure.axes[0].get_lines(),
        [_plain(label) for label in curves],
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        labelcolor=_ink(dark),
    )
    return figure


def confusion_figure(counts: np.ndarray, class_names: list[str], *, dark: bool = False) -> Figure:
    """The confusion matrix (true class down, predicted across).

    Counts stand in its cells, and names beside it, as long as there is room for them.
    """
    few = len(class_names) <= MOST_NAMED
    side = 2.8 + 0.45 * min(len(class_names), MOST_NAMED)
    figure = _figure((side + 0.8, side), dark)
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if few:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, f"{count}", ha="center", va="center", color=colour)
        places, names = range(len(class_names)), [_plain(name) for name in class_names]
        axes.set_xticks(places, names, rotation=45 if len(class_names) > 3 else 0)
        axes.set_yticks(places, names)
    _finish(axes, dark, title="confusion matrix", xlabel="predicted", ylabel="true")
    axes.grid(visible=False)
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    bar.set_label("share of the true class", color=_ink(dark))
    bar.ax.tick_params(colors=_ink(dark))
    return figure


def roc_figure(curves: Curves, *, dark: bool = False) -> Figure:
    """ROC curves by class: false and true positive rates."""
    areas = {name: float(np.trapezoid(true, false)) for name, (false, true) in curves.items()}
    labels = ("ROC", "false positive rate", "true positive rate")
    return _classes_figure(curves, areas, "area", labels, dark, diagonal=True)


def precision_recall_figure(curves: Curves, *, dark: bool = False) -> Figure:
    """Precision over recall by class, from ``precision_recall_curves``."""
    # As scikit-learn's average precision: steps, not the area under a line.
    areas = {name: -float(np.sum(np.diff(x) * y[:-1])) for name, (x, y) in curves.items()}
    labels = ("precision and recall", "recall", "precision")
    return _classes_figure(curves, areas, "average", labels, dark)


def reliability_figure(
    before: Sequence[Reliability], after: Sequence[Reliability], *, dark: bool = False
) -> Figure:
    """The reliability diagram before and after temperature scaling.

    Above: which share of the answers of a bin is right. Below: how many answers are in it.
    """
    figure = _figure((5, 5.2), dark)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    above.plot([0, 1], [0, 1], color="grey", linestyle="--", linewidth=1)
    orange, blue = reversed(_pair(dark))
    total = max(1, sum(one.pictures for one in after))
    for bins, label, colour, marker in (
        (before, "before", orange, "s"),
        (after, "after scaling", blue, "o"),
    ):
        x, y = [one.probability for one in bins], [one.accuracy for one in bins]
        above.plot(x, y, color=colour, label=label, marker=marker, markersize=5, linewidth=1)
        # A bin with few answers says little: the larger the mark, the more there are.
        sizes = [10 + 300 * one.pictures / total for one in bins]
        above.scatter(x, y, sizes, color=colour, marker=marker, alpha=0.35)
        filled = label != "before"
        below.bar(
            [one.low for one in bins],
            [one.pictures for one in bins],
            bins[0].high - bins[0].low if bins else 1,
            align="edge",
            color=colour if filled else "none",
            edgecolor=colour,
            alpha=0.75 if filled else 1,
        )
    least = min([one.low for one in (*before, *after)], default=0)
    above.set_xlim(least, 1)
    above.legend(frameon=False, labelcolor=_ink(dark), loc="lower right")
    _finish(above, dark, title="reliability", ylabel="share of right answers")
    _finish(below, dark, xlabel="probability of the answer", ylabel="answers")
    return figure


def png_of(figure: Figure, dpi: int = 150) -> bytes:
    """The figure as PNG."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=dpi)
    return content.getvalue()


def _plain(name: str) -> str:
    """A name as matplotlib shows it: dollars are no formula, and an underscore hides nothing."""
    if len(name) > LONGEST_NAME:
        name = f"{name[: LONGEST_NAME // 2]}…{name[-LONGEST_NAME // 2 :]}"
    name = name.replace("$", r"\$").encode(errors="backslashreplace").decode()
    return f" {name}" if name.startswith("_") else name


def _ink(dark: bool) -> str:
    return INK_ON_DARK if dark else INK


def _pair(dark: bool) -> tuple[str, str]:
    return (BLUE_ON_DARK, ORANGE_ON_DARK) if dark else (BLUE, ORANGE)


def _line_styles(dark: bool) -> Cycler:
    """All colours, then all of them dashed."""
    return cycler(linestyle=["-", "--"]) * cycler(color=COLOURS_ON_DARK if dark else COLOURS)


def _figure(size: tuple[float, float], dark: bool) -> Figure:
    return Figure(figsize=size, layout="constrained", facecolor="none" if dark else "white")


def _epochs_figure(names: Sequence[str], width: float, height: float, dark: bool) -> Figure:
    """A figure with a panel for each metric, over epochs."""
    figure = _figure((width * len(names), height), dark)
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        _finish(axes, dark, title=name, xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
    return figure


def _classes_figure(
    curves: Curves,
    areas: Mapping[str, float],
    word: str,
    labels: tuple[str, str, str],
    dark: bool,
    *,
    diagonal: bool = False,
) -> Figure:
    """A line per class; where there are many, only those of the least areas are named."""
    figure = _figure((4.4, 4.2), dark)
    axes = figure.subplots()
    title, x, y = labels
    _finish(axes, dark, title=title, xlabel=x, ylabel=y)
    axes.set(aspect="equal", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    if diagonal:
        axes.plot([0, 1], [0, 1], color="grey", linestyle="--", linewidth=1)
    named = sorted(curves, key=areas.__getitem__)[:MOST_IN_LEGEND]
    for name, curve in curves.items():
        if name not in named:
            axes.plot(*curve, color="grey", alpha=0.4, linewidth=0.8)
    axes.set_prop_cycle(_line_styles(dark))
    for name, curve in curves.items():
        if name in named:
            axes.plot(*curve, label=f"{_plain(name)} ({word} {areas[name]:.3f})")
    if named:
        axes.legend(frameon=False, labelcolor=_ink(dark), loc="best")
    return figure


def _finish(axes: Any, dark: bool, **labels: str) -> None:
    ink = _ink(dark)
    axes.set(**labels)
    for text in (axes.title, axes.xaxis.label, axes.yaxis.label):
        text.set_color(ink)
    axes.set_facecolor("none" if dark else "white")
    axes.tick_params(colors=ink)
    for spine in axes.spines.values():
        spine.set_color(ink)
    axes.grid(alpha=0.3)
