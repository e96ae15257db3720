"""Prepared pictures once more, from their files, for a network that sees them at another size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from pawprint.data.decode import read_picture
from pawprint.data.layout import find_pictures
from pawprint.data.picture import MOST_PIXELS, PictureError, pixels_at_most
from pawprint.data.sources.source import name_of, open_images
from pawprint.data.store import Summary
from pawprint.data.unlabelled import find_unlabelled, unlabelled_folder
from pawprint.system.errors import UserError

Find = Callable[[Path, str], Mapping[str, str]]


class Originals:
    """Pictures uint8 (n, size, size, 3), RGB, each decoded from its file whenever it is read.

    To be read within a ``with`` block, by slices or arrays of numbers. The source is opened by the
    first read: an archive of which nothing is read is not unpacked.

    Args:
        paths: of the pictures (n), relative to the images.
        images: the source that they were prepared from, a folder, an archive or an address.
        find: from the opened source, and its name for errors, to where the file of each path is.
        size: side of the pictures in pixels.
        resize: how they become square, "squash", "crop" or "pad".
        max_megapixels: of a picture; None for the usual limit.
        prepared: the prepared folder, beside which an archive is unpacked.
        downloads: where downloads are kept.
    """

    def __init__(
        self,
        paths: Sequence[str],
        images: Path | str,
        find: Find,
        *,
        size: int,
        resize: str,
        max_megapixels: float | None,
        prepared: Path,
        downloads: Path,
    ) -> None:
        self._paths, self._images, self._find = paths, images, find
        self._size, self._resize, self._most = size, resize, max_megapixels
        self._prepared, self._downloads = prepared, downloads
        self._stack = ExitStack()
        self._places: Mapping[str, str] | None = None

    def __enter__(self) -> Originals:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._places = None

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: Any) -> np.ndarray:
        """Decode some of them.

        Raises:
            UserError: the source or a file is gone, or cannot be read any more.
        """
        places = self._places if self._places is not None else self._open()
        rows = np.arange(len(self._paths))[index]
        out = np.empty((len(rows), self._size, self._size, 3), np.uint8)
        for picture, row in zip(out, rows, strict=True):
            path = self._paths[row]
            try:
                picture[:] = read_picture(places[path], self._size, self._resize)
            except PictureError as error:
                raise UserError(
                    f'{path!a} in "{name_of(self._images)}" {error}; prepare again with `dvc repro`'
                ) from error
        return out

    def _open(self) -> Mapping[str, str]:
        most, name = int(self._most * 1e6) if self._most else MOST_PIXELS, name_of(self._images)
        self._stack.enter_context(pixels_at_most(most))
        source = open_images(self._images, self._prepared, self._downloads)
        folder = self._stack.enter_context(source)
        self._places = self._find(folder, name)
        gone = [path for path in self._paths if path not in self._places]
        if gone:
            raise UserError(
                f'{len(gone)} pictures are gone from "{name}", {gone[0]!a} among them; prepare '
                "again with `dvc repro`"
            )
        return self._places


def labelled_originals(
    paths: Sequence[str],
    summary: Summary,
    images: Path | str,
    *,
    size: int,
    resize: str,
    prepared: Path,
    downloads: Path,
) -> Originals:
    """Those of some prepared pictures; see ``Originals``.

    Args:
        paths: theirs.
        summary: of the prepared folder.
        images: the source that it says, where it is on this machine.
        size: side of the pictures in pixels.
        resize: how they become square.
        prepared: the prepared folder.
        downloads: where downloads are kept.
    """

    def find(folder: Path, name: str) -> Mapping[str, str]:
        files = find_pictures(folder, name, summary.given_splits).files
        return {file.path: file.location for file in files}

    return Originals(
        paths,
        images,
        find,
        size=size,
        resize=resize,
        max_megapixels=summary.max_megapixels,
        prepared=prepared,
        downloads=downloads,
    )


def unlabelled_originals(
    paths: Sequence[str],
    summary: Summary,
    images: Path | str,
    *,
    size: int,
    prepared: Path,
    downloads: Path,
) -> Originals:
    """Those of some pictures without labels; see ``labelled_originals``."""

    def find(folder: Path, name: str) -> Mapping[str, str]:
        return {file.path: file.location for file in find_unlabelled(folder, name)}

    return Originals(
        paths,
        images,
        find,
        size=size,
        resize=summary.resize,
        max_megapixels=summary.max_megapixels,
        prepared=unlabelled_folder(prepared),
        downloads=downloads,
    )


class Joined:
    """Pictures of two sources, one behind the other, to be read by slices."""

    def __init__(self, first: Any, second: Any) -> None:
        self._first, self._second = first, second

    def __len__(self) -> int:
        return len(self._first) + len(self._second)

    def __getitem__(self, index: slice) -> np.ndarray:
        start, stop, _ = index.indices(len(self))
        border = len(self._first)
        parts = [
            part[max(0, start - before) : max(0, stop - before)]
            for part, before in ((self._first, 0), (self._second, border))
        ]
        return np.concatenate(parts)
