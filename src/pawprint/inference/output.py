"""A table of predictions in a file, which a stopped command goes on with."""

from __future__ import annotations

import contextlib
import csv
import glob
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, TextIO

import numpy as np

from pawprint.inference.predictor import Prediction, Predictor
from pawprint.inference.table import Columns, read_csv, write_csv, write_json_rows, write_parquet
from pawprint.system.errors import UserError
from pawprint.system.files import RowWriter, replacing_file, replacing_table
from pawprint.system.lock import locked

FORMS = ("csv", "json", "parquet")


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
                        write_json_rows(out, rows, self._columns)
        parts = f".{glob.escape(self._path.name)}.{'[0-9a-f]' * 12}.part"
        for part in self._path.parent.glob(parts):  # of other networks or settings too
            part.unlink(missing_ok=True)

    def _drop_unneeded(self) -> None:
        self.done -= self._earlier.count
        with _open_text(self._part) as file, replacing_table(self._part) as out:
            rows, kept = csv.reader(file, strict=True), RowWriter(out)
            kept.writerow(next(rows))
            kept.writerows(row for row in rows if not self._earlier.take(row[0]))


@contextlib.contextmanager
def output(path: Path, form: str, columns: Columns, predictor: Predictor) -> Iterator[Output]:
    """The table at ``path``, which no other process writes at the same time.

    Args:
        path: where it is to be.
        form: "csv", "json" or "parquet".
        columns: what stands in a row.
        predictor: who answers.

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
        rows = csv.reader(counted(file), strict=True)
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
