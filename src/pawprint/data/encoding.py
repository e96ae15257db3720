"""How a square picture lies on disk: as it is, or from a certain size on as a JPEG."""

from __future__ import annotations

import numpy as np
import simplejpeg
from PIL import Image

RAW_TO = 128  # largest image_size stored as it is: 48 KiB a picture
_QUALITY = 95  # and whole chroma: differs from the picture by about one step of 255


def is_raw(image_size: int) -> bool:
    """Whether pictures of this size are stored as they are."""
    return image_size <= RAW_TO


def bytes_of_one(image_size: int) -> int:
    """About how many bytes a picture takes on disk, rather too many."""
    return 3 * image_size**2 if is_raw(image_size) else image_size**2 // 2


def encode(image: Image.Image) -> bytes:
    """Bytes of an RGB picture."""
    if is_raw(image.width):
        return image.tobytes()
    pixels = np.ascontiguousarray(image)
    return simplejpeg.encode_jpeg(pixels, quality=_QUALITY, colorsubsampling="444")


def decode(content: bytes | memoryview, out: np.ndarray) -> None:
    """Write a picture that ``encode`` made a JPEG of into uint8 (size, size, 3).

    Raises:
        ValueError: the bytes are damaged.
    """
    simplejpeg.decode_jpeg(content, "RGB", buffer=out)
