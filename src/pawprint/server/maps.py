"""What a network looked at, drawn to be laid over the picture."""

from __future__ import annotations

import numpy as np

from pawprint.evaluation.overlay import CONTRAST, STRENGTH, spread

SIDE = 96  # pixels; whoever shows it makes it as large as the picture


def as_png(place_map: np.ndarray) -> bytes:
    """A PNG of the square that the network saw: the more a place speaks for the answer, the less
    transparent.

    Args:
        place_map: float32 (height, width), as ``Explainer.maps`` gives it.
    """
    import cv2

    weight = spread(place_map, SIDE) ** CONTRAST
    levels = (255 * (0.25 + 0.7 * weight)).round().astype(np.uint8)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_PLASMA)
    alpha = (255 * STRENGTH * weight).round().astype(np.uint8)
    _, content = cv2.imencode(".png", np.dstack([colours, alpha]))
    return content.tobytes()
