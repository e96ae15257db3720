"""The one way from a file to pixels, shared by preparation, training, prediction and serving."""

import io
import math
import os
import re
import stat
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import simplejpeg
from PIL import ExifTags, Image, UnidentifiedImageError

from pawprint.data.resize import SQUASH, as_rgb, resize_image
from pawprint.system.errors import UserError

# Only formats that Pillow decodes by itself: EPS, for one, would start another program.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "WEBP", "JPEG2000", "ICO", "AVIF")
_ICON, _LARGEST_ICON = b"\0\0\1\0", 2**16
_HEIC_STARTS = (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypheim", b"ftypheis")

_TURN_OF_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_SPARE = 1.55  # a reduced JPEG is this much larger than the square, or more; 1.5 blurs: in step
WHOLE = 64 * 2**20  # bytes: a larger file is not read into memory at once
_LEAST = 64  # smaller squares reduce no further, so that perceptual hashes do not depend on them
_MODES = {"YCbCr": "RGB", "Gray": "L"}  # of a JPEG, by its colours
TOO_LARGE = "is too large for the memory of this machine"
_SCAN = 0xDA  # begins the pixels of a JPEG, after all that tells of them
_NOT_PLAIN = (b"Exif\0", b"MPF\0", b"http://ns.adobe.com/xap")  # may say how to turn, or hold more


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


def read_picture(source: Path | str | bytes, image_size: int, resize: str = SQUASH) -> np.ndarray:
    """Decode a picture as a person sees it and bring it into a square.

    Turned by its EXIF orientation, transparency over white, any pixel format made RGB, an
    animation's first frame.

    Args:
        source: a file, or its content.
        image_size: side of the square in pixels, 1 or more.
        resize: "squash", "crop" or "pad"; see ``resize_image``. Defaults to "squash".

    Returns:
        uint8 (image_size, image_size, 3), RGB from 0 to 255.

    Raises:
        PictureError: with a short cause, to stand after the file's name.
    """
    return read_picture_with_facts(source, image_size, resize)[0]


def read_picture_with_facts(
    source: Path | str | bytes, image_size: int, resize: str = SQUASH
) -> tuple[np.ndarray, Picture]:
    """As ``read_picture``, with what the file says about itself."""
    if isinstance(source, bytes):
        picture = decode_content(source, image_size)
    else:
        picture = open_picture(source, image_size)
    return np.array(resize_image(picture.image, image_size, resize)), picture


def open_picture(path: Path | str, image_size: int) -> Picture:
    """As ``decode_content``, of a file; one that is very large is not read into memory at once."""
    try:
        with open_file(path) as file:
            if os.fstat(file.fileno()).st_size < WHOLE:
                return decode_content(file.read(), image_size)
            return decode_file(file, image_size)
    except OSError as error:
        raise _problem(error) from error


def open_file(path: Path | str) -> io.FileIO:
    """Open a file to read pictures from it.

    Raises:
        OSError: it cannot be opened.
        PictureError: it is a folder, or a pipe, a device or the like, which might never end.
    """
    mode = os.stat(path).st_mode  # noqa: PTH116 - a Path for each of very many takes longer
    if stat.S_ISDIR(mode) and os.access(path, os.R_OK):
        raise PictureError("is a folder that holds no file")
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise PictureError("cannot be read: it is a pipe, a device or the like")
    return open(path, "rb", buffering=0)  # noqa: PTH123


def decode_content(content: bytes, image_size: int) -> Picture:
    """Decode a file's content, once, into pixels and facts; see ``read_picture``.

    A JPEG that is much larger than needed is decoded at a half, a quarter or an eighth, by the
    reduced inverse cosine transform of libjpeg.

    Args:
        content: the whole file.
        image_size: side in pixels of the square that is to be made of it.
    """
    return _plain_jpeg(content, image_size) or decode_file(io.BytesIO(content), image_size)


def decode_file(file: BinaryIO, image_size: int) -> Picture:
    """As ``decode_content``, of an open file, with Pillow alone; for what is too large for it."""
    try:
        file.seek(0)
        if not file.read(1):
            raise PictureError("is empty (0 bytes)")
        file.seek(0)
        with _PILLOW_QUIET:
            return _decode(file, image_size)
    except PictureError:
        raise
    except UnidentifiedImageError as error:
        file.seek(4)
        if file.read(8) in _HEIC_STARTS:
            sentence = "cannot be read: HEIC is not supported (convert it to JPEG)"
            raise PictureError(sentence) from error
        raise PictureError("is not a picture", "not a picture") from error
    except Exception as error:  # decoders meet damage with errors of any type
        raise _problem(error) from error


def pixels_told(content: bytes) -> int:
    """Width times height by a picture file's head, at once; 0 where that tells none.

    An icon is decoded to see what is in it, so it counts as the largest picture.
    """
    try:
        if content.startswith(_ICON):
            return Image.MAX_IMAGE_PIXELS or _LARGEST_ICON
        if content.startswith(b"\xff\xd8"):
            height, width, *_ = simplejpeg.decode_jpeg_header(content)
        else:
            with _PILLOW_QUIET, Image.open(io.BytesIO(content), formats=_FORMATS) as image:
                width, height = image.size
        return width * height
    except Exception:  # noqa: BLE001 - to decode it says what is wrong
        return 0


def _is_plain(content: bytes) -> bool:
    """Whether it is a JPEG that says nothing of how to turn it, and holds one picture."""
    if not content.startswith(b"\xff\xd8"):
        return False
    place = 2
    while content[place : place + 1] == b"\xff":
        if content[place + 1] == _SCAN:
            return True
        if content.startswith(_NOT_PLAIN, place + 4):
            return False
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return False


def _plain_jpeg(content: bytes, image_size: int) -> Picture | None:
    """Decode several times as fast as Pillow, to the same pixels; None is for Pillow to see to."""
    if not _is_plain(content):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
        if colours not in _MODES or width * height > (Image.MAX_IMAGE_PIXELS or math.inf):
            return None
        by = _reduced(width, height, image_size)
        least_height, least_width = -(-height // by), -(-width // by)
        pixels = simplejpeg.decode_jpeg(
            content, "RGB", min_height=least_height, min_width=least_width
        )
    except (ValueError, MemoryError):  # damage, or what libjpeg warns of and Pillow lets pass
        return None
    image = Image.frombuffer("RGB", pixels.shape[1::-1], pixels, "raw", "RGB", 0, 1)
    rgb = _trimmed(image, width, height, by)
    return Picture(rgb, "JPEG", _MODES[colours], width, height, orientation=1, frames=1)


def _decode(file: BinaryIO, image_size: int) -> Picture:
    with Image.open(file, formats=_FORMATS) as image:
        width, height = image.size
        if width * height > (Image.MAX_IMAGE_PIXELS or math.inf):
            raise _too_large(width * height)
        mode, file_format, frames = image.mode, image.format or "", getattr(image, "n_frames", 1)
        by = _reduced(width, height, image_size)
        image.draft(None, (width // by, height // by))  # of a JPEG
        image.load()
        rgb, orientation = _trimmed(as_rgb(image), width, height, by), _orientation(image)
    turn = _TURN_OF_ORIENTATION.get(orientation)
    if turn is not None:
        rgb = rgb.transpose(turn)
    return Picture(rgb, file_format, mode, width, height, orientation, frames)


def _reduced(width: int, height: int, image_size: int) -> int:
    """By how much a JPEG may be reduced and still be larger than the resize has use for."""
    needed = _SPARE * max(image_size, _LEAST)
    return next((by for by in (8, 4, 2) if min(width, height) / by >= needed), 1)


def _trimmed(image: Image.Image, width: int, height: int, by: int) -> Image.Image:
    """Take off the last column and row of a reduced JPEG where less than half of them is real."""
    if image.size == (width, height):
        return image
    size = ((2 * width + by) // (2 * by), (2 * height + by) // (2 * by))
    return image if image.size == size else image.crop((0, 0, *size))


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001 - its EXIF block is broken, and the picture still there
        return 1
    return orientation if orientation in _TURN_OF_ORIENTATION else 1


def _problem(error: Exception) -> PictureError:
    if isinstance(error, Image.DecompressionBombError):
        return _too_large(int(re.findall(r"\d+", str(error))[0]))
    if isinstance(error, EOFError) or "truncated" in str(error).lower():
        return PictureError("is truncated", "truncated")
    if isinstance(error, MemoryError):
        return PictureError(TOO_LARGE)
    cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return PictureError(f"cannot be read: {' '.join(cause.split()) or type(error).__name__}")


def _too_large(pixels: int) -> PictureError:
    return PictureError(
        f"is too large ({pixels:,} pixels: a possible decompression bomb)", "decompression bomb"
    )


class _Quiet:
    """Hides Pillow's warnings while any thread decodes.

    Python's warning filters belong to the whole process, and ``catch_warnings`` in several
    threads restores them in the wrong order: so the first in sets them, the last out puts them
    back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._filters.__exit__(None, None, None)


_PILLOW_QUIET = _Quiet()
