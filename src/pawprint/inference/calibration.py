"""Probabilities that mean what they say: temperature, reliability, and when not to answer."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BINS = 15
LEAST = 1e-30  # probabilities below it count as it: their logarithm stays finite
FEWEST_SURE = 30  # pictures that a threshold must be chosen on
_MOST_POINTS = 200
# Between them float32 holds what is needed to scale back.
_COLDEST, _HOTTEST = 0.2, 20.0


@dataclass(frozen=True)
class Reliability:
    """A bin of the reliability diagram.

    Attributes:
        low: lower end of the bin, of the probability of the answer, 0 to 1.
        high: upper end.
        pictures: how many answers are in it.
        probability: their mean probability.
        accuracy: the share of them that is right.
    """

    low: float
    high: float
    pictures: int
    probability: float
    accuracy: float


@dataclass(frozen=True)
class SurePoint:
    """What is right, and how much is answered, where only answers of ``threshold`` on count.

    Attributes:
        threshold: least probability of an answer, 0 to 1.
        precision: share of these answers that is right.
        coverage: share of the pictures that get one.
    """

    threshold: float
    precision: float
    coverage: float


def fit_temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The temperature by which logits are divided so that the log loss is least.

    Temperature scaling is of Guo et al. 2017, "On Calibration of Modern Neural Networks",
    arXiv:1706.04599. A log-normal prior around 1, worth as much as one picture, keeps the
    temperature finite where few pictures are all right.

    Args:
        labels: class indices (n,) of pictures that the network did not learn from.
        probabilities: its answers (n, classes), rows sum to 1.

    Returns:
        Above 1 where the network is too sure of itself, below 1 where it is not sure enough.
    """
    from scipy.optimize import minimize_scalar

    logits = np.log(np.maximum(probabilities.astype(np.float64), LEAST))
    rows = np.arange(len(labels))

    def loss(logarithm: float) -> float:
        scaled = logits / math.exp(logarithm)
        top = scaled.max(axis=1)
        sums = np.log(np.exp(scaled - top[:, np.newaxis]).sum(axis=1)) + top
        return float((sums - scaled[rows, labels]).sum()) + logarithm**2 / 2

    bounds = (math.log(_COLDEST), math.log(_HOTTEST))
    return math.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x)


def scale(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities float64 (n, classes) as they are at ``temperature``; at its inverse, as before.

    Args:
        probabilities: (n, classes), rows sum to 1.
        temperature: above 0.
    """
    logits = np.log(np.maximum(probabilities.astype(np.float64), LEAST)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def bins_of(confidences: np.ndarray, bins: int = BINS) -> np.ndarray:
    """The bin int (n,) of each probability of an answer; bins are of equal width."""
    return np.clip(np.ceil(confidences * bins).astype(np.int64) - 1, 0, bins - 1)


def reliability(
    labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS
) -> list[Reliability]:
    """The bins of the reliability diagram that hold an answer, the least sure first.

    Args:
        labels: class indices (n,).
        probabilities: (n, classes), rows sum to 1.
        bins: of equal width, of the probability of the answer. Defaults to 15.
    """
    confidences = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    own = bins_of(confidences, bins)
    return [
        Reliability(
            place / bins,
            (place + 1) / bins,
            int(inside.sum()),
            float(confidences[inside].mean()),
            float(right[inside].mean()),
        )
        for place in range(bins)
        if (inside := own == place).any()
    ]


def expected_calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """How far probabilities of answers are from the share that is right, 0 to 1.

    The mean over 15 bins of equal width of the probability, weighted by their answers (Guo et al.
    2017, arXiv:1706.04599).

    Args:
        labels: class indices (n,), n at least 1.
        probabilities: (n, classes), rows sum to 1.
    """
    bins = reliability(labels, probabilities)
    return sum(b.pictures * abs(b.probability - b.accuracy) for b in bins) / len(labels)


def sure_points(labels: np.ndarray, probabilities: np.ndarray) -> list[SurePoint]:
    """Thresholds worth choosing among: each more precise than all that answer more pictures.

    Args:
        labels: class indices (n,) of pictures that the network did not learn from.
        probabilities: its answers (n, classes).

    Returns:
        From the threshold that answers most pictures on; at most 200. None where there are
        fewer than 30 pictures to choose on.
    """
    if len(labels) < FEWEST_SURE:
        return []
    confidences = probabilities.max(axis=1)
    order = np.argsort(-confidences, kind="stable")
    sorted_ones = confidences[order]
    right = (probabilities.argmax(axis=1) == labels)[order]
    answered = np.arange(1, len(labels) + 1)
    precision = np.cumsum(right) / answered
    # Answers of the same probability are given together.
    last = np.append(sorted_ones[1:] != sorted_ones[:-1], True)
    places = np.flatnonzero(last & (answered >= FEWEST_SURE))
    points: list[SurePoint] = []
    for place in reversed(places):
        if not points or precision[place] > points[-1].precision:
            coverage = float(answered[place] / len(labels))
            threshold = float(sorted_ones[place])
            points.append(SurePoint(threshold, float(precision[place]), coverage))
    if len(points) > _MOST_POINTS:
        kept = np.linspace(0, len(points) - 1, _MOST_POINTS).round().astype(int)
        points = [points[place] for place in kept]
    return points


def choose(points: Sequence[SurePoint], precision: float) -> SurePoint | None:
    """The threshold that answers most pictures with at least this ``precision``, if one does."""
    return next((point for point in points if point.precision >= precision), None)
