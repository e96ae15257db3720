"""Batch normalisation in one operation while a network learns."""

from typing import Any

import keras
import tensorflow as tf
from keras import layers


# So that a network inside a network can be cloned.
@keras.saving.register_keras_serializable(package="pawprint")
class FusedBatchNormalization(layers.BatchNormalization):
    """Keras's BatchNormalization, whose training step is one kernel of TensorFlow, not a dozen.

    The same arithmetic up to rounding. What is no picture, and what several devices share, goes
    Keras's way. Arguments as for `keras.layers.BatchNormalization`.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalise pictures (n, height, width, channels) by their own statistics."""
        alone = tf.distribute.get_strategy().num_replicas_in_sync == 1
        picture = len(inputs.shape) == 4 and self.axis in (-1, 3)
        if not (training and self.trainable and alone and picture):
            return super().call(inputs, training=training, mask=mask)
        channels = tf.zeros_like(self.moving_mean)
        normalised, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=tf.cast(inputs, self.compute_dtype),
            scale=tf.cast(self.gamma, tf.float32) if self.scale else channels + 1,
            offset=tf.cast(self.beta, tf.float32) if self.center else channels,
            mean=[],
            variance=[],
            epsilon=self.epsilon,
            is_training=True,
        )
        pixels = tf.cast(tf.size(inputs) // tf.size(mean), tf.float32)
        variance *= (pixels - 1) / pixels  # the kernel's is unbiased, Keras's is not
        for moving, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + new * (1 - self.momentum))
        return normalised


def with_fused_normalisation(model: keras.Model) -> keras.Model:
    """A copy of a functional model, with the same weights, that learns with fused normalisation.

    Also in models inside it. Under a strategy of several devices, in whose scope it is to be
    called, the statistics are those of the whole batch.
    """
    shared = tf.distribute.get_strategy().num_replicas_in_sync > 1

    def clone(layer: layers.Layer) -> layers.Layer:
        config = layer.get_config()
        if isinstance(layer, layers.Dropout) and layer.rate:
            # The copy drops what the model would have dropped.
            config["seed"] = int(layer.seed_generator.state.numpy()[0])
        if type(layer) is not layers.BatchNormalization:
            return type(layer).from_config(config)
        return FusedBatchNormalization.from_config(config | {"synchronized": shared})

    copy = keras.models.clone_model(model, clone_function=clone, recursive=True)
    copy.set_weights(model.get_weights())
    return copy
