"""From a picture of any shape to the square that the network sees."""

from __future__ import annotations

from PIL import Image

SQUASH, CROP, PAD = "squash", "crop", "pad"
RESIZES = (SQUASH, CROP, PAD)


def to_square(image: Image.Image, size: int, resize: str = SQUASH) -> Image.Image:
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
        inside = tuple(max(1, round(side * size / longer)) for side in (width, height))
        square = Image.new("RGB", (size, size))
        margins = tuple((size - side) // 2 for side in inside)
        square.paste(image.resize(inside, bilinear), margins)
        return square
    if resize != SQUASH:
        raise ValueError(f'resize is one of {", ".join(RESIZES)}, but was "{resize}"')
    return image.resize((size, size), bilinear)
