"""Batches of pictures in a reproducible order, straight from the memory-mapped arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

Augmentation = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def steps_in(pictures: int, batch_size: int, steps: int | None) -> int:
    """Batches of an epoch: ``steps``, or as many as one full pass needs."""
    return math.ceil(pictures / batch_size) if steps is None else steps


def epoch_batches(
    pictures: int, batch_size: int, steps: int, order: Callable[[int], np.ndarray]
) -> Iterator[np.ndarray]:
    """Yield exactly ``steps`` batches of indices, going round again where the data is shorter.

    The last batch of a pass may be smaller: no picture comes twice before each came once.

    Args:
        pictures: number of pictures.
        batch_size: pictures per batch.
        steps: number of batches.
        order: the order of the n-th pass, a permutation of the indices.
    """
    per_pass = steps_in(pictures, batch_size, None)
    for step in range(steps):
        number, position = divmod(step, per_pass)
        if position == 0:
            indices = order(number)
        yield indices[position * batch_size : (position + 1) * batch_size]


def training_batches(
    pictures: np.ndarray,
    labels: np.ndarray,
    *,
    batch_size: int,
    steps: int,
    epochs: int,
    seed: int,
    augmentation: Augmentation | None,
) -> tf.data.Dataset:
    """All batches of a training, epoch after epoch, each epoch ``steps`` batches long.

    Order depends on (seed, epoch), augmentation on (seed, step): not on what was drawn before.

    Args:
        pictures: uint8 (n, size, size, 3).
        labels: class indices (n,).
        batch_size: pictures per batch.
        steps: batches per epoch.
        epochs: number of epochs.
        seed: of order and augmentation.
        augmentation: from (pictures, two int64 seeds) to pictures of the same shape and type.
    """

    def generate() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        for epoch in range(epochs):

            def order(number: int, epoch: int = epoch) -> np.ndarray:
                return np.random.default_rng([seed, epoch, number]).permutation(len(labels))

            for step, batch in enumerate(epoch_batches(len(labels), batch_size, steps, order)):
                stateless = np.array([seed, epoch * steps + step], dtype=np.int64)
                yield pictures[batch], labels[batch], stateless

    def augmented(x: tf.Tensor, y: tf.Tensor, stateless: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return (augmentation(x, stateless) if augmentation else x), y

    data = tf.data.Dataset.from_generator(
        generate,
        output_signature=(*_signature(pictures), tf.TensorSpec((2,), tf.int64)),
    )
    data = data.map(augmented, num_parallel_calls=2, deterministic=True)
    return _tuned(data, epochs * steps)


def validation_batches(
    pictures: np.ndarray, labels: np.ndarray, *, batch_size: int, steps: int
) -> tf.data.Dataset:
    """Exactly ``steps`` batches in the order of the array, going round again where it is shorter.

    Args:
        pictures: uint8 (n, size, size, 3).
        labels: class indices (n,).
        batch_size: pictures per batch.
        steps: number of batches; one full pass counts every picture once.
    """

    def generate() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        everything = np.arange(len(labels))
        for batch in epoch_batches(len(labels), batch_size, steps, lambda _: everything):
            yield pictures[batch], labels[batch]

    data = tf.data.Dataset.from_generator(generate, output_signature=_signature(pictures))
    return _tuned(data, steps)


def _signature(pictures: np.ndarray) -> tuple[tf.TensorSpec, tf.TensorSpec]:
    return tf.TensorSpec((None, *pictures.shape[1:]), tf.uint8), tf.TensorSpec((None,), tf.int64)


def _tuned(data: tf.data.Dataset, steps: int) -> tf.data.Dataset:
    options = tf.data.Options()
    options.autotune.enabled = False  # its back-off can stall the end of a fit for seconds
    return (
        data.apply(tf.data.experimental.assert_cardinality(steps)).prefetch(4).with_options(options)
    )
