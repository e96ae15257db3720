"""Writing files and folders so that a reader never sees half of one."""

import csv
import hashlib
import json
import os
import re
import shutil
import time
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from pawprint.system.errors import OF_THE_DISK

_DAY = 86_400  # seconds
_FORMULAS = frozenset("=+-@\t\r\n＝＋－＠")  # what a formula begins with in a spreadsheet
_BEFORE_FORMULAS = _FORMULAS | {"'"}


@contextmanager
def replacing_file(path: Path) -> Generator[Path]:
    """Yield a temporary path beside ``path``; it takes the place of ``path`` on success.

    The temporary name keeps the suffix, because writers choose a format by it. On an exception
    the temporary file is removed and ``path`` stays as it was; what a killed process left is
    removed before.

    Raises:
        OSError: it cannot be written; the error has the name ``path`` where it had none.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    mend(path)
    temporary = _beside(path, "tmp")
    with _named(path, temporary):
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing_table(path: Path) -> Generator[TextIO]:
    """Yield a text file for a CSV writer; it takes the place of ``path`` on success.

    File names come through it as they are, also those that are not UTF-8.
    """
    with (
        replacing_file(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        yield file


class RowWriter:
    """Writes rows of CSV that every reader takes apart again: names may hold any character.

    A text that a spreadsheet would run as a formula gets an apostrophe in front, as OWASP advises
    against CSV injection; ``read_rows`` takes it away.
    """

    def __init__(self, file: TextIO) -> None:
        self._plain = csv.writer(file, lineterminator="\n")
        self._quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)

    def writerow(self, row: Iterable[Any]) -> None:
        """Write one row."""
        row = [f"'{cell}" if _is_formula(cell) else cell for cell in row]
        # Python 3.11 does not quote them, and reads them as ends of rows.
        returns = any(isinstance(cell, str) and "\r" in cell for cell in row)
        (self._quoted if returns else self._plain).writerow(row)

    def writerows(self, rows: Iterable[Iterable[Any]]) -> None:
        """Write many."""
        for row in rows:
            self.writerow(row)


def read_rows(file: Iterable[str]) -> Iterator[list[str]]:
    """Yield the rows that ``RowWriter`` wrote, the first included, with their cells as given.

    Args:
        file: its lines, with their ends as they are (``newline=""``).

    Raises:
        csv.Error: it is no such table.
    """
    for row in csv.reader(file, strict=True):
        yield [cell[1:] if cell[:1] == "'" and _is_formula(cell[1:]) else cell for cell in row]


def _is_formula(cell: Any) -> bool:
    """Whether a cell is a text that begins as a formula does, perhaps behind apostrophes."""
    if not isinstance(cell, str) or cell[:1] not in _BEFORE_FORMULAS:
        return False
    if cell.lstrip("'")[:1] not in _FORMULAS:
        return False
    try:
        float(cell)
    except ValueError:
        return True
    return False  # a number


def write_table(path: Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a CSV file with a header, whole or not at all."""
    with replacing_table(path) as file:
        writer = RowWriter(file)
        writer.writerow(header)
        writer.writerows(rows)


@contextmanager
def replacing_folder(path: Path) -> Generator[Path]:
    """Yield an empty temporary folder beside ``path``; it takes the place of ``path`` on success.

    On an exception the temporary folder is removed and ``path`` stays as it was; what a killed
    process left is put in order before.

    Raises:
        OSError: it cannot be written; the error has the name ``path`` where it had none.
    """
    old = _beside(path, "old")
    with _temporary_folder(path) as temporary:
        yield temporary
        old.mkdir()
        try:
            if path.exists():
                os.replace(path, old / path.name)
            try:
                os.replace(temporary, path)
            except OSError:
                if (old / path.name).exists():
                    os.replace(old / path.name, path)
                raise
        finally:
            shutil.rmtree(old, ignore_errors=True)


@contextmanager
def replacing_files(folder: Path, last: str) -> Generator[Path]:
    """Yield an empty temporary folder beside ``folder``, whose files move there on success.

    The file ``last`` says that the others belong together: the earlier one is removed before any
    other file is replaced, the new one moves at the end. What else is in ``folder`` stays.

    Raises:
        OSError: one cannot be written; the error has the name ``folder`` where it had none.
    """
    with _temporary_folder(folder) as temporary:
        yield temporary
        folder.mkdir(exist_ok=True)
        (folder / last).unlink(missing_ok=True)
        for file in sorted(temporary.iterdir(), key=lambda file: file.name == last):
            os.replace(file, folder / file.name)


@contextmanager
def _temporary_folder(path: Path) -> Generator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    mend(path)
    temporary = _beside(path, "tmp")
    with _named(path, temporary):
        try:
            temporary.mkdir()
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def mend(path: Path) -> None:
    """Put in order what a killed process left when it was replacing the file or folder ``path``.

    An earlier folder takes its place again where it had been moved away; the rest is removed. What
    may be in work is left alone: that of a process that runs, and of another machine for a day.
    """
    try:
        names = [entry.name for entry in os.scandir(path.parent) if entry.name.startswith(".")]
    except FileNotFoundError:
        return
    stem, suffix = re.escape(path.stem), re.escape(path.suffix)
    # A writer may replace the temporary file in turn, and SQLite keeps a journal beside one.
    mark = r"\.(?:([0-9a-f]{8})\.)?(\d{1,9})\.(tmp|old)"
    pattern = re.compile(rf"\.+{stem}(?:{mark})+{suffix}(?:-journal)?")
    for name in names:
        left = path.with_name(name)
        if (found := pattern.fullmatch(name)) and _is_abandoned(left, found[1], int(found[2])):
            if found[3] == "old" and (left / path.name).exists() and not path.exists():
                os.replace(left / path.name, path)
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def _beside(path: Path, kind: str) -> Path:
    """The hidden name beside ``path`` that this process has for it."""
    return path.with_name(f".{path.stem}.{_machine()}.{os.getpid()}.{kind}{path.suffix}")


def _machine() -> str:
    """Eight hex digits of this machine's name; containers have their own, and their own pids."""
    return f"{zlib.crc32(os.uname().nodename.encode()):08x}"


def _is_abandoned(left: Path, machine: str | None, process: int) -> bool:
    """Whether nobody writes that file or folder any more."""
    with suppress(OSError):
        if time.time() - left.stat().st_mtime > _DAY:
            return True
    if machine not in (None, _machine()):
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's
        return False
    return process == os.getpid()  # of an earlier process of that number


@contextmanager
def _named(path: Path, temporary: Path) -> Generator[None]:
    """Give an error of the disk in the block the name that a person knows."""
    try:
        yield
    except OSError as error:
        if error.errno in OF_THE_DISK:
            name = os.fsdecode(error.filename or path)
            error.filename = name.replace(str(temporary), str(path))
        raise


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as indented JSON, in the order of its keys."""
    with replacing_file(path) as temporary:
        text = json.dumps(content, indent=2, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def sha256_of(path: Path) -> str:
    """The digest of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(content: Any) -> str:
    """16 hex digits of what JSON holds, whatever the order of its keys; the rest as its text."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
