"""What pictures seen are compared with: those learned from, and answers to test pictures."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from pawprint.comparison.answers import Answers
from pawprint.data.brightness import mean_brightness
from pawprint.data.store import load_sizes, load_split
from pawprint.drift.compared import Facts
from pawprint.drift.log import SeenPictures
from pawprint.inference.prediction_log import BRIGHTNESS_DIGITS, PROBABILITY_DIGITS

MOST_READ = 10_000  # training pictures whose pixels are read, drawn without order


def learned_facts(prepared: Path, answers: Answers | None) -> Facts:
    """Facts of training pictures, and of answers to test pictures.

    Confidence in pictures that were learned from would be too high, and their labels are not
    answers: both are of the test pictures.

    Args:
        prepared: what ``prepare`` wrote.
        answers: the network's to test pictures, or None where they are not known.

    Raises:
        UserError: the prepared folder is missing or broken.
    """
    pictures = load_split(prepared, "train").pictures
    rows = np.arange(len(pictures))
    if len(rows) > MOST_READ:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_READ, replace=False))
    widths, heights = load_sizes(prepared, "train")
    return _facts(
        widths,
        heights,
        _brightness(pictures, rows),
        None if answers is None else answers.probabilities,
        None if answers is None else dict(Counter(answers.predicted)),
    )


def seen_facts(seen: SeenPictures) -> Facts:
    """The same facts of pictures seen."""
    return _facts(seen.widths, seen.heights, seen.brightness, seen.probabilities, seen.labels)


def _brightness(pictures: object, rows: np.ndarray) -> np.ndarray:
    parts = [rows[start : start + 256] for start in range(0, len(rows), 256)]
    return np.concatenate([np.zeros(0), *(mean_brightness(pictures[part]) for part in parts)])


def _facts(
    widths: np.ndarray,
    heights: np.ndarray,
    brightness: np.ndarray,
    probabilities: np.ndarray | None,
    labels: dict[str, int] | None,
) -> Facts:
    return Facts(
        size=np.maximum(widths, heights),
        aspect=widths / heights,
        # Both sides in the digits of the log: else equal values would count as different.
        brightness=np.round(brightness, BRIGHTNESS_DIGITS),
        confidence=None if probabilities is None else np.round(probabilities, PROBABILITY_DIGITS),
        labels=labels,
    )
