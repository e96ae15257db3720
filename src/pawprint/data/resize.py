"""From a picture of any shape to the square that the network sees."""

from __future__ import annotations

from PIL import Image

SQUASH, CROP, PAD = "squash", "crop", "pad"
RESIZES = (SQUASH, CROP, PAD)


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
