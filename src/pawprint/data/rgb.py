"""Any pixel format as RGB over white, as a person sees it."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageCms

_STRIP = 2**22  # pixels of a large picture that are converted at a time


def as_rgb(image: Image.Image) -> Image.Image:
    """RGB over white; of a large picture a strip at a time, as what lies between takes memory."""
    width, height = image.size
    grey = _grey_range(image) if image.mode == "F" or image.mode.startswith("I") else None
    if width * height <= _STRIP:
        return _strip_as_rgb(image, grey)
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    rgb = Image.new("RGB", image.size)
    for box in _strips(image):
        rgb.paste(_strip_as_rgb(image.crop(box), grey), box)
    return rgb


def _strips(image: Image.Image) -> Iterator[tuple[int, int, int, int]]:
    """Boxes, from the top to the bottom."""
    width, height = image.size
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):
        yield 0, top, width, min(height, top + rows)


def _strip_as_rgb(image: Image.Image, grey: tuple[float, float] | None) -> Image.Image:
    if grey is not None:
        image = Image.fromarray(_grey_to_8_bits(np.asarray(image), *grey))
    if image.mode == "CMYK":
        image = _cmyk_to_rgb(image)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")


def _cmyk_to_rgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            target = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
            return converted or image.convert("RGB")  # never None: it does not work in place
        except (ImageCms.PyCMSError, OSError):  # a broken profile, or one of another colour space
            pass
    return image.convert("RGB")


def _grey_range(image: Image.Image) -> tuple[float, float]:
    """The least and the largest finite value; zeros where there is none."""
    ends = []
    for box in _strips(image):
        values = np.asarray(image.crop(box))
        finite = values[np.isfinite(values)]
        if finite.size:
            ends += [float(finite.min()), float(finite.max())]
    return (min(ends), max(ends)) if ends else (0.0, 0.0)


def _grey_to_8_bits(values: np.ndarray, least: float, largest: float) -> np.ndarray:
    """Scale deep grey to uint8: white is 65535, or 1 or 255 too for floats.

    Values beyond, or below zero, have no agreed white: their own range is stretched.

    Args:
        values: of the picture, or of a part of it.
        least: finite value of the whole picture.
        largest: the same.
    """
    whites = (1.0, 255.0, 65535.0) if values.dtype.kind == "f" else (65535.0,)
    black, white = least, largest
    if black >= 0 and white <= whites[-1]:
        black, white = 0.0, next(agreed for agreed in whites if white <= agreed)
    values = values.astype(np.float64)
    np.nan_to_num(values, copy=False, nan=least, posinf=largest, neginf=least)
    values -= black
    values *= 255 / ((white - black) or 1)
    return np.rint(values, out=values).astype(np.uint8)
