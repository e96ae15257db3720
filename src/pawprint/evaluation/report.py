"""The evaluation report: one HTML file that tells whether to trust a network."""

import math
import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pawprint.evaluation.metrics import FIGURES, OF_A_CLASS, confusion_matrix
from pawprint.evaluation.result import Example, Result, SureThreshold
from pawprint.evaluation.slices import FEWEST_PICTURES
from pawprint.pages.render import counted, points, render
from pawprint.suspects.report import agreement, suspect_tiles

MOST_SUSPECTS = 30
MOST_EXPLAINED = 24  # mistakes that show where the network looked
MOST_BYTES = 4_000_000  # of all pictures of mistakes as text
MOST_CELLS = 25  # classes in a confusion matrix that can be read
TAKEN_AT_WORD, TOO_WIDE = 2.0, 6.0  # points that probabilities may be off by, and perhaps are


@dataclass(frozen=True)
class Origin:
    """Where a network comes from.

    Attributes:
        name: of its run.
        run_id: of its run.
        address: of the run's page.
        local: whether that page needs `mlflow ui` to be started.
        parameters: of the training.
        data: what is known of the pictures.
        environment: code, libraries, machine.
        teacher: what its teacher is called, and the sha256 of that network's file, if it had one.
    """

    name: str
    run_id: str
    address: str
    local: bool
    parameters: Mapping[str, object]
    data: Mapping[str, object]
    environment: Mapping[str, object]
    teacher: tuple[str, str] | None = None


@dataclass(frozen=True)
class Plot:
    """A plot as PNG, for a light page and for a dark one."""

    name: str
    light: bytes
    dark: bytes

    @property
    def size(self) -> tuple[int, int]:
        """Width and height on the page: half of its own, for it to be sharp."""
        width, height = struct.unpack(">II", self.light[16:24])  # of the PNG's header
        return width // 2, height // 2


@dataclass(frozen=True)
class Mistake:
    """A wrong answer as the page shows it.

    Attributes:
        example: the answer.
        jpegs: of its picture; a second one shows what spoke for the answer.
        first: whether it is the first of its true and its given class.
    """

    example: Example
    jpegs: Sequence[bytes]
    first: bool


def report_page(
    result: Result,
    *,
    origin: Origin,
    plots: Sequence[Plot],
    explained: Callable[[Example], tuple[bytes, bytes]],
    jpeg: Callable[[int], bytes],
    notes: Sequence[str] = (),
) -> str:
    """Draw the page; it needs no other file, and no script but that of all pages.

    Args:
        result: what was found out.
        origin: where the network comes from.
        plots: in the order to show them.
        explained: makes two JPEGs of an answer's picture: plain, and with what spoke for the
            answer drawn over it. It is called for some dozens.
        jpeg: makes a JPEG of a held-out picture, by a suspect's index.
        notes: sentences about what a person may not expect. Defaults to none.

    Returns:
        The HTML.
    """
    test = result.test
    counts = np.bincount(test.labels, minlength=len(test.class_names)).tolist()
    classes = [
        (name, count)
        for name, count in zip(test.class_names, counts, strict=True)
        if f"recall_{name}" in result.metrics
    ]
    # The weakest first: they are what a person must know of.
    classes.sort(key=lambda one: result.metrics[f"f1_{one[0]}"])
    predicted = result.probabilities.argmax(axis=1)
    mistakes = _mistakes(result, explained, jpeg)
    return render(
        "evaluation/report.html",
        result=result,
        figures=FIGURES,
        class_figures=OF_A_CLASS,
        metrics=result.metrics,
        class_names=test.class_names,
        verdict=verdict(result),
        sure_sentence=_sure_sentence(result.sure) if result.sure else "",
        classes=classes,
        plots=plots,
        fewest_pictures=FEWEST_PICTURES,
        pictures=len(test.labels),
        wrong=len(result.mistakes),
        counts=counts,
        matrix=confusion_matrix(test.labels, predicted, len(counts)).tolist()
        if len(counts) <= MOST_CELLS
        else [],
        confusions=Counter((one.label, one.predicted) for one in result.mistakes).most_common(),
        mistakes=mistakes,
        linked={(one.example.label, one.example.predicted) for one in mistakes},
        good=[Mistake(one, explained(one), False) for one in result.good],
        agreement=agreement(result.held_out, len(result.suspects)),
        suspects=suspect_tiles(result.held_out, result.suspects, jpeg, MOST_SUSPECTS),
        origin=origin,
        origin_facts={
            "Pictures": _as_in_yaml(origin.data),
            "Parameters": _as_in_yaml(origin.parameters),
            "Environment of the evaluation": _as_in_yaml(origin.environment),
        },
        notes=notes,
    )


def _mistakes(
    result: Result,
    explained: Callable[[Example], tuple[bytes, bytes]],
    jpeg: Callable[[int], bytes],
) -> list[Mistake]:
    """As many mistakes as the page has room for, the surest first and first explained."""
    before = len(result.held_out.paths) - len(result.test.labels)
    shown: list[Mistake] = []
    seen = set()
    room = MOST_BYTES
    for place, one in enumerate(result.mistakes):
        jpegs = explained(one) if place < MOST_EXPLAINED else (jpeg(before + one.index),)
        room -= sum(4 * math.ceil(len(content) / 3) for content in jpegs)  # as Base64
        if room < 0:
            break
        cell = (one.label, one.predicted)
        shown.append(Mistake(one, jpegs, cell not in seen))
        seen.add(cell)
    return shown


def verdict(result: Result) -> str:
    """In a line: how often it is right, how sure that is, what it is worst at, if it knows it."""
    names, metrics = result.test.class_names, result.metrics
    low, high = result.intervals["accuracy"]
    recalls = {name: metrics[k] for name in names if (k := f"recall_{name}") in metrics}
    weakest = min(recalls, key=recalls.__getitem__)
    off = 100 * metrics["expected_calibration_error"]
    # Few pictures show an error that is chance alone: what counts is the interval.
    least, most = (100 * end for end in result.intervals["expected_calibration_error"])
    if least > TAKEN_AT_WORD:
        knows = ": take them with care"
    elif most > TOO_WIDE:
        knows = ": too few pictures to tell whether they can be taken at their word"
    else:
        knows = " and can be taken at their word"
    return (
        f"Right on {points(metrics['accuracy'])} of "
        f"{counted(len(result.test.labels), 'test picture', 'test pictures')} "
        f"({100 * low:.1f} to {100 * high:.1f} % with 95 % certainty), least often on {weakest} "
        f"({points(recalls[weakest])}); its probabilities are off by {off:.1f} points on "
        f"average{knows}."
    )


def _sure_sentence(sure: SureThreshold) -> str:
    if sure.chosen is None:
        return (
            f"No threshold makes {points(sure.wanted)} of the answers to validation pictures "
            "right: predicting with this sure_precision will not work."
        )
    on_test = (
        f"{points(sure.precision)} right, {points(sure.coverage)} answered"
        if sure.coverage
        else "none is answered"
    )
    return (
        f'To be right in {points(sure.wanted)} of its answers it calls a picture "not sure" '
        f"where its probability is below {sure.chosen.threshold:.4f}. Validation pictures: "
        f"{points(sure.chosen.precision)} right, {points(sure.chosen.coverage)} answered; test "
        f"pictures: {on_test}."
    )


def _as_in_yaml(values: Mapping[str, object]) -> dict[str, str]:
    """Values as they stand in params.yaml."""
    words = {None: "null", True: "true", False: "false"}
    return {
        name: words[value] if value is None or isinstance(value, bool) else str(value)
        for name, value in values.items()
    }
