"""Small JPEGs of pictures, for pages."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from pawprint.data.decode import PictureError, open_picture
from pawprint.data.layout import PictureFile

_QUALITY = 80


class Thumbnails:
    """Makes the thumbnail of a file, by its path in the manifest."""

    def __init__(self, files: Iterable[PictureFile], side: int = 160) -> None:
        """Args: ``files`` that can be asked for; ``side``, the longer one in pixels."""
        self._locations = {file.path: file.location for file in files}
        self._side = side

    def __call__(self, path: str) -> bytes | None:
        """The picture as JPEG, or None where it cannot be shown."""
        try:
            image = open_picture(Path(self._locations[path]), self._side).image
        except PictureError:
            return None
        image.thumbnail((self._side, self._side), Image.Resampling.BILINEAR)
        content = io.BytesIO()
        image.save(content, "JPEG", quality=_QUALITY)
        return content.getvalue()
