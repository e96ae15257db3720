"""A run's predictions for its test pictures, as evaluate wrote them."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

import numpy as np

from pawprint.system.files import read_rows

_FIXED = ["path", "label", "predicted"]


@dataclass(frozen=True)
class Predictions:
    """What a run predicted for n pictures.

    Attributes:
        paths: n paths, relative to the images.
        labels: their n classes.
        predicted: the n classes predicted.
        probabilities: float64 (n,), 0 to 1, of the class predicted.
    """

    paths: list[str]
    labels: list[str]
    predicted: list[str]
    probabilities: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """Whether each prediction is the class, bool (n,)."""
        return np.array(self.labels) == np.array(self.predicted)

    def in_order_of(self, other: Predictions) -> Predictions | None:
        """The same with pictures ordered as in ``other``; None where the pictures are others."""
        place = {pair: i for i, pair in enumerate(zip(self.paths, self.labels, strict=True))}
        wanted = list(zip(other.paths, other.labels, strict=True))
        if set(wanted) != set(place) or len(wanted) != len(self.paths):
            return None
        order = [place[pair] for pair in wanted]
        predicted = [self.predicted[i] for i in order]
        return Predictions(other.paths, other.labels, predicted, self.probabilities[order])


def parse_predictions(text: str) -> Predictions:
    """Read a ``predictions.csv``: path, label, predicted, and a probability per class.

    Raises:
        ValueError: it is none, or has no picture.
    """
    try:
        header, *rows = list(read_rows(io.StringIO(text, newline=""))) or [[]]
    except csv.Error:
        header, rows = [], []
    if header[:3] != _FIXED or not rows or any(len(row) != len(header) for row in rows):
        raise ValueError("no table of path, label, predicted and a column per class")
    paths, labels, predicted, *columns = zip(*rows, strict=True)
    # What is predicted is the most probable class: its column need not be looked up by name.
    probabilities = np.array(columns, dtype=np.float64).max(axis=0)
    return Predictions(list(paths), list(labels), list(predicted), probabilities)
