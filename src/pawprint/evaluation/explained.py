"""Pictures with what the network looked at drawn over them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WORST, GOOD = 24, 8
STRENGTH = 0.8  # of the colours over the picture, at the most
CONTRAST = 0.6  # below 1, also what speaks less can be seen
_SHARPEST = 160  # pixels, the least side of a drawing


@dataclass(frozen=True)
class Answer:
    """The network's answer to a test picture.

    Attributes:
        index: of the picture in the test split.
        label: its class.
        predicted: the class with the highest probability.
        probability: of that, 0 to 1.
        probability_of_label: of its class, 0 to 1.
    """

    index: int
    label: int
    predicted: int
    probability: float
    probability_of_label: float


def worst_mistakes(
    labels: np.ndarray, probabilities: np.ndarray, most: int = WORST
) -> list[Answer]:
    """The wrong answers that were surest, the surest first.

    Args:
        labels: class indices (n,).
        probabilities: (n, classes).
        most: how many, at most. Defaults to 24.
    """
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    order = np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")
    return [_answer(index, labels, probabilities) for index in wrong[order][:most]]


def good_answers(labels: np.ndarray, probabilities: np.ndarray, most: int = GOOD) -> list[Answer]:
    """Right answers of every class in turn, that of the median probability of each class first.

    Args:
        labels: class indices (n,).
        probabilities: (n, classes).
        most: how many, at most. Defaults to 8.
    """
    predicted = probabilities.argmax(axis=1)
    queues = []
    for label in np.unique(labels):
        right = np.flatnonzero((predicted == labels) & (labels == label))
        order = right[np.argsort(-probabilities[right, label], kind="stable")]
        middle = len(order) // 2
        queues.append([*order[middle:], *order[:middle][::-1]])
    chosen: list[int] = []
    for turn in range(most):
        chosen += [queue[turn] for queue in queues if turn < len(queue)]
    return [_answer(index, labels, probabilities) for index in chosen[:most]]


def _answer(index: int, labels: np.ndarray, probabilities: np.ndarray) -> Answer:
    row, label = probabilities[index], int(labels[index])
    predicted = int(row.argmax())
    return Answer(int(index), label, predicted, float(row[predicted]), float(row[label]))


def overlay(picture: np.ndarray, place_map: np.ndarray) -> np.ndarray:
    """The picture under what speaks for its answer; what speaks against it stays as it is.

    Args:
        picture: uint8 (size, size, 3), RGB.
        place_map: float32 (height, width), as ``Explainer.maps`` gives it.

    Returns:
        uint8 (side, side, 3), of 160 pixels at least.
    """
    import cv2
    from matplotlib import colormaps

    side = max(_SHARPEST, len(picture))
    large = cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC)
    grey = cv2.cvtColor(large, cv2.COLOR_RGB2GRAY)[..., np.newaxis]
    weight = spread(place_map, side) ** CONTRAST
    colours = colormaps["plasma"](0.25 + 0.7 * weight)[..., :3] * 255
    share = (STRENGTH * weight)[..., np.newaxis]
    return (grey * (1 - share) + colours * share).round().astype(np.uint8)


def spread(place_map: np.ndarray, side: int) -> np.ndarray:
    """What speaks for an answer, as wide as the picture: float32 (side, side), 0 to 1.

    It is counted from the median place: what all places say alike is about none of them.

    Args:
        place_map: float32 (height, width).
        side: in pixels.
    """
    import cv2

    positive = np.maximum(place_map - np.median(place_map), 0)
    if not positive.max():
        return np.zeros((side, side), np.float32)
    wide = cv2.resize(positive / positive.max(), (side, side), interpolation=cv2.INTER_LINEAR)
    return np.clip(wide, 0, 1).astype(np.float32)
