"""What lies in folders, without what is hidden."""

import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pawprint.system.errors import UserError

# What systems and programs leave among a person's pictures.
_JUNK = re.compile(
    r"\._.*|\.ds_store|\.trash.*|__macosx|(eh)?thumbs\.db|desktop\.ini|@eadir|lost\+found"
    r"|[$#@]recycle(\.bin)?|(?-i:RECYCLER)|[#@~](recently-)?snapshots?|found\.\d{3}"
    r"|system volume information|network trash folder|temporary items",
    re.IGNORECASE,
)
_PICTURE = re.compile(
    r"\.(jpe?g|png|gif|bmp|p[bgpn]m|tiff?|webp|jp2|ico|avif|hei[cf])$", re.IGNORECASE
)
_LOOKED_AT = 1000  # files of a hidden folder


def visible(folder: Path | str) -> tuple[list[str], list[str]]:
    """List the folders and the files directly in ``folder``, sorted, without the hidden."""
    folders, files, _ = listed(folder)
    return folders, files


def listed(folder: Path | str) -> tuple[list[str], list[str], list[str]]:
    """As ``visible``, and what is hidden but for junk."""
    try:
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(
            f'the folder "{folder}" cannot be read ({error.strerror}): mend its permissions'
        ) from error
    folders, files, hidden = [], [], []
    for entry in entries:
        if is_hidden(entry.name):
            if not _JUNK.fullmatch(entry.name):
                hidden.append(entry.path)
        elif _is_folder(entry):
            folders.append(entry.path)
        else:  # also a broken link or a pipe: listed as unreadable
            files.append(entry.path)
    return folders, files, hidden


def files_below(
    folder: Path | str,
    excluded: set[str] | None = None,
    *,
    keep_unreadable: bool = False,
    hidden: list[str] | None = None,
) -> Iterator[str]:
    """Yield the files in a folder and its sub-folders, without the hidden.

    A folder is read once, however many links lead to it.

    Args:
        folder: where to look.
        excluded: real paths of folders not to read. Defaults to none.
        keep_unreadable: whether a folder that cannot be read is yielded as if it were a file.
            Defaults to False.
        hidden: gets the paths of what is hidden, but for junk. Defaults to none.

    Raises:
        UserError: a folder cannot be read.
    """
    visited = set(excluded or ())
    waiting = [str(folder)]
    while waiting:  # not by calling itself: folders may lie very deep
        folder = waiting.pop()
        real = os.path.realpath(folder)
        if real not in visited:
            visited.add(real)
            try:
                folders, files, own_hidden = listed(folder)
            except UserError:
                if not keep_unreadable:
                    raise
                folders, files, own_hidden = [], [folder], []
            if hidden is not None:
                hidden += own_hidden
            waiting += reversed(folders)
            yield from files


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is none of a person's pictures."""
    return name.startswith(".") or _JUNK.fullmatch(name) is not None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def holds_pictures(path: str) -> bool:
    """Whether a hidden file or folder may be pictures, by the names of some of its files."""
    files = islice(files_below(path, keep_unreadable=True), _LOOKED_AT)
    return any(map(is_picture_name, files if os.path.isdir(path) else [path]))  # noqa: PTH112


def is_picture_name(path: str) -> bool:
    """Whether a file is called as pictures are."""
    return _PICTURE.search(path) is not None
