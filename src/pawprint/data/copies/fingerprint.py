"""What pictures look like in a few bytes: hashes, a small grey thumbnail, and their colours."""

import functools
from collections.abc import Sequence
from typing import cast

import numpy as np
from PIL import Image

THUMB = 32  # side of the thumbnail in pixels, and what the hash is taken of
THUMB_BYTES = THUMB * THUMB
COLOURS = (4, 4, 2)  # of int8: a grid of blue-yellow and red-green (Cb and Cr, less 128)
COLOURS_BYTES = 32
_ENOUGH = 48  # pixels of the shorter side, of which thumbnails are made
_KEPT = 8  # lowest frequencies, in each direction
_MIDDLE = _KEPT * _KEPT // 2
_CUT = 0.06  # of each side, for the hash of the middle: a slightly cropped copy looks like that
_GRID = (16, 16)  # means over this grid tell a blank picture, whatever the noise of its pixels
_VARIED = 24  # of 255: a thumbnail that varies by more is of no blank picture
_FLAT = 6  # of 255: the most that the means of a blank picture differ by


def thumbs_of(image: Image.Image) -> tuple[Image.Image, Image.Image]:
    """Grey thumbnails, 32×32 pixels, of a picture (RGB, upright) and of its middle."""
    grey = image.convert("L")
    by = min(grey.size) // _ENOUGH
    if by > 1:  # a mean of whole pixels first, which is quick
        grey = grey.reduce(by)
    width, height = grey.size
    size, bilinear = (THUMB, THUMB), Image.Resampling.BILINEAR
    middle = (_CUT * width, _CUT * height, (1 - _CUT) * width, (1 - _CUT) * height)
    return grey.resize(size, bilinear), grey.resize(size, bilinear, middle)


def colours_of(image: Image.Image) -> bytes:
    """What the parts of a picture (RGB, upright) have for colours, whatever their brightness.

    Returns:
        ``COLOURS_BYTES`` bytes, an int8 array of the shape ``COLOURS``; 0 is grey.
    """
    parts = image.resize(COLOURS[:2], Image.Resampling.BOX).convert("YCbCr")
    return (np.asarray(parts)[:, :, 1:] ^ 128).tobytes()


def perceptual_hashes(thumbs: Sequence[bytes]) -> np.ndarray:
    """The pHash of many thumbnails at once, as ``imagehash.phash`` says of each.

    Bit for bit the same, but that in a symmetric picture, where a frequency is missing, no
    rounding error decides on its bit; and as a matrix product, so many times as fast.

    It keeps, for the 64 lowest frequencies of the discrete cosine transform, whether each is above
    their median (Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions",
    2010).

    Args:
        thumbs: n of 32×32 bytes, 0 to 255; or several of them joined.

    Returns:
        uint64 (n,); ``f"{value:016x}"`` is what ``imagehash`` writes.
    """
    pixels = np.frombuffer(b"".join(thumbs), dtype=np.uint8).reshape(-1, THUMB, THUMB)
    waves = _lowest_waves()
    waves = (waves @ pixels.astype(np.float64) @ waves.T).reshape(len(pixels), _KEPT * _KEPT)
    waves = waves.round(6)  # so that what is nothing is 0, whatever the order of the sums
    ordered = np.partition(waves, (_MIDDLE - 1, _MIDDLE), axis=1)
    bits = waves > ordered[:, _MIDDLE - 1 : _MIDDLE + 1].mean(axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(">u8")[:, 0].astype(np.uint64)


@functools.cache
def _lowest_waves() -> np.ndarray:
    """The lowest frequencies of the cosine transform as a matrix: all the others are not kept."""
    frequencies, places = np.arange(_KEPT)[:, None], np.arange(THUMB)
    return 2 * np.cos(np.pi * frequencies * (2 * places + 1) / (2 * THUMB))


def is_blank(image: Image.Image, thumb: Image.Image) -> bool:
    """Whether a picture (RGB) with this thumbnail shows one colour, so that hashes mean nothing."""
    darkest, brightest = cast("tuple[int, int]", thumb.getextrema())
    if brightest - darkest > _VARIED:
        return False
    means = image.resize(_GRID, Image.Resampling.BOX)
    ends = cast("tuple[tuple[int, int], ...]", means.getextrema())
    return all(high - low <= _FLAT for low, high in ends)
