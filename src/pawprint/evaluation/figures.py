"""Pictures of a training and of a test: curves, confusion matrix, ROC."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure  # without pyplot: no global state, no window

BLUE, ORANGE = "#2a6f97", "#e07a3f"


def curves_figure(history: Path) -> Figure:
    """Accuracy and loss of training and validation by epoch, from a ``history.csv``."""
    with history.open(newline="") as file:
        rows = list(csv.DictReader(file))
    epochs = [int(row["epoch"]) for row in rows]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("accuracy", "loss"), strict=True):
        for key, label, colour in ((name, "training", BLUE), (f"val_{name}", "validation", ORANGE)):
            values = [float(row[key]) for row in rows]
            axes.plot(epochs, values, label=label, color=colour, marker="o", markersize=3)
        axes.set(title=name, xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    return figure


def confusion_figure(counts: np.ndarray, class_names: list[str]) -> Figure:
    """The confusion matrix (true class down, predicted across) with counts in its cells."""
    side = 2.8 + 0.45 * len(class_names)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{count}", ha="center", va="center", color=colour)
    places = range(len(class_names))
    axes.set_xticks(places, class_names, rotation=45 if len(class_names) > 3 else 0)
    axes.set_yticks(places, class_names)
    axes.set(xlabel="predicted", ylabel="true", title="confusion matrix")
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    return figure


def roc_figure(curves: dict[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """ROC curves by class."""
    figure = Figure(figsize=(4.4, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", linewidth=1)
    for name, (false_rate, true_rate) in curves.items():
        area = np.trapezoid(true_rate, false_rate)
        axes.plot(false_rate, true_rate, label=f"{name} (area {area:.3f})")
    axes.set(title="ROC", xlabel="false positive rate", ylabel="true positive rate")
    axes.set_aspect("equal")
    axes.grid(alpha=0.3)
    if curves:
        axes.legend(frameon=False, loc="lower right")
    return figure
