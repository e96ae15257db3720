"""The one way from a file to pixels, shared by preparation, training, prediction and serving."""

from __future__ import annotations

import io
import re
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from pawprint.errors import UserError

# Only formats that Pillow decodes by itself: EPS, for one, would start another program.
_FORMATS = (
    "JPEG",
    "PNG",
    "GIF",
    "BMP",
    "PPM",
    "TIFF",
    "WEBP",
    "JPEG2000",
    "ICO",
    "AVIF",
)
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


class PictureError(UserError):
    """A file that cannot be shown as a picture.

    The message is a short cause to stand after the file's name: "is truncated".
    """


@dataclass(frozen=True)
class Picture:
    """A decoded picture and what its file says about itself.

    Attributes:
        array: uint8 (image_size, image_size, 3), RGB from 0 to 255.
        format: Pillow's name of the file format, as "JPEG".
        mode: Pillow's name of the pixel format in the file, as "RGB" or "CMYK".
        width: Pixels in the file, before any turning.
        height: Pixels in the file, before any turning.
        frames: 1, or more for an animation; the first is the one decoded.
    """

    array: np.ndarray
    format: str
    mode: str
    width: int
    height: int
    frames: int


def read_picture(source: Path | bytes, image_size: int) -> np.ndarray:
    """Decode a picture as a person sees it and squash it to a square.

    Turned by its EXIF orientation, transparency over white, any pixel format made RGB, an
    animation's first frame.

    Args:
        source: A file, or its content.
        image_size: Side of the square in pixels, 1 or more.

    Returns:
        uint8 (image_size, image_size, 3), RGB from 0 to 255.

    Raises:
        PictureError: With a short cause, to stand after the file's name.
    """
    if isinstance(source, bytes):
        return decode_picture(io.BytesIO(source), image_size).array
    try:
        file = source.open("rb")
    except OSError as error:
        raise PictureError(_problem(error)) from error
    with file:
        return decode_picture(file, image_size).array


def decode_picture(file: BinaryIO, image_size: int) -> Picture:
    """Decode an open file, once, into pixels and facts; see ``read_picture``.

    Raises:
        PictureError: With a short cause, to stand after the file's name.
    """
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
        raise PictureError(_unidentified(file)) from error
    except Exception as error:  # decoders meet damage with errors of any type
        raise PictureError(_problem(error)) from error


def _decode(file: BinaryIO, image_size: int) -> Picture:
    with Image.open(file, formats=_FORMATS) as image:
        width, height = image.size
        if width * height > (Image.MAX_IMAGE_PIXELS or float("inf")):
            raise _too_large(width * height)
        mode, frames = image.mode, getattr(image, "n_frames", 1)
        # A large JPEG is decoded at a half, a quarter or an eighth, never below image_size.
        image.draft(None, (image_size, image_size))
        image.load()
        square = _as_rgb(image).resize((image_size, image_size), Image.Resampling.BILINEAR)
        turn = _TURN_OF_ORIENTATION.get(_orientation(image))
        if turn is not None:  # a square turns as well as the whole picture, and sooner
            square = square.transpose(turn)
        return Picture(np.array(square), image.format, mode, width, height, frames)


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # the picture can still be seen where its EXIF block is broken
        return 1


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        image = Image.fromarray(_grey_to_8_bits(np.asarray(image)))
    if image.mode == "CMYK":
        image = _cmyk_to_rgb(image)
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), seen)
    return image.convert("RGB")


def _cmyk_to_rgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            target = ImageCms.createProfile("sRGB")
            return ImageCms.profileToProfile(image, source, target, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):  # a broken profile, or one of another colour space
            pass
    return image.convert("RGB")


def _grey_to_8_bits(values: np.ndarray) -> np.ndarray:
    """Scale deep grey to uint8: white is 65535, or 1 or 255 too for floats.

    Values beyond, or below zero, have no agreed white: their own range is stretched.
    """
    whites = (1.0, 255.0, 65535.0) if values.dtype.kind == "f" else (65535.0,)
    values = values.astype(np.float64)
    finite = values[np.isfinite(values)]
    black, white = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    values = np.nan_to_num(values, nan=black, posinf=white, neginf=black)
    if black >= 0 and white <= whites[-1]:
        black, white = 0.0, next(agreed for agreed in whites if white <= agreed)
    return np.rint((values - black) * (255 / ((white - black) or 1))).astype(np.uint8)


def _problem(error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        return str(_too_large(int(re.findall(r"\d+", str(error))[0])))
    if isinstance(error, EOFError) or "truncated" in str(error).lower():
        return "is truncated"
    cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"cannot be read: {' '.join(cause.split()) or type(error).__name__}"


def _too_large(pixels: int) -> PictureError:
    return PictureError(f"is too large ({pixels:,} pixels: a possible decompression bomb)")


def _unidentified(file: BinaryIO) -> str:
    file.seek(4)
    if file.read(8) in _HEIC_STARTS:
        return "cannot be read: HEIC is not supported (convert it to JPEG)"
    return "is not a picture"


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
