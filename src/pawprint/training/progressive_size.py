"""How large the training pictures are, epoch by epoch."""

from collections.abc import Sequence

from pawprint.config.schema import Config
from pawprint.models.build import ANY_SIZE
from pawprint.models.transfer import HALVED
from pawprint.system.errors import UserError


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

    def side(share: float) -> int:
        rounded = max(step, step * round(share * image_size / step))
        return min(image_size, rounded) if share < 1 else image_size

    sides = [side(share) for share in shares]
    sizes = [sides[sum(epoch >= share * epochs for share in until)] for epoch in range(epochs)]
    return [*sizes[:-1], sides[-1]]  # of few epochs too the last one is of the last size


def picture_sizes(config: Config) -> list[int]:
    """Side of the training pictures of each epoch, as configured.

    Raises:
        UserError: the network does not take pictures of these sizes.
    """
    if config.frozen:  # whose features are of whole pictures
        return [config.image_size] * config.epochs
    shares, until = config.growth.sizes, config.growth.until
    pretrained = config.model.name == "transfer"
    step = HALVED if pretrained else 4
    sizes = sizes_by_epoch(config.image_size, config.epochs, shares, until, step)
    if set(sizes) == {config.image_size}:
        return sizes
    if pretrained and config.image_size % step:
        raise UserError(
            f"image_size is {config.image_size}, but growth={config.growth.name} with "
            f"model=transfer needs a multiple of {step}; set growth=none or image_size to "
            f"{config.image_size // step * step + step}"
        )
    unfit = ""
    if pretrained and str(config.model.backbone).startswith("NASNet"):
        unfit = f"model.backbone={config.model.backbone} is not; set growth=none"
    elif config.model.name not in ANY_SIZE:
        offer = ", ".join(ANY_SIZE)
        unfit = f"model={config.model.name} is not; set growth=none or model to one of {offer}"
    if unfit:
        raise UserError(
            f"growth={config.growth.name} needs a network for pictures of any size, which {unfit}"
        )
    return sizes
