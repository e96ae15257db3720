"""Which network judges which picture, and which labels are then probably wrong."""

import warnings
from dataclasses import dataclass

import numpy as np

from pawprint.system.errors import UserError


@dataclass(frozen=True)
class Suspect:
    """A label that the network does not agree with.

    Attributes:
        index: of the picture, into what ``find_suspects`` was given.
        label: the given class.
        suggested: the most probable class.
        probability_of_label: of the given class, 0 to 1.
        probability_of_suggested: of the other one, 0 to 1.
        quality: of the label, 0 (surely wrong) to 1: cleanlab's ``self_confidence``.
        probably_wrong: whether confident learning counts it among the wrong ones.
    """

    index: int
    label: int
    suggested: int
    probability_of_label: float
    probability_of_suggested: float
    quality: float
    probably_wrong: bool


def assign_folds(
    labels: np.ndarray, groups: np.ndarray, folds: int, seed: int, class_names: list[str]
) -> np.ndarray:
    """Divide pictures into folds, each class in the same proportions, copies together.

    Args:
        labels: int (n,), indices into ``class_names``.
        groups: int (n,), the same number for copies of one another.
        folds: how many, at least 2.
        seed: another seed divides them otherwise.
        class_names: named in an error.

    Returns:
        int64 (n,): the fold of each picture, from 0. Every class that has pictures has some in
        each fold.

    Raises:
        UserError: a class has fewer different pictures than there are folds.
    """
    for label in np.unique(labels):
        different = len(np.unique(groups[labels == label]))
        if different < folds:
            some = "1 picture" if different == 1 else f"{different} different pictures"
            raise UserError(
                f'the class "{class_names[label]}" has {some} for training and validation, fewer '
                f"than folds={folds}; add pictures to it"
                + (f" or set folds to {different}" if different >= 2 else "")
            )
    from sklearn.model_selection import StratifiedGroupKFold

    fold_of = np.zeros(len(labels), dtype=np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class without pictures
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        for fold, (_, held_out) in enumerate(splitter.split(labels, labels, groups)):
            fold_of[held_out] = fold
    return fold_of


def find_suspects(labels: np.ndarray, probabilities: np.ndarray) -> list[Suspect]:
    """List the labels that a network does not agree with, the most suspect one first.

    Confident learning (Northcutt, Jiang, Chuang 2021, arXiv:1911.00068) by cleanlab tells which of
    them are probably wrong: how many of each class are is estimated from the pictures that are as
    probably of another class as those labelled so are on average, and those least probably of
    their own class are meant (``prune_by_class``). All stand in one list by their quality,
    because more of the labels that were made wrong are then among its first ones than by
    cleanlab's other filters and scores.

    Args:
        labels: int (n,), class indices.
        probabilities: (n, classes), by a network that did not learn from these pictures.

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
    if not len(labels):
        return []
    probabilities = np.clip(probabilities, 0, 1)  # products in float32 may be a hair beyond
    everyone = np.arange(len(labels))
    quality, suggested = probabilities[everyone, labels], probabilities.argmax(axis=1)
    highest = probabilities[everyone, suggested]
    places = np.flatnonzero(highest > quality)
    wrong = _probably_wrong(labels, probabilities) if len(places) else np.zeros(len(labels), bool)
    return [
        Suspect(
            index=int(place),
            label=int(labels[place]),
            suggested=int(suggested[place]),
            probability_of_label=float(quality[place]),
            probability_of_suggested=float(highest[place]),
            quality=float(quality[place]),
            probably_wrong=bool(wrong[place]),
        )
        for place in places[np.argsort(quality[places], kind="stable")]
    ]


def _probably_wrong(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    if len(np.unique(labels)) < 2:  # there is nothing to compare with
        return np.zeros(len(labels), bool)
    # Takes a second to import, which only those who look for suspects shall wait for.
    from cleanlab.filter import find_label_issues

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a class with too few pictures to tell
        return find_label_issues(labels, probabilities, filter_by="prune_by_class", n_jobs=1)
