"""Which network judges which picture, and which labels are then probably wrong."""

import math
import warnings
from dataclasses import dataclass

import numpy as np

from pawprint.inference.calibration import LEAST
from pawprint.system.errors import UserError

LEAST_AGREEMENT = 0.75  # of network and labels: below, it knows too little to call one wrong
_SHARES = (0.0, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.11, 0.15, 0.2)
_AS_GOOD = 2.0  # the logarithm of a likelihood ratio: 19 of 20 ranges hold the share
# Of the calibration's two values: how far they are from 0 before anything is known, and bounds.
_SPREAD, _BOUNDS = np.array([0.7, 1.0]), ((-5.0, 2.5), (-5.0, 8.0))
_MOST_VALUES = 1_000_000  # probabilities that the share is estimated from


@dataclass(frozen=True)
class Suspect:
    """A label that the network does not agree with.

    Attributes:
        index: of the picture, into what ``find_suspects`` was given.
        label: the given class.
        suggested: the most probable class.
        probability_of_label: of the given class, 0 to 1.
        probability_of_suggested: of the other one, 0 to 1.
        quality: of the label, 0 (surely wrong) to 1: the probability of the given class.
        probably_wrong: whether it is more probably wrong than right.
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

    They stand by the probability of the given class. As in confident learning (Northcutt, Jiang,
    Chuang 2021, arXiv:1911.00068) the share of wrong labels is estimated from the answers; those
    more probably wrong than right, given it, are called so. A network that agrees with less than
    three quarters of the labels calls none. A network that is surely wrong as often as labels are
    cannot be told from these: then what it gets wrong is called so too.

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
    wrong = _probably_wrong(labels, probabilities)
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
    """Tell, bool (n,), whether a label is rather wrong than right, for all that the answers tell.

    A given label is the true class but for a share of wrong ones, and the true class is as probable
    as the network says, once its probabilities are calibrated. Both the share and the calibration
    are fitted to the given labels. Of all shares that explain them nearly as well as the best the
    smallest counts: what mistakes of the network explain too is not laid to the labels.
    """
    classes, nobody = probabilities.shape[1], np.zeros(len(labels), bool)
    answers = np.log(np.maximum(probabilities, LEAST))
    answers -= answers.max(axis=1, keepdims=True)  # the most probable class has 0
    own = answers[np.arange(len(labels)), labels]
    agree = own == 0
    if len(np.unique(labels)) < 2 or agree.mean() < LEAST_AGREEMENT:
        return nobody
    from scipy.optimize import minimize  # here, because it takes long to import

    some = slice(None, None, -(-answers.size // _MOST_VALUES))
    answers_of, own_of, agree_of = answers[some], own[some], agree[some]

    def fit(share: float, start: np.ndarray) -> tuple[float, np.ndarray]:
        """Minus the logarithm of the likelihood of the labels, and the calibration there."""

        def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
            right, by_value = _calibrated(answers_of, own_of, agree_of, values)
            other = share / (classes - 1)
            likelihood = np.maximum((1 - share) * right + other * (1 - right), LEAST)
            off = values / _SPREAD
            slope = off / _SPREAD - ((1 - share - other) / likelihood) @ by_value
            return float((off**2).sum() / 2 - np.log(likelihood).sum()), slope

        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=_BOUNDS)
        return float(found.fun), found.x

    # From several starts, because there may be more than one valley.
    surely_right = math.log(max(agree.mean(), 0.5) / max(1 - agree.mean(), 0.001))
    starts = np.array([[0.0, 0.0], [-3.0, surely_right]])
    fits = [min((fit(s, x) for x in starts), key=lambda one: one[0]) for s in _SHARES]
    losses = np.array([one[0] for one in fits])
    place = int(np.flatnonzero(losses <= losses.min() + _AS_GOOD)[0])
    share = _SHARES[place]
    right, _ = _calibrated(answers, own, agree, fits[place][1])
    return ~agree & ((1 - right) * share / (classes - 1) > right * (1 - share))


def _calibrated(
    answers: np.ndarray, own: np.ndarray, agree: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of the given labels, calibrated, and how they change with ``values``.

    Args:
        answers: logarithms of probabilities (n, classes), of the most probable class 0.
        own: those of the given labels (n,).
        agree: whether these are the most probable class (n,).
        values: what logarithms of probabilities are multiplied by, and what that of the most
            probable class gains then.

    Returns:
        float64 (n,) and (n, 2).
    """
    power, gain = math.exp(values[0]), values[1]
    weights = np.exp(power * answers)
    whole = weights.sum(axis=1) + math.expm1(gain)
    right = np.exp(power * own + gain * agree) / whole
    mean = np.einsum("ij,ij->i", weights, answers) / whole  # of the most probable class it is 0
    by_power = right * power * (own - mean)
    by_gain = right * (agree - math.exp(gain) / whole)
    return right, np.stack([by_power, by_gain], axis=1)
