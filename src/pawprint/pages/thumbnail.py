"""Small JPEGs of pictures, for pages."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

_QUALITY = 80


def jpeg_of(picture: Image.Image | np.ndarray, side: int = 160) -> bytes:
    """A small JPEG.

    Args:
        picture: RGB; an array is uint8 (height, width, 3), and a Pillow image may be scaled.
        side: pixels that it is at most wide and high. Defaults to 160.
    """
    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    image.thumbnail((side, side), Image.Resampling.BILINEAR)
    content = io.BytesIO()
    image.save(content, "JPEG", quality=_QUALITY)
    return content.getvalue()
