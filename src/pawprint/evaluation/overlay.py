"""What the network looked at, drawn over the picture."""

import numpy as np

STRENGTH = 0.8  # of the colours over the picture, at the most
CONTRAST = 0.6  # below 1, also what speaks less can be seen
_SHARPEST = 160  # pixels, the least side of a drawing


def overlay(picture: np.ndarray, place_map: np.ndarray) -> np.ndarray:
    """The picture under what speaks for its answer; what speaks against it stays as it is.

    Args:
        picture: uint8 (size, size, 3), RGB.
        place_map: float32 (height, width), as ``Explainer.maps`` gives it.

    Returns:
        uint8 (side, side, 3), of 160 pixels at least.
    """
    import cv2
    from matplotlib import colormaps

    side = max(_SHARPEST, len(picture))
    large = cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC)
    grey = cv2.cvtColor(large, cv2.COLOR_RGB2GRAY)[..., np.newaxis]
    weight = spread(place_map, side) ** CONTRAST
    colours = colormaps["plasma"](0.25 + 0.7 * weight)[..., :3] * 255
    share = (STRENGTH * weight)[..., np.newaxis]
    return (grey * (1 - share) + colours * share).round().astype(np.uint8)


def spread(place_map: np.ndarray, side: int) -> np.ndarray:
    """What speaks for an answer, as wide as the picture: float32 (side, side), 0 to 1.

    It is counted from the median place: what all places say alike is about none of them.

    Args:
        place_map: float32 (height, width).
        side: in pixels.
    """
    import cv2

    positive = np.maximum(place_map - np.median(place_map), 0)
    if not positive.max():
        return np.zeros((side, side), np.float32)
    wide = cv2.resize(positive / positive.max(), (side, side), interpolation=cv2.INTER_LINEAR)
    return np.clip(wide, 0, 1).astype(np.float32)
