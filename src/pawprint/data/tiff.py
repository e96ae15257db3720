"""TIFF: which of a file's pictures is meant, and the kinds of samples that Pillow does not read."""

import contextlib
import ctypes
import functools
import io
import os
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import tifffile
from PIL import Image, UnidentifiedImageError

from pawprint.data.damage import deflate_damage, zeros_in_a_row
from pawprint.data.picture import Picture, PictureError, check_size, turned
from pawprint.data.resize import as_rgb, range_of, row_strips, to_8_bits

_ORIENTATION = 274
_REDUCED, _MASK = 1, 4  # bits of the tag NewSubfileType
_WHITE_IS_ZERO, _RGB, _CMYK = 0, 2, 5
_GREY = (_WHITE_IS_ZERO, 1)
_NOT_SHOWN = (4, 32803, 34892, 51177)  # a mask, two kinds of what a sensor saw, a map of depths
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_PREMULTIPLIED, _ALPHA = 1, 2  # kinds of extra samples
_DEFLATE = (8, 32946)
_DENSE = (5, 7)  # LZW and JPEG, which write few zeros in a row
_PLAIN = (1, 32773, *_DEFLATE)  # compressions that tifffile undoes by itself
_MOST_PAGES = 1000  # that are looked at
_DEEPEST = 8  # bytes for each pixel that a picture may have


def decode_tiff(file: BinaryIO) -> Picture:
    """Decode the largest picture of a file, which may stand behind a thumbnail of it.

    Raises:
        PictureError: it is too large, or of a kind that is not read.
    """
    with _open(file) as (tiff, page, pages):
        check_size(page.imagewidth, page.imagelength)
        if page.nbytes > _DEEPEST * (Image.MAX_IMAGE_PIXELS or page.nbytes):
            raise PictureError(f"is too large ({page.nbytes:,} bytes)", "decompression bomb")
        mode, rgb = _as_rgb(file, tiff, page)
        return Picture(
            rgb,
            "TIFF",
            mode,
            page.imagewidth,
            page.imagelength,
            _orientation(page),
            pages,
            _damage(page),
        )


