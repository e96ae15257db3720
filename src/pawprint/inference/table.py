"""Predictions as rows: CSV, JSON, Parquet and lines of text."""

from __future__ import annotations

import csv
import json
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from pawprint.inference.predictor import Prediction, class_columns
from pawprint.system.files import RowWriter
from pawprint.system.terminal import printable

FIXED = ("path", "label", "probability", "problem")
_ROWS = 10_000  # of a Parquet row group


@dataclass(frozen=True)
class Columns:
    """What stands in a row: path, label, probability, those of the classes, problem.

    Attributes:
        class_names: the classes, in the order of their indices.
        top: how many of the most probable classes a row names; None: each class has a column.
        root: paths below it are written relative to it.
    """

    class_names: tuple[str, ...]
    top: int | None = None
    root: Path | None = None

    @property
    def names(self) -> list[str]:
        """The columns' names."""
        if self.top is None:
            inner = class_columns(list(self.class_names), FIXED)
        else:
            inner = [f"{word}_{n + 1}" for n in range(self._top) for word in FIXED[1:3]]
        return [*FIXED[:3], *inner, FIXED[3]]

    @property
    def _top(self) -> int:
        return min(self.top or 0, len(self.class_names))

    def row(self, prediction: Prediction) -> list[Any]:
        """The values; figures of a file that is no picture are None."""
        path = prediction.path
        if self.root and path.is_relative_to(self.root):
            path = path.relative_to(self.root)
        width = len(self.class_names) if self.top is None else 2 * self._top
        probability = prediction.probability
        if prediction.problem or probability is None:
            return [str(path), *[None] * (2 + width), prediction.problem]
        inner: list[Any]
        if self.top is None:
            inner = [round(prediction.probabilities[name], 6) for name in self.class_names]
        else:
            best = prediction.best(self._top)
            inner = [value for name, p in best for value in (name, round(p, 6))]
        return [str(path), prediction.label, round(probability, 6), *inner, None]

    def as_object(self, row: list[Any]) -> dict[str, Any]:
        """A row as JSON has it."""
        path, label, probability, *inner, problem = row
        if problem is not None:
            return {"path": path, "problem": problem}
        if self.top is None:
            pairs = zip(self.class_names, inner, strict=True)
        else:
            pairs = zip(inner[::2], inner[1::2], strict=True)
        return {
            "path": path,
            "label": label,
            "probability": probability,
            "probabilities": dict(pairs),
        }

    def is_figure(self, name: str) -> bool:
        """Whether the column ``name`` holds probabilities."""
        if self.top is None:
            return name not in (FIXED[0], FIXED[1], FIXED[3])
        return name.startswith(FIXED[2])


def write_csv(
    file: TextIO, predictions: Iterable[Prediction], columns: Columns, *, header: bool = True
) -> None:
    """Write a row per file; one that is no picture has empty figures and its problem at the end."""
    writer = RowWriter(file)
    if header:
        writer.writerow(columns.names)
    for prediction in predictions:
        writer.writerow([_text(value) for value in columns.row(prediction)])


def write_json(file: TextIO, predictions: Iterable[Prediction], columns: Columns) -> None:
    """Write a JSON list, an object per file, as they come."""
    write_json_rows(file, map(columns.row, predictions), columns)


def write_json_rows(file: TextIO, rows: Iterable[list[Any]], columns: Columns) -> None:
    """The same from rows that ``read_csv`` gives."""
    before = "[\n"
    for row in rows:
        # JSON's escapes for names that are no UTF-8
        text = json.dumps(columns.as_object(row), indent=2, ensure_ascii=False)
        text = text.encode(errors="backslashreplace").decode()
        file.write(before + textwrap.indent(text, "  "))
        before = ",\n"
    file.write("[]\n" if before == "[\n" else "\n]\n")


def write_lines(file: TextIO, predictions: Iterable[Prediction], top: int | None) -> None:
    """Write a line per file: path, label, probability, with tabs between."""
    for p in predictions:
        words: list[str | None]
        if p.problem:
            words = [p.problem]
        elif top is None:
            words = [p.label, f"{p.probability:.4f}"]
        else:
            words = [word for name, value in p.best(top) for word in (name, f"{value:.4f}")]
            words = [p.label, *words] if p.label != words[0] else words
        print(printable(str(p.path)), *words, sep="\t", file=file)


def read_csv(file: TextIO, columns: Columns) -> Iterator[list[Any]]:
    """Yield the rows that ``write_csv`` wrote, as ``Columns.row`` gives them."""
    reader = csv.reader(file, strict=True)
    next(reader)
    is_figure = [columns.is_figure(name) for name in columns.names]
    for row in reader:
        yield [
            None if text == "" and place else float(text) if figure else text
            for place, (text, figure) in enumerate(zip(row, is_figure, strict=True))
        ]


def write_parquet(path: Path, rows: Iterable[list[Any]], columns: Columns) -> None:
    """Write the rows as Parquet, a few thousand at a time; names that are no UTF-8 are escaped."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = [pa.float64() if columns.is_figure(name) else pa.string() for name in columns.names]
    schema = pa.schema(list(zip(columns.names, kinds, strict=True)))
    rows = iter(rows)
    with pq.ParquetWriter(path, schema) as writer:
        while some := list(islice(rows, _ROWS)):
            arrays = [
                pa.array(values if kind == pa.float64() else map(_escaped, values), kind)
                for values, kind in zip(zip(*some, strict=True), kinds, strict=True)
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def _escaped(text: str | None) -> str | None:
    return text and text.encode(errors="backslashreplace").decode()


def _text(value: object) -> object:
    if value is None:
        return ""
    return f"{value:.6f}" if isinstance(value, float) else value
