"""All that evaluate computes: metrics, intervals, slices, calibration, mistakes, suspects."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pawprint.data.brightness import mean_brightness
from pawprint.data.store import Split
from pawprint.evaluation.intervals import Intervals, bootstrap_intervals
from pawprint.evaluation.metrics import (
    classification_metrics,
    log_loss,
    precision_recall_curves,
    roc_curves,
)
from pawprint.evaluation.slices import Slice, find_slices
from pawprint.inference.calibration import (
    Reliability,
    SurePoint,
    choose,
    expected_calibration_error,
    reliability,
    scale,
)
from pawprint.suspects.find import Suspect, find_suspects
from pawprint.suspects.report import HeldOut

Curves = dict[str, tuple[np.ndarray, np.ndarray]]
GOOD = 8  # examples that the report shows


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


@dataclass(frozen=True)
class SureThreshold:
    """What a threshold does to the test pictures.

    Attributes:
        wanted: share of the answers that was to be right, 0 to 1.
        chosen: threshold, precision and coverage on validation pictures; None where no threshold
            is that precise.
        precision: share of the answers to test pictures that is right; NaN without answers.
        coverage: share of the test pictures that get an answer.
    """

    wanted: float
    chosen: SurePoint | None
    precision: float
    coverage: float


@dataclass(frozen=True)
class Result:
    """All that is found out on held-out pictures.

    Attributes:
        test: the test split, of which all is but ``suspects``.
        probabilities: calibrated, float32 (n, classes).
        metrics: of the test split, by name.
        intervals: 95 %, of those of ``metrics`` that are computed by picture.
        slices: figures of parts of it.
        before: reliability without the temperature.
        after: reliability with it.
        roc: curves by class.
        precision_recall: curves by class.
        mistakes: all wrong answers, the surest first.
        good: some right ones.
        sure: what a threshold does, where a precision is wanted.
        held_out: validation pictures, then test pictures, with the answers to them.
        suspects: labels of ``held_out`` that are probably wrong.
    """

    test: Split
    probabilities: np.ndarray
    metrics: dict[str, float]
    intervals: Intervals
    slices: list[Slice]
    before: list[Reliability]
    after: list[Reliability]
    roc: Curves
    precision_recall: Curves
    mistakes: list[Example]
    good: list[Example]
    sure: SureThreshold | None
    held_out: HeldOut
    suspects: list[Suspect]


def compute_result(
    test: Split,
    probabilities: np.ndarray,
    validation: Split,
    validation_probabilities: np.ndarray,
    *,
    sizes: np.ndarray,
    temperature: float,
    wanted: float | None = None,
    thresholds: Sequence[SurePoint] = (),
) -> Result:
    """Compute all about a network's answers to pictures that it did not learn from.

    Args:
        test: the test split, n pictures.
        probabilities: answers to it, float32 (n, classes).
        validation: the validation split, m pictures; only its labels are doubted.
        validation_probabilities: answers to it, float32 (m, classes).
        sizes: (n,), longer side of the original test pictures in pixels.
        temperature: that is in the probabilities.
        wanted: the precision that a threshold is to reach, 0 to 1; None, the default: none.
        thresholds: to choose from.
    """
    labels, names = test.labels, test.class_names
    unscaled = scale(probabilities, 1 / temperature)
    held_out = HeldOut(
        paths=[*validation.paths, *test.paths],
        splits=["validation"] * len(validation.paths) + ["test"] * len(test.paths),
        labels=np.concatenate([validation.labels, labels]),
        probabilities=np.concatenate([validation_probabilities, probabilities]),
        class_names=names,
    )
    suspects = find_suspects(held_out.labels, held_out.probabilities)
    return Result(
        test=test,
        probabilities=probabilities,
        metrics={
            **classification_metrics(labels, probabilities, names),
            "expected_calibration_error_unscaled": expected_calibration_error(labels, unscaled),
            "log_loss_unscaled": log_loss(labels, unscaled),
        },
        intervals=bootstrap_intervals(labels, probabilities, names),
        slices=find_slices(
            labels,
            probabilities,
            names,
            paths=test.paths,
            sizes=sizes,
            brightness=mean_brightness(test.pictures),
        ),
        before=reliability(labels, unscaled),
        after=reliability(labels, probabilities),
        roc=roc_curves(labels, probabilities, names),
        precision_recall=precision_recall_curves(labels, probabilities, names),
        mistakes=find_mistakes(labels, probabilities),
        good=good_examples(labels, probabilities),
        sure=None if wanted is None else _sure(test, probabilities, wanted, thresholds),
        held_out=held_out,
        suspects=[suspect for suspect in suspects if suspect.probably_wrong],
    )


def _sure(
    test: Split, probabilities: np.ndarray, wanted: float, thresholds: Sequence[SurePoint]
) -> SureThreshold:
    chosen = choose(thresholds, wanted)
    answered = probabilities.max(axis=1) >= (chosen.threshold if chosen else np.inf)
    right = (probabilities.argmax(axis=1) == test.labels)[answered]
    precision = float(right.mean()) if len(right) else float("nan")
    return SureThreshold(wanted, chosen, precision, float(answered.mean()))


def find_mistakes(labels: np.ndarray, probabilities: np.ndarray) -> list[Example]:
    """All wrong answers, the surest first."""
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    order = np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")
    return [_example(index, labels, probabilities) for index in wrong[order]]


def good_examples(labels: np.ndarray, probabilities: np.ndarray) -> list[Example]:
    """Right answers of every class in turn, that of the median probability of each class first."""
    predicted = probabilities.argmax(axis=1)
    queues = []
    for label in np.unique(labels):
        right = np.flatnonzero((predicted == labels) & (labels == label))
        order = right[np.argsort(-probabilities[right, label], kind="stable")]
        middle = len(order) // 2
        queues.append([*order[middle:], *order[:middle][::-1]])
    turns = itertools.zip_longest(*queues)
    chosen = [index for turn in turns for index in turn if index is not None]
    return [_example(index, labels, probabilities) for index in chosen[:GOOD]]


def _example(index: int, labels: np.ndarray, probabilities: np.ndarray) -> Example:
    row, label = probabilities[index], int(labels[index])
    predicted = int(row.argmax())
    return Example(int(index), label, predicted, float(row[predicted]), float(row[label]))
