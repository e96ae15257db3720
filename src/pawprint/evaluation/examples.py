"""Which test pictures the report shows: the worst mistakes, and some right answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WORST, GOOD = 24, 8


@dataclass(frozen=True)
class Example:
    """A test picture with the network's answer.

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
) -> list[Example]:
    """The wrong answers that were surest, the surest first.

    Args:
        labels: class indices (n,).
        probabilities: (n, classes).
        most: how many, at most. Defaults to 24.
    """
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    order = np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")
    return [_example(index, labels, probabilities) for index in wrong[order][:most]]


def good_examples(labels: np.ndarray, probabilities: np.ndarray, most: int = GOOD) -> list[Example]:
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
    return [_example(index, labels, probabilities) for index in chosen[:most]]


def _example(index: int, labels: np.ndarray, probabilities: np.ndarray) -> Example:
    row, label = probabilities[index], int(labels[index])
    predicted = int(row.argmax())
    return Example(int(index), label, predicted, float(row[predicted]), float(row[label]))
