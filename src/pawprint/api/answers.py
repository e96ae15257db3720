"""Answers to pictures, as a program reads them and a notebook shows them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, overload

from pawprint.data.decode import open_picture
from pawprint.data.picture import MOST_PIXELS, PictureError, pixels_at_most
from pawprint.inference.predictor import Prediction
from pawprint.inference.table import Columns, record_batches

if TYPE_CHECKING:
    import pandas
    import pyarrow

SHOWN = 20  # answers, of many, that a notebook shows
SIDE = 128  # pixels of a picture in a notebook, at most
_BARS = 5  # of a single answer's classes


@dataclass(frozen=True)
class Answer:
    """The answer to one picture. A notebook shows it with its picture.

    Attributes:
        picture: its name: a file's path, a URL, or what it was given as and its place among the
            answers, as "array 0".
        label: the most probable class; "not sure" where its probability is below the threshold;
            None where the picture could not be read.
        probability: of the most probable class, 0 to 1; None where the picture could not be read.
        probabilities: of each class, in the order of ``Classifier.class_names``; empty where the
            picture could not be read.
        problem: why the picture could not be read, to stand after its name; else None.
        preview: a small JPEG of a picture that was given in memory. A file, for which it is None,
            is read when it is shown.
    """

    picture: str
    label: str | None
    probability: float | None
    probabilities: dict[str, float] = field(repr=False)
    problem: str | None = None
    preview: bytes | None = field(default=None, repr=False, compare=False)

    def _repr_html_(self) -> str:
        return _as_html([self], 1)


class Answers(Sequence[Answer]):
    """The answers to pictures, in their order. A notebook shows the first ones with their pictures.

    A slice is ``Answers`` too. Two are equal where all their answers are.

    Attributes:
        class_names: the classes, in the order of the probabilities.
        threshold: the least probability of an answer; below it the label is "not sure".
    """

    def __init__(
        self, answers: Sequence[Answer], class_names: Sequence[str], threshold: float = 0.0
    ) -> None:
        self._answers = list(answers)
        self.class_names = list(class_names)
        self.threshold = threshold

    def __len__(self) -> int:
        return len(self._answers)

    @overload
    def __getitem__(self, index: int) -> Answer: ...

    @overload
    def __getitem__(self, index: slice) -> Answers: ...

    def __getitem__(self, index: int | slice) -> Answer | Answers:
        found = self._answers[index]
        return found if isinstance(found, Answer) else Answers(found, *self._of_all)

    def __iter__(self) -> Iterator[Answer]:
        return iter(self._answers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Answers) and self._answers == other._answers

    __hash__ = None  # type: ignore[assignment]  # a list has none either

    def __repr__(self) -> str:
        lines = [
            f"  {a.picture}: {a.problem or f'{a.label} {a.probability:.4f}'}"
            for a in self._answers[:SHOWN]
        ]
        if (more := len(self) - SHOWN) > 0:
            lines.append(f"  and {more:,} more")
        return "\n".join([f"{len(self):,} answers", *lines])

    @property
    def _of_all(self) -> tuple[list[str], float]:
        return self.class_names, self.threshold

    def to_arrow(self) -> pyarrow.Table:
        """The table that `pawprint predict --output FILE.parquet` writes.

        Returns:
            A row per picture: path, label, probability, a column per class, problem.
            Probabilities are rounded to six decimals; what there is not is null.
        """
        import pyarrow

        columns = Columns(tuple(self.class_names))
        rows = (
            columns.row(Prediction(a.picture, a.probabilities, a.problem, self.threshold))
            for a in self
        )
        batches = record_batches(rows, columns)
        return pyarrow.Table.from_batches(batches, columns.schema)

    def to_pandas(self) -> pandas.DataFrame:
        """The same as a DataFrame."""
        return self.to_arrow().to_pandas()

    def _repr_html_(self) -> str:
        return _as_html(self._answers, len(self))


def _as_html(answers: Sequence[Answer], count: int) -> str:
    from pawprint.pages.render import render  # takes time to import

    shown = [
        {
            "answer": answer,
            "jpeg": _jpeg(answer),
            "bars": _best(answer, _BARS if count == 1 else 1),
        }
        for answer in answers[:SHOWN]
    ]
    return render("api/answers.html", shown=shown, more=count - len(shown), side=SIDE)


def _best(answer: Answer, count: int) -> list[tuple[str, float]]:
    if not answer.probabilities:
        return []
    best = Prediction(answer.picture, answer.probabilities).best(count)
    return [(str(answer.label), best[0][1])] if count == 1 else best


def _jpeg(answer: Answer) -> bytes | None:
    """A small JPEG of the picture; None where there is none any more."""
    from pawprint.pages.render import jpeg_of

    if answer.problem or answer.preview or not os.path.isfile(answer.picture):  # noqa: PTH113
        return answer.preview
    try:
        with pixels_at_most(MOST_PIXELS):
            return jpeg_of(open_picture(answer.picture, SIDE).image, SIDE)
    except PictureError:  # it was changed since
        return None
