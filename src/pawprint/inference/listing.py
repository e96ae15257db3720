"""Which files are to be classified."""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from io import BufferedReader
from pathlib import Path

from pawprint.data.layout import files_below, visible
from pawprint.system.errors import UserError

LIST = "-"  # in place of a path: read them from standard input


def find_files(
    given: Iterable[str],
    *,
    recursive: bool = False,
    skipped: Callable[[str, int], object] | None = None,
    but: Collection[Path] = (),
) -> Iterator[str]:
    """Yield the given files, and those inside the given folders, sorted; hidden ones are skipped.

    A path that leads nowhere is yielded too, and so is a folder that holds no file or cannot be
    read: its own row will say so.

    Args:
        given: paths of files and folders, taken as they are needed.
        recursive: also enter the sub-folders of the folders. Defaults to False.
        skipped: called with each folder whose sub-folders are not entered, and their number.
        but: files that are no pictures, but written meanwhile.

    Raises:
        UserError: one of ``but`` is given itself.
    """
    own = {os.path.realpath(path) for path in but}
    names = {path.name for path in but} | {os.path.basename(path) for path in own}  # noqa: PTH119

    def is_own(path: str) -> bool:
        return os.path.basename(path) in names and os.path.realpath(path) in own  # noqa: PTH119

    for path in given:
        if not os.path.isdir(path):  # noqa: PTH112 - a Path for each of very many takes longer
            if is_own(path):
                raise UserError(f"{path} is to be read and to be written; write elsewhere")
            yield path
            continue
        folders, files = _inside(path, recursive)
        found = False
        for file in files:
            if not is_own(file):
                found = True
                yield file
        if folders and skipped:
            skipped(path, len(folders))
        if not found:
            yield path


def _inside(folder: str, recursive: bool) -> tuple[list[str], Iterable[str]]:
    """The folders that are not entered, and the files."""
    if recursive:
        return [], files_below(folder, keep_unreadable=True)
    try:
        return visible(folder)
    except UserError:
        return [], []


def read_list(stream: BufferedReader) -> Iterator[str]:
    """Yield the paths on the lines of ``stream``, or between its zero bytes if it has some.

    Names are bytes to the system: those that are not UTF-8 come through as they are.
    """
    rest, separator = b"", b""
    while block := stream.read1(2**16):  # what is there, without waiting for more
        if not separator:
            block = block.removeprefix(codecs.BOM_UTF8)
        separator = separator or (b"\0" if b"\0" in block else b"\n")
        *lines, rest = (rest + block).split(separator)
        yield from _names(lines, separator)
    yield from _names([rest], separator)


def _names(lines: list[bytes], separator: bytes) -> Iterator[str]:
    for line in lines:
        if name := line.removesuffix(b"\r") if separator == b"\n" else line:
            yield os.fsdecode(name)
