"""The networks of our own: the article's, a plain one and a residual one.

Each goes from uint8 pictures (n, image_size, image_size, 3) to probabilities. What they share:

Args:
    image_size: side of the pictures in pixels, or None for any (not in the article's).
    classes: number of classes, at least 2.
    depth: number of blocks; each halves the side and doubles the filters.
    width: filters of the first block.
    dropout: share of features dropped before the last layer during training, 0 up to 1.

Raises:
    UserError: the pictures are too small for that many blocks.
"""

from typing import Any

import keras
from keras import layers

from pawprint.models.head import check_depth, pictures_input, probabilities_layer
from pawprint.system.errors import UserError


def article(
    image_size: int, classes: int, *, depth: int, width: int, dense_units: int, dropout: float
) -> keras.Model:
    """The network of "Building Powerful Image Classification CNN using Keras".

    At depth 2, 32 filters, 128 units and dropout 0.2 to the letter. A block is a 3×3 convolution
    (valid padding, ReLU) and 2×2 max pooling; ``dense_units`` are those of the hidden dense layer.
    """
    pictures, x = pictures_input(image_size)
    for block in range(depth):
        if x.shape[1] < 4:  # 3×3 valid, then 2×2: below this nothing would be left
            raise UserError(
                f"model.depth={depth} is too deep for pictures of {image_size} pixels with "
                f"model=article; set model.depth to {block} at most or raise image_size"
            )
        x = layers.Conv2D(width * 2**block, 3, activation="relu", name=f"convolution_{block}")(x)
        x = layers.MaxPooling2D(2, name=f"pooling_{block}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(dense_units, activation="relu", name="dense")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(pictures, probabilities_layer(classes)(x), name="article")


def cnn(
    image_size: int | None, classes: int, *, depth: int, width: int, dropout: float
) -> keras.Model:
    """Blocks of convolution, pooling and batch normalisation, then average pooling.

    Pooling comes before normalisation and ReLU: the same features on a quarter of the pixels.
    """
    check_depth("cnn", image_size, depth, halvings=0)
    pictures, x = pictures_input(image_size)
    for block in range(depth):
        x = _convolution(x, width * 2**block, f"convolution_{block}")
        x = layers.MaxPooling2D(2, name=f"pooling_{block}")(x)
        x = _normalisation(x, f"normalisation_{block}", momentum=0.9)
        x = layers.ReLU(name=f"relu_{block}")(x)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(pictures, probabilities_layer(classes)(x), name="cnn")


def resnet(
    image_size: int | None, classes: int, *, depth: int, width: int, dropout: float
) -> keras.Model:
    """A strided convolution of ``width`` filters, then blocks of a convolution and a residual one.

    As strong as a few minutes on two cores allow. The narrow, early pooling shape is that of the
    speed-run networks for CIFAR-10 (Jordan 2024, "94% on CIFAR-10 in 3.29 seconds",
    arXiv:2404.00498); the addition is He et al. 2015's. Pooling comes first as in ``cnn``.
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
    for block in range(depth):
        down, residual = f"down_{block}", f"residual_{block}"
        x = _convolution(x, width * 2**block, down)
        x = layers.MaxPooling2D(2, name=f"{down}_pooling")(x)
        x = _normalisation(x, f"{down}_normalisation", momentum=0.95)
        x = layers.ReLU(name=f"{down}_relu")(x)
        added = _convolution(x, width * 2**block, residual)
        added = _normalisation(added, f"{residual}_normalisation", momentum=0.95)
        x = layers.Add(name=f"{residual}_sum")([x, added])
        x = layers.ReLU(name=f"{residual}_relu")(x)
    x = layers.GlobalAveragePooling2D(dtype="float32", name="average")(x)
    x = layers.Dropout(dropout, dtype="float32", name="dropout")(x)
    return keras.Model(pictures, probabilities_layer(classes)(x), name="resnet")


def _convolution(x: Any, filters: int, name: str) -> Any:
    return layers.Conv2D(
        filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )(x)


def _normalisation(x: Any, name: str, *, momentum: float) -> Any:
    # Synchronized: on several devices the statistics are those of the whole batch.
    return layers.BatchNormalization(momentum=momentum, synchronized=True, name=name)(x)
