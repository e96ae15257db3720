"""The network of the article "Building Powerful Image Classification CNN using Keras"."""

from __future__ import annotations

import keras
from keras import layers

from pawprint.models.head import pictures_input, probabilities_layer
from pawprint.system.errors import UserError


def article(
    image_size: int, classes: int, *, depth: int, width: int, dense_units: int, dropout: float
) -> keras.Model:
    """Build the article's network: at depth 2, 32 filters, 128 units, dropout 0.2 to the letter.

    Args:
        image_size: side of the pictures in pixels.
        classes: number of classes, at least 2.
        depth: blocks of a 3×3 convolution (valid padding, ReLU) and 2×2 max pooling.
        width: filters of the first block; doubled in each further one.
        dense_units: units of the hidden dense layer.
        dropout: share of its units dropped during training, 0 up to 1.

    Returns:
        A model from uint8 pictures (n, image_size, image_size, 3) to probabilities.

    Raises:
        UserError: the pictures are too small for that many blocks.
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