def tiff_pixels(file: BinaryIO) -> int:
    """Pixels of the picture that ``decode_tiff`` decodes; more where they have many bytes."""
    with _open(file) as (_, page, _pages):
        return max(page.imagewidth * page.imagelength, page.nbytes // 4)


@contextlib.contextmanager
def _open(file: BinaryIO) -> Iterator[tuple[tifffile.TiffFile, tifffile.TiffPage, int]]:
    """A file, its page that is shown (no thumbnail, mask or raw data), and how many it has."""
    _silence_libtiff()
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        outer = [_page(tiff, offset) for offset in _page_offsets(tiff)]
        inner = [offset for page in outer for offset in page.subifds or ()]
        pages = outer + [_page(tiff, offset) for offset in inner[:_MOST_PAGES]]
        shown = [page for page in pages if page.photometric not in _NOT_SHOWN]
        shown = [page for page in shown if not page.subfiletype & _MASK] or pages
        shown = [page for page in shown if not page.subfiletype & _REDUCED] or shown
        most = max(page.imagewidth * page.imagelength for page in shown)
        # Pages of a document are of about the same size: of them it is the first.
        first = next(p for p in shown if 2 * p.imagewidth * p.imagelength >= most)
        yield tiff, first, len(outer)


def _page_offsets(tiff: tifffile.TiffFile) -> Iterator[int]:
    """Where pages begin, along their chain, which may lead in a circle or out of the file."""
    layout, file, seen = tiff.tiff, tiff.filehandle, set[int]()
    offset = tiff.pages.first.offset
    while 0 < offset < file.size and offset not in seen and len(seen) < _MOST_PAGES:
        seen.add(offset)
        yield offset
        file.seek(offset)
        head = file.read(layout.tagnosize)
        if len(head) < layout.tagnosize:
            return
        file.seek(struct.unpack(layout.tagnoformat, head)[0] * layout.tagsize, os.SEEK_CUR)
        link = file.read(layout.offsetsize)
        if len(link) < layout.offsetsize:
            return
        (offset,) = struct.unpack(layout.offsetformat, link)


def _page(tiff: tifffile.TiffFile, offset: int) -> tifffile.TiffPage:
    tiff.filehandle.seek(offset)
    return tifffile.TiffPage(tiff, 0)


@functools.cache
def _silence_libtiff() -> None:
    """Let libtiff print nothing: it does not know the file's name, and Pillow raises an error."""
    with contextlib.suppress(AttributeError, OSError):  # a Pillow that holds libtiff inside
        library = ctypes.CDLL(Image.core.__file__)
        library.TIFFSetErrorHandler(None)
        library.TIFFSetWarningHandler(None)


def _as_rgb(
    file: BinaryIO, tiff: tifffile.TiffFile, page: tifffile.TiffPage
) -> tuple[str, Image.Image]:
    """The name of its pixel format, and the picture upright."""
    if _is_for_pillow(page):
        try:
            with _by_pillow(file, tiff, page) as image:
                mode = image.mode
                image.load()  # upright
                return mode, as_rgb(image)
        except UnidentifiedImageError:  # of a kind that it does not know
            pass
    colours = 3 if page.photometric == _RGB else 1
    extra = page.samplesperpixel - colours
    if (
        page.photometric not in (*_GREY, _RGB)
        or page.imagedepth != 1
        or page.sampleformat not in (_UNSIGNED, _SIGNED, _FLOAT)
        or page.dtype is None
        or extra < 0
        or (colours == 1 and extra > 1)  # bands, of which nothing says how they are to be shown
    ):
        raise _not_supported(page)
    mode = f"{'RGB' if colours == 3 else 'L'}{'A' * (extra > 0)};{page.bitspersample}"
    mode += {_SIGNED: "S", _FLOAT: "F"}.get(page.sampleformat, "")
    if page.compression in _PLAIN and page.bitspersample == 8 * page.dtype.itemsize:
        _check_length(page)
        values = page.asarray(squeeze=False, maxworkers=1)  # (planes, 1, height, width, samples)
        values = np.moveaxis(values, 0, -1)[0, ..., 0, :] if len(values) > 1 else values[0, 0]
        return mode, turned(_samples_as_rgb(values, page), _orientation(page))
    if page.samplesperpixel > 1:
        raise _not_supported(page)
    try:
        with _by_pillow(file, tiff, page) as image:
            image.load()
            return mode, _samples_as_rgb(np.asarray(image).astype(page.dtype)[..., None], page)
    except UnidentifiedImageError as error:
        raise _not_supported(page) from error


def _is_for_pillow(page: tifffile.TiffPage) -> bool:
    """Whether Pillow reads it, if it reads it at all, to the right pixels."""
    if page.sampleformat != _UNSIGNED:
        return False
    is_contiguous = page.planarconfig == 1
    if page.bitspersample == 16:
        return is_contiguous and page.photometric in (_RGB, _CMYK)
    if page.bitspersample > 8:
        return False
    if page.extrasamples and page.photometric in _GREY:
        return is_contiguous and _PREMULTIPLIED not in page.extrasamples
    return is_contiguous or not page.extrasamples


def _by_pillow(file: BinaryIO, tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> Image.Image:
    if page.offset == tiff.pages.first.offset:
        file.seek(0)
        return Image.open(file, formats=("TIFF",))
    # Pillow has no way to a picture inside another one: let the head lead there.
    file.seek(0)
    content = file.read()
    first = struct.pack(tiff.tiff.offsetformat, page.offset)
    place = 4 if len(first) == 4 else 8
    content = content[:place] + first + content[place + len(first) :]
    return Image.open(io.BytesIO(content), formats=("TIFF",))


def _check_length(page: tifffile.TiffPage) -> None:
    """See that the samples are there, and unpack to no more than they are said to.

    Raises:
        PictureError: they are not, or do not.
    """
    most = _segment_bytes(page)
    for segment, length in zip(_segments(page), page.databytecounts, strict=True):
        if len(segment) < length:
            raise PictureError("is truncated", "truncated")
        packed = page.compression in _DEFLATE
        if packed and len(zlib.decompressobj().decompress(segment, most + 1)) > most:
            raise PictureError("cannot be read: its samples are more than its pixels")


def _damage(page: tifffile.TiffPage) -> str | None:
    if page.compression not in (*_DEFLATE, *_DENSE) or page.bitspersample < 8:
        return None
    segments = _segments(page)
    if page.compression in _DENSE:
        return zeros_in_a_row(b"".join(segments))
    return deflate_damage(segments, _segment_bytes(page))


def _segments(page: tifffile.TiffPage) -> Iterator[bytes]:
    """The strips or tiles as they are in the file."""
    file = page.parent.filehandle
    for start, length in zip(page.dataoffsets, page.databytecounts, strict=True):
        file.seek(start)
        yield file.read(length)


def _segment_bytes(page: tifffile.TiffPage) -> int:
    """Of one strip or tile, unpacked, at most."""
    return int(np.prod(page.chunks)) * page.bitspersample // 8


def _samples_as_rgb(values: np.ndarray, page: tifffile.TiffPage) -> Image.Image:
    """RGB over white of samples (height, width, n): colours, and perhaps their opacity."""
    colours = 3 if page.photometric == _RGB else 1
    opacity = next(
        (
            c
            for c, kind in enumerate(page.extrasamples, colours)
            if kind in (_PREMULTIPLIED, _ALPHA)
        ),
        None,
    )
    is_premultiplied = opacity and page.extrasamples[opacity - colours] == _PREMULTIPLIED
    white = 2.0 ** (page.bitspersample - (page.sampleformat == _SIGNED)) - 1
    strips = list(row_strips(*values.shape[:2]))
    least, largest = range_of(values[rows, :, :colours] for rows in strips)
    rgb = Image.new("RGB", values.shape[1::-1])
    for rows in strips:
        shown = to_8_bits(values[rows, :, :colours], least, largest, min(white, 65535.0))
        if page.photometric == _WHITE_IS_ZERO:
            shown = 255 - shown
        if opacity and not (is_premultiplied and page.photometric == _WHITE_IS_ZERO):
            full = white if page.sampleformat != _FLOAT else 1.0
            alpha = np.clip(values[rows, :, opacity, None].astype(np.float32) / full, 0, 1)
            seen = np.float32(shown) * (1 if is_premultiplied else alpha) + 255 * (1 - alpha)
            shown = np.rint(np.clip(seen, 0, 255)).astype(np.uint8)
        strip = Image.fromarray(shown if colours == 3 else shown[..., 0])
        rgb.paste(strip.convert("RGB"), (0, rows.start))
    return rgb


def _orientation(page: tifffile.TiffPage) -> int:
    orientation = page.tags.valueof(_ORIENTATION, default=1)
    return orientation if orientation in range(1, 9) else 1


def _not_supported(page: tifffile.TiffPage) -> PictureError:
    def name(value: object) -> str:
        return getattr(value, "name", str(value)).lower().replace("_", " ")

    kind = {_SIGNED: "signed ", _FLOAT: "floating-point "}.get(page.sampleformat, "")
    bands = f"{page.samplesperpixel} band{'s' * (page.samplesperpixel > 1)}"
    return PictureError(
        f"cannot be read: a TIFF of {bands} of {page.bitspersample} {kind}bits "
        f"({name(page.photometric)}, {name(page.compression)}) is not supported "
        "(convert it to RGB of 8 bits)"
    )
