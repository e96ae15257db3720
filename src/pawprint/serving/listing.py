"""Which files are to be classified."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from io import BufferedReader

from pawprint.errors import UserError
from pawprint.images.layout import files_below, visible

LIST = "-"  # in place of a path: read them from standard input


def find_files(
    given: Iterable[str],
    *,
    recursive: bool = False,
    skipped: Callable[[str, int], object] = lambda folder, count: None,
) -> Iterator[str]:
    """Yield the given files, and those inside the given folders, sorted; hidden ones are skipped.

    A path that leads nowhere is yielded too: its own row will say so.

    Args:
        given: paths of files and folders, taken as they are needed.
        recursive: also enter the sub-folders of the folders. Defaults to False.
        skipped: called with each folder whose sub-folders are not entered, and their number.

    Raises:
        UserError: a folder holds no file, or cannot be read.
    """
    for path in given:
        if not os.path.isdir(path):  # noqa: PTH112 - a Path for each of very many takes longer
            yield path
            continue
        folders, files = ([], files_below(path)) if recursive else visible(path)
        found = None
        for found in files:
            yield found
        if folders and found:
            skipped(path, len(folders))
        elif folders:
            raise UserError(
                f"{path} holds no file, only {len(folders)} folder{'s' * (len(folders) > 1)}; "
                "enter with --recursive"
            )
        elif not found:
            raise UserError(f"{path} holds no file; give pictures or a folder with pictures")


def read_list(stream: BufferedReader) -> Iterator[str]:
    """Yield the paths on the lines of ``stream``, or between its zero bytes if it has some.

    Names are bytes to the system: those that are not UTF-8 come through as they are.
    """
    rest, separator = b"", b""
    while block := stream.read1(2**16):  # what is there, without waiting for more
        separator = separator or (b"\0" if b"\0" in block else b"\n")
        *lines, rest = (rest + block).split(separator)
        yield from _names(lines, separator)
    yield from _names([rest], separator)


def _names(lines: list[bytes], separator: bytes) -> Iterator[str]:
    for line in lines:
        if name := line.removesuffix(b"\r") if separator == b"\n" else line:
            yield os.fsdecode(name)
