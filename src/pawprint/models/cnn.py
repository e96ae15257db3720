"""Our plain convolutional network."""

from __future__ import annotations

import keras
from keras import layers

from pawprint.models.head import check_depth, pictures_input, probabilities_layer


def cnn(
    image_size: int | None, classes: int, *, depth: int, width: int, dropout: float
) -> keras.Model:
    """Build ``depth`` blocks of convolution, pooling and batch normalisation, then average pooling.

    Pooling comes before normalisation and ReLU: the same features on a quarter of the pixels.

    Args:
        image_size: side of the pictures in pixels, or None for any.
        classes: number of classes, at least 2.
        depth: number of convolution blocks; each halves the side and doubles the filters.
        width: filters of the first block.
        dropout: share of features dropped before the last layer during training, 0 up to 1.

    Returns:
        A model from uint8 pictures (n, image_size, image_size, 3) to probabilities.

    Raises:
        UserError: the pictures are too small for that many blocks.
    """
    check_depth("cnn", image_size, depth, halvings=0)
    pictures, x = pictures_input(image_size)
    for block in range(depth):
        x = layers.Conv2D(
            width * 2**block,
            3,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"convolution_{block}",
        )(x)
        x = layers.MaxPooling2D(2, name=f"pooling_{block}")(x)
        x = layers.BatchNormalization(
            momentum=0.9, synchronized=True, name=f"normalisation_{block}"
        )(x)
        x = layers.ReLU(name=f"relu_{block}")(x)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(pictures, probabilities_layer(classes)(x), name="cnn")
