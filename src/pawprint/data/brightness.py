"""How bright pictures are: one definition for evaluation, logs of what was seen, and drift."""

from typing import Any

import numpy as np

_AT_A_TIME = 1024  # pictures in memory
_LUMINANCE = np.array([0.299, 0.587, 0.114])  # of red, green, blue: ITU-R BT.601


def mean_brightness(pictures: Any) -> np.ndarray:
    """Mean luminance float32 (n,), 0 to 255, of pictures uint8 (n, size, size, 3), RGB."""
    parts = [np.zeros(0, np.float32)]
    for start in range(0, len(pictures), _AT_A_TIME):
        batch = pictures[start : start + _AT_A_TIME]
        count, height, width, colours = batch.shape
        # Whole columns first, in integers: a thirtieth of the time of a mean over two axes, and
        # the same for one picture as among many.
        columns = batch.reshape(count, height, width * colours).sum(axis=1, dtype=np.uint32)
        sums = columns.reshape(count, width, colours).sum(axis=1, dtype=np.uint64)
        parts.append((sums / (height * width) @ _LUMINANCE).astype(np.float32))
    return np.concatenate(parts)


def brightness(pixels: np.ndarray) -> float:
    """Mean luminance, 0 to 255, of one picture uint8 (size, size, 3), RGB."""
    return float(mean_brightness(pixels[np.newaxis])[0])
