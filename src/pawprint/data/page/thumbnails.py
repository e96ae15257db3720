"""Thumbnails of the files that the audit page shows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pawprint.data.decode import PictureError, open_picture
from pawprint.data.layout import PictureFile
from pawprint.pages.thumbnail import jpeg_of


class Thumbnails:
    """Makes the thumbnail of a file, by its path in the manifest.

    Args:
        files: that can be asked for.
        side: the longer one in pixels. Defaults to 160.
    """

    def __init__(self, files: Iterable[PictureFile], side: int = 160) -> None:
        self._locations = {file.path: file.location for file in files}
        self._side = side

    def __call__(self, path: str) -> bytes | None:
        """The picture as JPEG, or None where it cannot be shown."""
        try:
            image = open_picture(Path(self._locations[path]), self._side).image
        except PictureError:
            return None
        return jpeg_of(image, self._side)
