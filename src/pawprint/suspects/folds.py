"""Which part of the pictures each network is to judge."""

from __future__ import annotations

import warnings

import numpy as np

from pawprint.system.errors import UserError


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
