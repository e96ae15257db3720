"""A contact sheet of an augmentation: each picture as it is, and as training may see it."""

from __future__ import annotations

import numpy as np
from PIL import Image

from pawprint.data.image_array import Pictures
from pawprint.training.augmentation import Augmentation

_ROWS, _COLUMNS = 6, 8  # the first column is the picture as it is
_GAP = 4
_LEAST = 96  # pixels a tile's side has at least


def draw(pictures: Pictures | np.ndarray, vary: Augmentation, seed: int) -> Image.Image:
    """Draw some pictures and variations of them side by side.

    Pictures are mixed with each other as they are within a batch of training.

    Args:
        pictures: uint8 (n, size, size, 3), at least one.
        vary: the augmentation.
        seed: of the choice of pictures and of their variations.

    Returns:
        RGB; a row per picture, the picture itself at its left.
    """
    rng = np.random.default_rng([seed, 0xD4A3])
    # One of each part: pictures lie class by class.
    parts = np.array_split(np.arange(len(pictures)), min(_ROWS, len(pictures)))
    rows = np.array([rng.choice(part) for part in parts])
    originals = pictures[rows]
    side = originals.shape[1]
    targets = np.zeros((len(originals), 1), np.float32)
    columns = [originals]
    columns += [vary(originals.copy(), targets, rng, side)[0] for _ in range(_COLUMNS - 1)]
    shown = max(side, _LEAST)
    step = shown + _GAP
    size = (_COLUMNS * step + 2 * _GAP, len(originals) * step + _GAP)
    sheet = Image.new("RGB", size, "white")
    for x, column in enumerate(columns):
        for y, picture in enumerate(column):
            tile = Image.fromarray(picture).resize((shown, shown), Image.Resampling.BICUBIC)
            # A wider gap behind the pictures as they are.
            sheet.paste(tile, (_GAP + x * step + (_GAP if x else 0), _GAP + y * step))
    return sheet
