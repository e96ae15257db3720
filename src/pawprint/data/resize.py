"""From a picture of any shape and pixel format to the RGB square that the network sees."""

import io
from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image, ImageCms

SQUASH, CROP, PAD = "squash", "crop", "pad"
RESIZES = (SQUASH, CROP, PAD)
_STRIP = 2**22  # pixels of a large picture that are converted at a time


def resize_image(image: Image.Image, size: int, resize: str = SQUASH) -> Image.Image:
    """Resize a picture to a square, averaging over the pixels that become one.

    Args:
        image: RGB, of any size.
        size: side of the square in pixels, 1 or more.
        resize: "squash" gives up the aspect (as the article does), "crop" the longer side's
            ends, "pad" nothing: it fills up with black. Defaults to "squash".

    Returns:
        RGB, size × size.
    """
    width, height = image.size
    bilinear = Image.Resampling.BILINEAR
    if resize == CROP:
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
        return image.resize((size, size), bilinear, box)
    if resize == PAD:
        longer = max(width, height)
        inner_width = max(1, round(width * size / longer))
        inner_height = max(1, round(height * size / longer))
        padded = Image.new("RGB", (size, size))
        margins = ((size - inner_width) // 2, (size - inner_height) // 2)
        padded.paste(image.resize((inner_width, inner_height), bilinear), margins)
        return padded
    if resize != SQUASH:
        raise ValueError(f'resize is one of {", ".join(RESIZES)}, but was "{resize}"')
    return image.resize((size, size), bilinear)


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


def row_strips(height: int, width: int) -> Iterator[slice]:
    """Rows of a large picture to be converted at a time, from the top to the bottom."""
    rows = max(1, _STRIP // width)
    return (slice(top, min(height, top + rows)) for top in range(0, height, rows))


def _strips(image: Image.Image) -> Iterator[tuple[int, int, int, int]]:
    """Boxes, from the top to the bottom."""
    return ((0, rows.start, image.width, rows.stop) for rows in row_strips(*image.size[::-1]))


def _strip_as_rgb(image: Image.Image, grey: tuple[float, float] | None) -> Image.Image:
    if grey is not None:
        values, hidden = np.asarray(image), image.info.get("transparency")
        shown = to_8_bits(values, *grey)
        if hidden is not None:  # the value that a PNG says is transparent
            shown[values == hidden] = 255
        image = Image.fromarray(shown)
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
    return range_of(np.asarray(image.crop(box)) for box in _strips(image))


def range_of(strips: Iterable[np.ndarray]) -> tuple[float, float]:
    """The least and the largest finite value; zeros where there is none."""
    ends = []
    for values in strips:
        finite = values[np.isfinite(values)]
        if finite.size:
            ends += [float(finite.min()), float(finite.max())]
    return (min(ends), max(ends)) if ends else (0.0, 0.0)


def to_8_bits(
    values: np.ndarray, least: float, largest: float, white: float = 65535.0
) -> np.ndarray:
    """Scale samples to uint8: ``white`` becomes 255, of floats the first of 1, 255 and 65535.

    Values beyond, or below zero, have no agreed white: their own range is stretched.
    The least and largest finite value are of the whole picture, even for a part of it.
    """
    whites = (1.0, 255.0, 65535.0) if values.dtype.kind == "f" else (white,)
    low, high = least, largest
    if low >= 0 and high <= whites[-1]:
        low, high = 0.0, next(agreed for agreed in whites if high <= agreed)
    with np.errstate(invalid="ignore"):  # of values that are no numbers
        values = values.astype(np.float64)
    np.nan_to_num(values, copy=False, nan=least, posinf=largest, neginf=least)
    values -= low
    values *= 255 / ((high - low) or 1)
    return np.rint(values, out=values).astype(np.uint8)
