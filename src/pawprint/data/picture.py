"""What a picture file holds once it is decoded, or why it is not."""

import logging
import math
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import ExifTags, Image

from pawprint.system.errors import UserError

MOST_PIXELS, LONGEST_SIDE = 200_000_000, 65_535
_TURN_OF_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class PictureError(UserError):
    """A file that cannot be shown as a picture.

    The message is a short cause to stand after the file's name: "is truncated".

    Attributes:
        kind: "unreadable", "truncated", "not a picture" or "decompression bomb".
    """

    def __init__(self, message: str, kind: str = "unreadable") -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture and what its file says about itself."""

    image: Image.Image  # as a person sees it: RGB, upright, over white; perhaps smaller than stored
    format: str  # Pillow's name of the file format, as "JPEG"
    mode: str  # Pillow's name of the pixel format in the file, as "RGB" or "CMYK"
    width: int  # pixels in the file, before any turning
    height: int  # the same
    orientation: int  # by EXIF, 1 (upright) to 8
    frames: int  # 1, or more for an animation; the first is the one decoded
    damage: str | None = None  # what is wrong inside, where some of it is not as it was


@contextmanager
def pixels_at_most(pixels: int) -> Iterator[None]:
    """Let pictures have so many pixels in this process, and those that it forks, until the end."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, pixels
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def check_size(width: int, height: int) -> None:
    """See that a picture of that size may be decoded.

    Raises:
        PictureError: it has too many pixels, or a side is so long that rows alone take memory.
    """
    if max(width, height) > LONGEST_SIDE:
        size = f"{width:,} × {height:,} pixels"
        raise PictureError(
            f"is too long ({size}: a possible decompression bomb)", "decompression bomb"
        )
    if width * height > (Image.MAX_IMAGE_PIXELS or math.inf):
        raise too_large(width * height)


def too_large(pixels: int) -> PictureError:
    """The error of a picture that has so many pixels."""
    return PictureError(
        f"is too large ({pixels:,} pixels: a possible decompression bomb)", "decompression bomb"
    )


def turned(rgb: Image.Image, orientation: int) -> Image.Image:
    """A picture upright, by its EXIF orientation, 1 to 8."""
    turn = _TURN_OF_ORIENTATION.get(orientation)
    return rgb if turn is None else rgb.transpose(turn)


def orientation_of(image: Image.Image) -> int:
    """How an open file is to be turned, by its EXIF or XMP, 1 (not at all) to 8."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001 - its EXIF block is broken, and the picture still there
        return 1
    return orientation if orientation in _TURN_OF_ORIENTATION else 1


class _Quiet:
    """Hides what Pillow and tifffile tell of files, without naming them, while any thread decodes.

    Python's warning filters belong to the whole process, and ``catch_warnings`` in several
    threads restores them in the wrong order: so the first in sets them, the last out puts them
    back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = warnings.catch_warnings()
        self._logs = [logging.getLogger(name) for name in ("tifffile", "PIL.TiffImagePlugin")]

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.filterwarnings("ignore", module=r"(PIL|tifffile|pi_heif)\b")
                for log in self._logs:
                    log.disabled = True
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._filters.__exit__(None, None, None)
                for log in self._logs:
                    log.disabled = False


QUIET = _Quiet()
