"""A table of predictions in a file, which a stopped command goes on with."""

from __future__ import annotations

import contextlib
import csv
import glob
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from pawprint.inference.predictor import Prediction, Predictor
from pawprint.inference.table import Columns, read_csv, write_csv, write_json_rows, write_parquet
from pawprint.system.errors import UserError
from pawprint.system.files import RowWriter, replacing_file, replacing_table
from pawprint.system.lock import locked

FORMS = ("csv", "json", "parquet")
_TEXT = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}


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
        self.done = 0
        self._left = _Left(_mend(part, columns) if part.exists() else [])
        self.done = self._left.count

    def missing(self, files: Iterable[str]) -> Iterator[str]:
        """Yield those of the files that have no row yet."""
        for file in files:
            if not (self.done and self._left.take(str(Path(file)))):
                yield file

    def write(self, predictions: Iterable[Prediction]) -> None:
        """Add a row for each."""
        with self._part.open("a", **_TEXT) as file:
            write_csv(file, predictions, self._columns, header=self._part.stat().st_size == 0)

    def finish(self) -> None:
        """Put the whole table in its place."""
        if self._left.count:
            self._drop_left()
        if self._form == "csv":
            os.replace(self._part, self._path)
        else:
            with replacing_file(self._path) as temporary, self._part.open(**_TEXT) as file:
                rows = read_csv(file, self._columns)
                if self._form == "parquet":
                    write_parquet(temporary, rows, self._columns)
                else:
                    with temporary.open("w", encoding="utf-8") as out:
                        write_json_rows(out, rows, self._columns)
        for other in _parts(self._path):  # of other networks or settings too
            other.unlink(missing_ok=True)

    def _drop_left(self) -> None:
        self.done -= self._left.count
        with self._part.open(**_TEXT) as file, replacing_table(self._part) as out:
            rows, kept = csv.reader(file, strict=True), RowWriter(out)
            kept.writerow(next(rows))
            kept.writerows(row for row in rows if not self._left.take(row[0]))


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


def _parts(path: Path) -> Iterator[Path]:
    return path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 12}.part")


class _Left:
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


def _mend(part: Path, columns: Columns) -> list[np.uint64]:
    """Cut off a row that was not written to its end; digests of the paths of the others."""
    end, digests = 0, []
    with part.open(**_TEXT) as file:
        lines = _Counted(file)
        rows = csv.reader(lines, strict=True)
        with contextlib.suppress(csv.Error):  # the end of a file within quotes
            if next(rows, None) == columns.names and lines.whole:
                end = lines.bytes
                for row in rows:
                    if not lines.whole or len(row) != len(columns.names):
                        break
                    digests.append(_digest(row[0]))
                    end = lines.bytes
    os.truncate(part, end)
    return digests


class _Counted:
    """Lines of a file, and how many bytes they had."""

    def __init__(self, file: Iterable[str]) -> None:
        self._lines = iter(file)
        self.bytes, self.whole = 0, True

    def __iter__(self) -> _Counted:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.bytes += len(line.encode("utf-8", "surrogateescape"))
        self.whole = line.endswith("\n")
        return line


def _digest(path: str) -> np.uint64:
    content = hashlib.blake2b(os.fsencode(path), digest_size=8).digest()
    return np.frombuffer(content, np.uint64)[0]
