"""The one way from a file to pixels, shared by preparation, training, prediction and serving."""

import io
import os
import re
import stat
import struct
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import simplejpeg
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from pawprint.data.damage import damage_of, is_cut
from pawprint.data.jpeg import JPEG_START, quick_jpeg, reduction, trimmed, with_end
from pawprint.data.picture import (
    MOST_PIXELS,
    QUIET,
    Picture,
    PictureError,
    check_size,
    orientation_of,
    too_large,
    turned,
)
from pawprint.data.resize import SQUASH, as_rgb, resize_image

# Only formats that Pillow decodes by itself: EPS, for one, would start another program.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "WEBP", "JPEG2000", "ICO", "AVIF")
_ICON = b"\0\0\1\0"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"mif2", b"msf1")
_NOT_READ = {  # by how they begin
    b"P7\n": "PAM",
    b"PF\n": "PFM in colour",
    b"8BPS": "Photoshop's PSD",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\x76\x2f\x31\x01": "OpenEXR",
    b"#?RADIANCE": "Radiance HDR",
}

# What a picture may be: a file, its content, or pixels.
Source: TypeAlias = Path | str | bytes | Image.Image | np.ndarray

WHOLE = 64 * 2**20  # bytes: a larger file is not read into memory at once
TOO_LARGE = "is too large for the memory of this machine"


def read_picture(source: Source, image_size: int, resize: str = SQUASH) -> np.ndarray:
    """Decode a picture as a person sees it and bring it into a square.

    Turned by its EXIF orientation, transparency over white, any pixel format made RGB, an
    animation's first frame.

    Args:
        source: a file, its content, or pixels as ``decode_image`` and ``decode_array`` take them.
        image_size: side of the square in pixels, 1 or more.
        resize: "squash", "crop" or "pad"; see ``resize_image``. Defaults to "squash".

    Returns:
        uint8 (image_size, image_size, 3), RGB from 0 to 255.

    Raises:
        PictureError: with a short cause, to stand after the file's name.
    """
    return read_picture_with_facts(source, image_size, resize)[0]


def read_picture_with_facts(
    source: Source, image_size: int, resize: str = SQUASH
) -> tuple[np.ndarray, Picture]:
    """As ``read_picture``, with what the file says about itself."""
    if isinstance(source, bytes):
        picture = decode_content(source, image_size)
    elif isinstance(source, Image.Image):
        picture = decode_image(source)
    elif isinstance(source, np.ndarray):
        picture = decode_array(source)
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
    if content.startswith(JPEG_START):
        if picture := quick_jpeg(content, image_size):
            return picture
        content = with_end(content)
    return decode_file(io.BytesIO(content), image_size)


def decode_image(image: Image.Image) -> Picture:
    """The picture in a Pillow image, which stays as it is: its present frame, in any mode.

    It is turned as its EXIF says, and transparency is put over white, as in a file. A JPEG is not
    decoded at a part of its size here.

    Raises:
        PictureError: its file cannot be read, or it is too large.
    """
    width, height = image.size
    try:
        check_size(width, height)
        if not width * height:
            raise PictureError("has no pixels")
        with QUIET:
            hidden = _transparency(image)
            image.load()
            own = image
            if hidden != image.info.get("transparency"):
                own = image.copy()
                own.info["transparency"] = hidden
            rgb, orientation = as_rgb(own), orientation_of(image)
    except PictureError:
        raise
    except Exception as error:  # decoders meet damage with errors of any type
        raise _problem(error) from error
    return Picture(
        turned(rgb, orientation), image.format or "", image.mode, width, height, orientation, 1
    )


def decode_array(array: np.ndarray) -> Picture:
    """The picture in an array uint8 (height, width), or (height, width, channels).

    One channel is grey, three are RGB, and four RGB with an alpha channel, over white.

    Raises:
        PictureError: it is of another type or shape, or too large.
    """
    if array.dtype != np.uint8:
        raise PictureError(
            f"is an array of {array.dtype}, whose white is not known; give uint8 from 0 to 255, "
            "as np.rint(255 * array).astype(np.uint8) makes it of 0 to 1"
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[2] in (3, 4)):
        shape = " × ".join(map(str, array.shape))
        raise PictureError(
            f"is an array of {shape}; give height × width, with 1, 3 or 4 channels as the last axis"
        )
    return decode_image(Image.fromarray(np.ascontiguousarray(array)))


