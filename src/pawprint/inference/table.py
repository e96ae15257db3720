"""Predictions as rows of CSV, JSON and Parquet, in files that a stopped command goes on with."""

from __future__ import annotations

import contextlib
import csv
import glob
import hashlib
import json
import os
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

import numpy as np

from pawprint.inference.predictor import Prediction, Predictor, class_columns
from pawprint.system.errors import UserError
from pawprint.system.files import RowWriter, read_rows, replacing_file, replacing_table
from pawprint.system.lock import locked
from pawprint.system.terminal import printable

if TYPE_CHECKING:
    import pyarrow

FORMS = ("csv", "json", "parquet")
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
        if self.root and isinstance(path, Path) and path.is_relative_to(self.root):
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

    @property
    def schema(self) -> pyarrow.Schema:
        """The columns with their types, as Arrow has them."""
        import pyarrow as pa

        kinds = [pa.float64() if self.is_figure(name) else pa.string() for name in self.names]
        return pa.schema(list(zip(self.names, kinds, strict=True)))

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
        row = columns.row(prediction)
        writer.writerow([f"{value:.6f}" if isinstance(value, float) else value for value in row])


def write_json(file: TextIO, rows: Iterable[list[Any]], columns: Columns) -> None:
    """Write the rows as a JSON list, an object per file, as they come."""
    before = "[\n"
    for row in rows:
        text = _as_utf8(json.dumps(columns.as_object(row), indent=2, ensure_ascii=False))
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
    reader = read_rows(file)
    next(reader)
    is_figure = [columns.is_figure(name) for name in columns.names]
    for row in reader:
        yield [
            None if text == "" and place else float(text) if figure else text
            for place, (text, figure) in enumerate(zip(row, is_figure, strict=True))
        ]


def write_parquet(path: Path, rows: Iterable[list[Any]], columns: Columns) -> None:
    """Write the rows as Parquet, a few thousand at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetWriter(path, columns.schema) as writer:
        for batch in record_batches(rows, columns):
            writer.write_batch(batch)


def record_batches(rows: Iterable[list[Any]], columns: Columns) -> Iterator[pyarrow.RecordBatch]:
    """Yield the rows as Arrow has them, some thousands together; odd names are escaped as UTF-8."""
    import pyarrow as pa

    rows, schema = iter(rows), columns.schema
    while some := list(islice(rows, _ROWS)):
        arrays = [
            pa.array(values if kind == pa.float64() else map(_as_utf8, values), kind)
            for values, kind in zip(zip(*some, strict=True), schema.types, strict=True)
        ]
        yield pa.record_batch(arrays, schema=schema)


def _as_utf8(text: Any) -> Any:
    """A text, or None; of a name that is no UTF-8 with escapes as JSON has them."""
    return text and text.encode(errors="backslashreplace").decode()


class Output:
    """A table that takes its place when it is complete.

    Until then its rows are in a hidden file beside it, named after all that decides what they
    say: the same command goes on after the last whole one. Rows of files that it no longer asks
    for are left out at the end.

    Attributes:
        done: how many rows there are from before.
    """

    def __init__(self, path: Path, form: str, columns: Columns, part: Path) -> None:
        self._path, self._form, self._columns, self._part = path, form, columns, part
        self._earlier = _RowCounts(_cut_torn_row(part, columns) if part.exists() else [])
        self.done = self._earlier.count

    def missing(self, files: Iterable[str]) -> Iterator[str]:
        """Yield those of the files that have no row yet."""
        for file in files:
            if not (self.done and self._earlier.take(str(Path(file)))):
                yield file

    def write(self, predictions: Iterable[Prediction]) -> None:
        """Add a row for each."""
        with _open_text(self._part, "a") as file:
            write_csv(file, predictions, self._columns, header=self._part.stat().st_size == 0)

    def finish(self) -> None:
        """Put the whole table in its place."""
        if self._earlier.count:
            self._drop_unneeded()
        if self._form == "csv":
            os.replace(self._part, self._path)
        else:
            with replacing_file(self._path) as temporary, _open_text(self._part) as file:
                rows = read_csv(file, self._columns)
                if self._form == "parquet":
                    write_parquet(temporary, rows, self._columns)
                else:
                    with temporary.open("w", encoding="utf-8") as out:
                        write_json(out, rows, self._columns)
        parts = f".{glob.escape(self._path.name)}.{'[0-9a-f]' * 12}.part"
        for part in self._path.parent.glob(parts):  # of other networks or settings too
            part.unlink(missing_ok=True)

    def _drop_unneeded(self) -> None:
        self.done -= self._earlier.count
        with _open_text(self._part) as file, replacing_table(self._part) as out:
            rows, kept = read_rows(file), RowWriter(out)
            kept.writerow(next(rows))
            kept.writerows(row for row in rows if not self._earlier.take(row[0]))


@contextlib.contextmanager
def output(path: Path, form: str, columns: Columns, predictor: Predictor) -> Iterator[Output]:
    """The table at ``path``, in one of ``FORMS``, which no other process writes meanwhile.

    Raises:
        UserError: it cannot be written there, or another process is writing it.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a file in it, as {path / 'predictions'}.{form}")
    special = str(path.absolute()).startswith(("/dev/", "/proc/"))
    if special or (path.exists() and not path.is_file()):
        raise UserError(
            f"{path} is a pipe, a device or the like, and no file that can be replaced; write to "
            "standard output without --output"
        )
    path = Path(os.path.realpath(path))  # a link stays one
    if not path.parent.is_dir():
        raise UserError(f"the folder {path.parent} does not exist; make it, or write elsewhere")
    digest = hashlib.sha256(Path(predictor.path).read_bytes())
    # The folder too: the same names mean other files elsewhere.
    digest.update(repr((columns, predictor.threshold, os.getcwd())).encode())  # noqa: PTH109
    part = path.with_name(f".{path.name}.{digest.hexdigest()[:12]}.part")
    lock = path.with_name(f".{path.name}.lock")
    busy = f"another process is writing {path}; wait for it, or write elsewhere"
    try:
        with locked(lock, busy=busy):
            try:
                yield Output(path, form, columns, part)
            finally:
                lock.unlink(missing_ok=True)
    except OSError as error:
        if error.filename is not None and Path(error.filename).parent != path.parent:
            raise
        raise UserError(
            f"{path} cannot be written ({error.strerror}); free room or mend permissions, then "
            "the same command goes on"
        ) from error


