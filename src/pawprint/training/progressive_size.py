"""How large the training pictures are, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence


def sizes_by_epoch(
    image_size: int, epochs: int, shares: Sequence[float], until: Sequence[float], step: int = 4
) -> list[int]:
    """Side of the training pictures of each epoch, in pixels.

    Progressive resizing: Howard 2018 (fast.ai's DAWNBench entry), Tan and Le 2021
    (EfficientNetV2).

    Args:
        image_size: side of the prepared pictures, at which the network is used.
        epochs: number of epochs.
        shares: sides as shares of ``image_size``, above 0 and at most 1.
        until: up to which share of the epochs each but the last is used, rising.
        step: sides are multiples of it, as far as they are shares below 1.
    """
    sides = [
        min(image_size, max(step, step * round(share * image_size / step)))
        if share < 1
        else image_size
        for share in shares
    ]
    sizes = [sides[sum(epoch >= share * epochs for share in until)] for epoch in range(epochs)]
    return [*sizes[:-1], sides[-1]]  # of few epochs too the last one is of the last size
