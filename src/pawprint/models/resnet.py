"""A small residual network, as strong as a few minutes on two cores allow."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from pawprint.models.head import check_depth, pictures_input, probabilities_layer


def resnet(
    image_size: int | None, classes: int, *, depth: int, width: int, dropout: float
) -> keras.Model:
    """Build a strided convolution and ``depth`` groups of a convolution and a residual one.

    The narrow, early pooling shape is that of the speed-run networks for CIFAR-10 (Jordan 2024,
    "94% on CIFAR-10 in 3.29 seconds", arXiv:2404.00498); the addition is He et al. 2015's.
    Pooling comes before normalisation and ReLU: the same features on a quarter of the pixels.

    Args:
        image_size: side of the pictures in pixels, or None for any.
        classes: number of classes, at least 2.
        depth: number of groups; each halves the side and doubles the filters.
        width: filters of the first convolution and of the first group.
        dropout: share of features dropped before the last layer during training, 0 up to 1.

    Returns:
        A model from uint8 pictures (n, image_size, image_size, 3) to probabilities.

    Raises:
        UserError: the pictures are too small for that many groups.
    """
    check_depth("resnet", image_size, depth, halvings=1)
    pictures, x = pictures_input(image_size)
    # Most of a convolution's cost is in its pixels: the first one leaves a quarter of them.
    x = layers.Rescaling(4.0, -2.0, name="centring")(x)
    x = layers.Conv2D(
        width,
        4,
        strides=2,
        padding="same",
        activation="relu",
        kernel_initializer="he_normal",
        name="stem",
    )(x)
    for group in range(depth):
        filters = width * 2**group
        x = _convolution(x, filters, f"down_{group}", pooled=True)
        x = layers.ReLU(name=f"down_{group}_relu")(x)
        residual = _convolution(x, filters, f"residual_{group}")
        x = layers.Add(name=f"residual_{group}_sum")([x, residual])
        x = layers.ReLU(name=f"residual_{group}_relu")(x)
    x = layers.GlobalAveragePooling2D(dtype="float32", name="average")(x)
    x = layers.Dropout(dropout, dtype="float32", name="dropout")(x)
    return keras.Model(pictures, probabilities_layer(classes)(x), name="resnet")


def _convolution(x: Any, filters: int, name: str, *, pooled: bool = False) -> Any:
    x = layers.Conv2D(
        filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )(x)
    if pooled:
        x = layers.MaxPooling2D(2, name=f"{name}_pooling")(x)
    # Synchronized: on several devices the statistics are those of the whole batch.
    return layers.BatchNormalization(
        momentum=0.95, synchronized=True, name=f"{name}_normalisation"
    )(x)