def decode_file(file: BinaryIO, image_size: int) -> Picture:
    """As ``decode_content``, of an open file, without the quick way that takes its content."""
    try:
        file.seek(0)
        start = file.read(12)
        if not start:
            raise PictureError("is empty (0 bytes)")
        file.seek(0)
        with QUIET:
            if start.startswith(_TIFF):
                return _decode_tiff(file, image_size)
            if _is_heif(start):
                return _decode_heif(file)
            return _decode(file, image_size)
    except Image.DecompressionBombError as error:
        raise _problem(error) from error
    except Exception as error:  # decoders meet damage with errors of any type
        if getattr(error, "kind", "unreadable") == "unreadable" and is_cut(file):
            raise PictureError("is truncated", "truncated") from error
        if isinstance(error, PictureError):
            raise
        if not isinstance(error, UnidentifiedImageError):
            raise _problem(error) from error
        if kind := next((kind for begin, kind in _NOT_READ.items() if start.startswith(begin)), ""):
            sentence = f"cannot be read: {kind} is not supported (convert it to PNG)"
            raise PictureError(sentence) from error
        raise PictureError("is not a picture", "not a picture") from error


def pixels_told(content: bytes) -> int:
    """Width times height by a picture file's head, at once; 0 where that tells none.

    An icon is decoded to see what is in it, so it counts as the largest picture; deep samples of a
    TIFF count as the pixels that would take as many bytes.
    """
    try:
        if content.startswith(_ICON):
            return Image.MAX_IMAGE_PIXELS or MOST_PIXELS
        if content.startswith(JPEG_START):
            height, width, *_ = simplejpeg.decode_jpeg_header(content)
            return width * height
        with QUIET:
            return _pixels(io.BytesIO(content), content)
    except Exception:  # noqa: BLE001 - to decode it says what is wrong
        return 0


def _pixels(file: BinaryIO, start: bytes) -> int:
    if start.startswith(_TIFF):
        from pawprint.data.tiff import tiff_pixels  # takes time to import

        return tiff_pixels(file)
    if _is_heif(start):
        import pi_heif  # takes time to import

        width, height = pi_heif.open_heif(file).size
        return width * height
    with Image.open(file, formats=_FORMATS) as image:
        return image.width * image.height


def _decode(file: BinaryIO, image_size: int) -> Picture:
    with Image.open(file, formats=_FORMATS) as image:
        width, height = image.size
        check_size(width, height)
        mode, file_format, frames = image.mode, image.format or "", getattr(image, "n_frames", 1)
        by = reduction(width, height, image_size)
        image.draft(None, (width // by, height // by))  # of a JPEG
        if (hidden := _transparency(image)) is not None:
            image.info["transparency"] = hidden
        image.load()
        rgb, orientation = trimmed(as_rgb(image), width, height, by), orientation_of(image)
        damage = damage_of(file, image)
    return Picture(
        turned(rgb, orientation), file_format, mode, width, height, orientation, frames, damage
    )


def _transparency(image: Image.Image) -> Any:
    """The value that a PNG says is transparent, of the depth that Pillow decodes to; None if none.

    Args:
        image: whose pixels may be decoded already; then it is what the image says.
    """
    hidden = image.info.get("transparency")
    if hidden is None or not (isinstance(image, PngImagePlugin.PngImageFile) and image.tile):
        return hidden
    raw = image.tile[0][3]  # how samples stand in the file
    if raw == "RGB;16B":
        return tuple(sample >> 8 for sample in hidden)
    return hidden * {"L;2": 85, "L;4": 17}[raw] if raw in ("L;2", "L;4") else hidden


def _decode_tiff(file: BinaryIO, image_size: int) -> Picture:
    from pawprint.data.tiff import decode_tiff  # takes time to import

    try:
        return decode_tiff(file)
    except PictureError:
        raise
    except Exception as error:
        file.seek(0)
        _decode(file, image_size)  # raises what says more of damage
        if isinstance(error, (LookupError, TypeError, ValueError, AttributeError, struct.error)):
            raise PictureError("cannot be read: its directory is damaged") from error
        raise


def _is_heif(start: bytes) -> bool:
    """Whether it is of the container of HEIC, as phones write it."""
    return start[4:8] == b"ftyp" and start[8:12] in _HEIF_BRANDS


def _decode_heif(file: BinaryIO) -> Picture:
    import pi_heif  # takes time to import

    try:  # some AVIF names itself so too
        with Image.open(file, formats=("AVIF",)):
            return _decode(file, 0)
    except UnidentifiedImageError:
        file.seek(0)
    heif = pi_heif.open_heif(file)
    width, height = heif.size
    check_size(width, height)
    image = heif.to_pillow()  # upright
    image.format = "HEIF"
    damage = damage_of(file, image)
    return Picture(as_rgb(image), "HEIF", image.mode, width, height, 1, len(heif), damage)


def _problem(error: Exception) -> PictureError:
    if isinstance(error, Image.DecompressionBombError):
        return too_large(int(re.findall(r"\d+", str(error))[0]))
    told = str(error).lower()
    if isinstance(error, EOFError) or "truncated" in told or "end of file" in told:
        return PictureError("is truncated", "truncated")
    if isinstance(error, MemoryError):
        return PictureError(TOO_LARGE)
    cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return PictureError(f"cannot be read: {' '.join(cause.split()) or type(error).__name__}")
