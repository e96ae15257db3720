"""What every network shares: pixels in, probabilities out, and the loss that fits them."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers


def pictures_input(image_size: int) -> tuple[Any, Any]:
    """Input for uint8 pictures (n, image_size, image_size, 3), and the same rescaled to 0–1."""
    pictures = keras.Input((image_size, image_size, 3), dtype="uint8", name="pictures")
    return pictures, layers.Rescaling(1 / 255, name="rescaling")(pictures)


def probabilities_layer(classes: int) -> layers.Layer:
    """One sigmoid unit for two classes (probability of the second), else a softmax unit each."""
    if classes == 2:
        return layers.Dense(1, activation="sigmoid", name="probabilities")
    return layers.Dense(classes, activation="softmax", name="probabilities")


def loss_for(classes: int) -> str:
    """The cross-entropy that fits ``probabilities_layer``, for labels that are class indices."""
    return "binary_crossentropy" if classes == 2 else "sparse_categorical_crossentropy"
