"""From the name of a choice to its network."""

from __future__ import annotations

import keras

from pawprint.models.article import article
from pawprint.models.cnn import cnn
from pawprint.models.resnet import resnet
from pawprint.models.transfer import transfer
from pawprint.system.errors import UserError

ANY_SIZE = ("cnn", "resnet", "transfer")


def build_model(
    name: str,
    image_size: int | None,
    classes: int,
    *,
    depth: int,
    width: int | None,
    dense_units: int,
    dropout: float,
    backbone: str | None = None,
    alpha: float | None = None,
    weights: str | None = None,
) -> keras.Model:
    """Build the network called ``name`` (its function is called so); see there for the arguments.

    Raises:
        UserError: no network has that name, its values do not fit it, or the pictures are too
            small for it.
    """
    shared = {"depth": depth, "width": width, "dropout": dropout}
    if name == "article":
        return article(image_size, classes, dense_units=dense_units, **shared)
    if name == "cnn":
        return cnn(image_size, classes, **shared)
    if name == "resnet":
        return resnet(image_size, classes, **shared)
    if name == "transfer":
        return transfer(
            image_size,
            classes,
            backbone=backbone,
            alpha=alpha,
            weights=weights,
            dense_units=dense_units,
            dropout=dropout,
        )
    raise UserError(
        f"model.name is {name!r}, but the networks are article, cnn, resnet and transfer"
    )
