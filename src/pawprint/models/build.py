"""From the name of a choice to its network."""

from __future__ import annotations

import keras

from pawprint.errors import UserError
from pawprint.models.article import article
from pawprint.models.cnn import cnn


def build_model(
    name: str,
    image_size: int,
    classes: int,
    *,
    depth: int,
    filters: int,
    dense_units: int,
    dropout: float,
) -> keras.Model:
    """Build the network called ``name`` (`article` or `cnn`); see there for the arguments.

    Raises:
        UserError: no network has that name, or the pictures are too small for ``depth``.
    """
    shared = {"depth": depth, "filters": filters, "dropout": dropout}
    if name == "article":
        return article(image_size, classes, dense_units=dense_units, **shared)
    if name == "cnn":
        return cnn(image_size, classes, **shared)
    raise UserError(f"model.name is {name!r}, but the networks are article and cnn")
