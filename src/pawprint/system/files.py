"""Writing files and folders so that a reader never sees half of one."""

import csv
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO


@contextmanager
def replacing_file(path: Path) -> Generator[Path]:
    """Yield a temporary path beside ``path``; it takes the place of ``path`` on success.

    The temporary name keeps the suffix, because writers choose a format by it. On an exception
    the temporary file is removed and ``path`` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
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
    """Writes rows of CSV that every reader takes apart again: names may hold any character."""

    def __init__(self, file: TextIO) -> None:
        self._plain = csv.writer(file, lineterminator="\n")
        self._quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)

    def writerow(self, row: Iterable[Any]) -> None:
        """Write one row."""
        row = list(row)
        # Python 3.11 does not quote them, and reads them as ends of rows.
        returns = any(type(cell) is str and "\r" in cell for cell in row)
        (self._quoted if returns else self._plain).writerow(row)

    def writerows(self, rows: Iterable[Iterable[Any]]) -> None:
        """Write many."""
        for row in rows:
            self.writerow(row)


def write_table(path: Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a CSV file with a header, whole or not at all."""
    with replacing_table(path) as file:
        writer = RowWriter(file)
        writer.writerow(header)
        writer.writerows(rows)


@contextmanager
def replacing_folder(path: Path) -> Generator[Path]:
    """Yield an empty temporary folder beside ``path``; it takes the place of ``path`` on success.

    On an exception the temporary folder is removed and ``path`` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    temporary.chmod(0o755)  # mkdtemp makes a private folder; this one is to be read by others
    try:
        yield temporary
        old = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
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
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def mend_folder(path: Path) -> None:
    """Put in order what a killed ``replacing_folder`` left; nobody else may be writing ``path``.

    The earlier folder takes its place again where it had been moved away; the rest is removed.
    """
    for left in path.parent.glob(".*"):
        if not re.fullmatch(rf"\.{re.escape(path.name)}\.(old\.)?[a-z0-9_]{{8}}", left.name):
            continue
        if (left / path.name).exists() and not path.exists():
            os.replace(left / path.name, path)
        shutil.rmtree(left, ignore_errors=True)


def mend_file(path: Path) -> None:
    """Remove what a killed ``replacing_file`` left; nobody else may be writing ``path``."""
    for left in path.parent.glob(".*"):
        if re.fullmatch(rf"\.{re.escape(path.stem)}\.\d+\.tmp{re.escape(path.suffix)}", left.name):
            left.unlink(missing_ok=True)


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
