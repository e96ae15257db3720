"""The article's own way, in the Keras of today: its network and its `ImageDataGenerator`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
from keras import layers

SIDE, BATCH_SIZE = 64, 32


def network() -> keras.Model:
    """The article's network, compiled as there; Adadelta's rate is that of its Keras."""
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    optimizer = keras.optimizers.Adadelta(learning_rate=1.0)
    model.compile(optimizer, loss="binary_crossentropy", metrics=["accuracy"])
    return model


def training_pictures(folder: str) -> Any:
    """Batches of `training_set`, varied as in the article."""
    return _pictures(
        Path(folder) / "training_set", shear_range=0.2, zoom_range=0.2, horizontal_flip=True
    )


def test_pictures(folder: str) -> Any:
    """Batches of `test_set`, as they are."""
    return _pictures(Path(folder) / "test_set")


def _pictures(folder: Path, **variation: Any) -> Any:
    from tensorflow.keras.preprocessing.image import ImageDataGenerator

    generator = ImageDataGenerator(rescale=1 / 255, **variation)
    return generator.flow_from_directory(
        str(folder), target_size=(SIDE, SIDE), batch_size=BATCH_SIZE, class_mode="binary"
    )
