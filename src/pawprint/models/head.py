"""What every network shares: pixels in, probabilities out, and the loss that fits them."""

from typing import Any

import keras
from keras import layers

from pawprint.system.errors import UserError


def pictures_input(image_size: int | None) -> tuple[Any, Any]:
    """Input for uint8 pictures (n, image_size, image_size, 3), and the same rescaled to 0–1.

    Pictures of any size where ``image_size`` is None.
    """
    pictures = keras.Input((image_size, image_size, 3), dtype="uint8", name="pictures")
    return pictures, layers.Rescaling(1 / 255, name="rescaling")(pictures)


def check_depth(name: str, image_size: int | None, depth: int, *, halvings: int) -> None:
    """Refuse more halvings than the pictures have, ``halvings`` of them besides ``depth``.

    Raises:
        UserError: says which depth still fits.
    """
    if image_size is None:
        return
    deepest = image_size.bit_length() - 1 - halvings
    if depth > deepest:
        raise UserError(
            f"depth={depth} is too deep for pictures of {image_size} pixels with model={name}; "
            f"set depth to {max(1, deepest)} at most or raise image_size"
        )


def probabilities_layer(classes: int) -> layers.Layer:
    """One sigmoid unit for two classes (probability of the second), else a softmax unit each."""
    units, activation = (1, "sigmoid") if classes == 2 else (classes, "softmax")
    # In float32 whatever the rest computes in: probabilities near 0 and 1 need the digits.
    return layers.Dense(units, activation=activation, dtype="float32", name="probabilities")


def loss_for(classes: int, label_smoothing: float = 0.0) -> keras.losses.Loss:
    """The cross-entropy that fits ``probabilities_layer``, for targets as by ``targets_for``."""
    kind = keras.losses.BinaryCrossentropy if classes == 2 else keras.losses.CategoricalCrossentropy
    return kind(label_smoothing=label_smoothing, name="loss")


def accuracy_for(classes: int) -> keras.metrics.Metric:
    """Accuracy by the larger share of a target, which mixed pictures have of two classes."""
    return keras.metrics.MeanMetricWrapper(
        _agree_on_one if classes == 2 else keras.metrics.categorical_accuracy, name="accuracy"
    )


def soft_loss_for(classes: int) -> Any:
    """The same loss for targets with the labels' own behind them, (n, 2) or (n, 2 * classes)."""
    return _binary_loss_of_first if classes == 2 else _loss_of_first


def accuracy_by_labels(classes: int) -> keras.metrics.Metric:
    """Accuracy by the labels' own targets, which stand behind those of ``soft_loss_for``."""
    return keras.metrics.MeanMetricWrapper(
        _agree_by_label if classes == 2 else _agree_by_labels, name="accuracy"
    )


def _binary_loss_of_first(targets: Any, probabilities: Any) -> Any:
    return keras.losses.binary_crossentropy(targets[:, :1], probabilities)


def _loss_of_first(targets: Any, probabilities: Any) -> Any:
    units = probabilities.shape[-1]
    return keras.losses.categorical_crossentropy(targets[:, :units], probabilities)


def _agree_by_label(targets: Any, probabilities: Any) -> Any:
    return _agree_on_one(targets[:, 1:], probabilities)


def _agree_by_labels(targets: Any, probabilities: Any) -> Any:
    units = probabilities.shape[-1]
    return keras.metrics.categorical_accuracy(targets[:, units:], probabilities)


# So that a compiled network can be cloned.
@keras.saving.register_keras_serializable(package="pawprint")
def _agree_on_one(targets: Any, probabilities: Any) -> Any:
    same = keras.ops.equal(targets > 0.5, probabilities > 0.5)
    return keras.ops.mean(keras.ops.cast(same, "float32"), axis=-1)
