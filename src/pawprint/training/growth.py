"""How large the training pictures are, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence

_STEP = 4  # sides are multiples of it, as far as they are shares


def sizes_by_epoch(
    image_size: int, epochs: int, shares: Sequence[float], until: Sequence[float]
) -> list[int]:
    """Side of the training pictures of each epoch, in pixels.

    Progressive resizing: Howard 2018 (fast.ai's DAWNBench entry), Tan and Le 2021
    (EfficientNetV2).

    Args:
        image_size: side of the prepared pictures, at which the network is used.
        epochs: number of epochs.
        shares: sides as shares of ``image_size``, above 0 and at most 1.
        until: up to which share of the epochs each but the last is used, rising.
    """
    sides = [
        min(image_size, max(_STEP, _STEP * round(share * image_size / _STEP)))
        if share < 1
        else image_size
        for share in shares
    ]
    return [sides[sum(epoch >= share * epochs for share in until)] for epoch in range(epochs)]
