"""What is found out about a network: its figures, its calibration, its mistakes, its doubts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pawprint.data.brightness import mean_brightness
from pawprint.data.store import Split
from pawprint.evaluation.explained import Answer, good_answers, worst_mistakes
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
from pawprint.suspects.report import Judged

Curves = dict[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Sure:
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
        mistakes: the surest wrong answers.
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
    mistakes: list[Answer]
    good: list[Answer]
    sure: Sure | None
    held_out: Judged
    suspects: list[Suspect]


def judge(
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
    """Find out all about a network's answers to pictures that it did not learn from.

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
    given = test.labels, probabilities, test.class_names
    raw = scale(probabilities, 1 / temperature)
    metrics = classification_metrics(*given) | {
        "expected_calibration_error_unscaled": expected_calibration_error(test.labels, raw),
        "log_loss_unscaled": log_loss(test.labels, raw),
    }
    held_out = Judged(
        [*validation.paths, *test.paths],
        ["validation"] * len(validation.paths) + ["test"] * len(test.paths),
        np.concatenate([validation.labels, test.labels]),
        np.concatenate([validation_probabilities, probabilities]),
        test.class_names,
    )
    answered = None
    if wanted is not None:
        answered = _answered(test, probabilities, wanted, choose(thresholds, wanted))
    return Result(
        test=test,
        probabilities=probabilities,
        metrics=metrics,
        intervals=bootstrap_intervals(*given),
        slices=find_slices(
            *given,
            paths=test.paths,
            sizes=sizes,
            brightness=mean_brightness(test.pictures),
        ),
        before=reliability(test.labels, raw),
        after=reliability(test.labels, probabilities),
        roc=roc_curves(*given),
        precision_recall=precision_recall_curves(*given),
        mistakes=worst_mistakes(test.labels, probabilities),
        good=good_answers(test.labels, probabilities),
        sure=answered,
        held_out=held_out,
        suspects=[
            suspect
            for suspect in find_suspects(held_out.labels, held_out.probabilities)
            if suspect.probably_wrong
        ],
    )


def _answered(
    test: Split, probabilities: np.ndarray, wanted: float, chosen: SurePoint | None
) -> Sure:
    answered = probabilities.max(axis=1) >= (chosen.threshold if chosen else np.inf)
    right = (probabilities.argmax(axis=1) == test.labels)[answered]
    precision = float(right.mean()) if len(right) else float("nan")
    return Sure(wanted, chosen, precision, float(answered.mean()))