def _open_text(path: Path, mode: Literal["r", "a"] = "r") -> TextIO:
    return path.open(mode, encoding="utf-8", errors="surrogateescape", newline="")


class _RowCounts:
    """How many rows of each path there are that are not asked for yet, in little memory."""

    def __init__(self, digests: list[np.uint64]) -> None:
        self._digests, self._counts = np.unique(np.array(digests, np.uint64), return_counts=True)
        self.count = len(digests)

    def take(self, path: str) -> bool:
        """Whether there was one more of that path."""
        digest = _digest(path)
        at = np.searchsorted(self._digests, digest)
        if at == len(self._digests) or self._digests[at] != digest or not self._counts[at]:
            return False
        self._counts[at] -= 1
        self.count -= 1
        return True


def _cut_torn_row(part: Path, columns: Columns) -> list[np.uint64]:
    """Cut off a row that was not written to its end; digests of the paths of the others."""
    size, whole = 0, True  # bytes of the lines read so far, and whether the last one has its end

    def counted(lines: Iterable[str]) -> Iterator[str]:
        nonlocal size, whole
        for line in lines:
            size += len(line.encode("utf-8", "surrogateescape"))
            whole = line.endswith("\n")
            yield line

    end, digests = 0, []
    with _open_text(part) as file:
        rows = read_rows(counted(file))
        with contextlib.suppress(csv.Error):  # the end of a file within quotes
            if next(rows, None) == columns.names and whole:
                end = size
                for row in rows:
                    if not whole or len(row) != len(columns.names):
                        break
                    digests.append(_digest(row[0]))
                    end = size
    os.truncate(part, end)
    return digests


def _digest(path: str) -> np.uint64:
    content = hashlib.blake2b(os.fsencode(path), digest_size=8).digest()
    return np.frombuffer(content, np.uint64)[0]
