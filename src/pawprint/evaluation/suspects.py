"""Which labels are probably wrong, by confident learning."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Suspect:
    """A label that the network doubts.

    Attributes:
        index: of the picture, into what ``find_suspects`` was given.
        label: the given class.
        suggested: the most probable other class.
        probability_of_label: of the given class, 0 to 1.
        probability_of_suggested: of the other one, 0 to 1.
        quality: of the label, 0 (surely wrong) to 1; see ``find_suspects``.
    """

    index: int
    label: int
    suggested: int
    probability_of_label: float
    probability_of_suggested: float
    quality: float


def find_suspects(labels: np.ndarray, probabilities: np.ndarray) -> list[Suspect]:
    """Find labels that are probably wrong, the most suspect one first.

    Confident learning (Northcutt, Jiang, Chuang 2021, arXiv:1911.00068) by cleanlab: how many
    labels of each class are wrong is estimated from the pictures that are as probably of another
    class as those labelled so are on average; so many of the class, those least probably of it,
    are suspect (``prune_by_class``). Quality is the probability of the given label
    (``self_confidence``). Of cleanlab's ways these find the most labels that were made wrong.

    Args:
        labels: int (n,), class indices.
        probabilities: (n, classes), by a network that did not learn from these pictures.

    Returns:
        The suspects; none where fewer than two classes have pictures.

    Raises:
        ValueError: shapes do not fit, a label is no class, or a probability is no number.
    """
    labels = np.asarray(labels, dtype=np.int64)
    probabilities = np.asarray(probabilities, dtype=np.float64)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        raise ValueError(f"labels {labels.shape} do not fit probabilities {probabilities.shape}")
    if not np.isfinite(probabilities).all():
        raise ValueError("a probability is not a number")
    if len(labels) and not 0 <= labels.min() <= labels.max() < probabilities.shape[1]:
        raise ValueError(f"labels must be 0 to {probabilities.shape[1] - 1}")
    if len(np.unique(labels)) < 2:
        return []
    # Takes a second to import, which only those who look for suspects shall wait for.
    from cleanlab.filter import find_label_issues

    probabilities = np.clip(probabilities, 0, 1)  # products in float32 may be a hair beyond
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a class with too few pictures to tell
        mask = find_label_issues(labels, probabilities, filter_by="prune_by_class", n_jobs=1)
    quality = probabilities[np.arange(len(labels)), labels]
    others = probabilities.copy()
    others[np.arange(len(labels)), labels] = -1
    suggested = others.argmax(axis=1)
    places = np.flatnonzero(mask)
    return [
        Suspect(
            index=int(place),
            label=int(labels[place]),
            suggested=int(suggested[place]),
            probability_of_label=float(probabilities[place, labels[place]]),
            probability_of_suggested=float(probabilities[place, suggested[place]]),
            quality=float(quality[place]),
        )
        for place in places[np.argsort(quality[places], kind="stable")]
    ]
