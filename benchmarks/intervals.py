"""How often 95 % intervals hold what they are intervals of, on simulated test sets.

    python benchmarks/intervals.py

A simulated network gives two classes probabilities whose logits are too large by a known factor;
its figures are known from five million pictures. Of each of 1,000 test sets the intervals are
computed as `evaluate` does, with 500 resamples. The second table has test sets in which each
answer is right by the toss of a coin of known accuracy.

EXPECTED: accuracy 93.5 to 95.6 %, every other figure 92.6 to 96.9 %; 15 minutes on one core.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import tables

from pawprint.evaluation.intervals import bootstrap_intervals
from pawprint.evaluation.metrics import classification_metrics

NAMES = ["cats", "dogs"]
MANY = 5_000_000
FIGURES = (
    "accuracy",
    "balanced_accuracy",
    "roc_auc",
    "average_precision",
    "log_loss",
    "brier_score",
    "expected_calibration_error",
    "precision_dogs",
    "recall_dogs",
    "f1_dogs",
)

Draw = Callable[[int, np.random.Generator], tuple[np.ndarray, np.ndarray]]


def main() -> None:
    """Count and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=500)
    given = parser.parse_args()
    tables.head("pictures", "logits too large by", "accuracy", *FIGURES)
    for pictures, boldness in ((500, 1.0), (500, 1.5), (2000, 1.5)):
        draw = too_bold(boldness)
        truth = classification_metrics(*draw(MANY, np.random.default_rng(10**6)), NAMES)
        covered = cover(draw, truth, pictures, given.sets, given.resamples)
        shares = percentages(covered, FIGURES, given.sets)
        tables.row(f"{pictures:,}", boldness, f"{truth['accuracy']:.3f}", *shares)
    print()
    tables.head("pictures", "known accuracy", "accuracy")
    for pictures in (2000, 500):
        for accuracy in (0.8, 0.9, 0.95):
            truth = {"accuracy": accuracy}
            covered = cover(tossed(accuracy), truth, pictures, given.sets, given.resamples)
            tables.row(f"{pictures:,}", accuracy, *percentages(covered, ("accuracy",), given.sets))


def cover(
    draw: Draw, truth: dict[str, float], pictures: int, sets: int, resamples: int
) -> Counter[str]:
    """In how many of the test sets the interval of each figure holds the truth."""
    covered: Counter[str] = Counter()
    for seed in range(sets):
        labels, probabilities = draw(pictures, np.random.default_rng(seed))
        intervals = bootstrap_intervals(
            labels, probabilities, NAMES, resamples=resamples, seed=seed
        )
        for name, value in truth.items():
            low, high = intervals[name]
            covered[name] += low <= value <= high
    return covered


def percentages(covered: Counter[str], names: Sequence[str], sets: int) -> list[str]:
    """Shares as text."""
    return [f"{100 * covered[name] / sets:.1f} %" for name in names]


def too_bold(boldness: float) -> Draw:
    """Answers whose logits are ``boldness`` times what they should be."""

    def draw(pictures: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        logits = random.normal(0, 4, pictures)
        labels = (random.random(pictures) < 1 / (1 + np.exp(-logits))).astype(int)
        second = 1 / (1 + np.exp(-boldness * logits))
        return labels, np.stack([1 - second, second], axis=1)

    return draw


def tossed(accuracy: float) -> Draw:
    """Answers that are right with this probability, whatever the picture."""

    def draw(pictures: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        labels = random.integers(0, 2, pictures)
        answers = np.where(random.random(pictures) < accuracy, labels, 1 - labels)
        return labels, np.where(answers[:, np.newaxis] == [0, 1], accuracy, 1 - accuracy)

    return draw


if __name__ == "__main__":
    main()
