"""Batches of pictures in a reproducible order, straight from the memory-mapped arrays."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import tensorflow as tf

from pawprint.training.augmentation import resized
from pawprint.training.teacher import SoftTargets

Vary = Callable[..., tuple[np.ndarray, np.ndarray]]  # as ``Augmentation.__call__``
PARALLEL = 2  # batches that are made at a time
AHEAD = 8  # batches that are made before they are asked for


def steps_in(pictures: int, batch_size: int, steps: int | None) -> int:
    """Batches of an epoch: ``steps``, or as many as one full pass needs."""
    return math.ceil(pictures / batch_size) if steps is None else steps


def pictures_in(pictures: int, batch_size: int, steps: int) -> int:
    """Pictures in so many batches: the last batch of a pass may be smaller."""
    passes, rest = divmod(steps, steps_in(pictures, batch_size, None))
    return passes * pictures + min(rest * batch_size, pictures)


def targets_for(labels: np.ndarray, classes: int) -> np.ndarray:
    """Class indices (n,) as float32 targets: (n, 1) for two classes, else one-hot (n, classes)."""
    if classes == 2:
        return labels[:, None].astype(np.float32)
    return np.eye(classes, dtype=np.float32)[labels]


def balanced_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """A weight per class, float32 (classes,), so that each counts the same and the mean is 1.

    The `balanced` heuristic of scikit-learn: n / (classes * count).
    """
    counts = np.bincount(labels, minlength=classes)
    return (len(labels) / (classes * np.maximum(counts, 1))).astype(np.float32)


@dataclass
class TrainingBatches:
    """Every batch of a training as a function of its epoch and step, whatever came before.

    Order depends on (seed, epoch), what varies a batch on (seed, epoch, step): a training that
    goes on in the middle sees what it would have seen.

    Args:
        pictures: uint8 (n, side, side, 3), or features (n, 2, d); read batch by batch.
        labels: class indices (n,); with a teacher -1 where a picture has none.
        classes: number of classes.
        batch_size: pictures per batch.
        seed: of order and variation.
        vary: from (pictures, targets, generator, size) to pictures and targets; with a teacher an
            ``Augmentation``.
        class_weights: float32 (classes,), or None where every picture counts the same.
        multiple: of which a batch has pictures. A smaller one is filled up with the next pictures
            of the pass, after the last with its first ones: with the number of devices, each
            device's mean counts the same.
        soft_targets: what a teacher says of each picture as it is seen; None where labels teach
            alone. With it a target has two parts: what to learn, and the label's own.

    Attributes:
        seconds_waited: how long the reader of a dataset has waited for batches so far.
    """

    pictures: Any
    labels: np.ndarray
    classes: int
    batch_size: int
    seed: int
    vary: Vary
    class_weights: np.ndarray | None = None
    multiple: int = 1
    soft_targets: SoftTargets | None = None
    seconds_waited: float = field(default=0.0, init=False)

    def batch(self, epoch: int, step: int, size: int) -> tuple[np.ndarray, ...]:
        """Pictures, targets and, with class weights, a weight per picture."""
        number, position = divmod(step, steps_in(len(self.labels), self.batch_size, None))
        start = position * self.batch_size
        order = _order(self.seed, epoch, number, len(self.labels))
        count = min(self.batch_size, len(order) - start)
        count += -count % self.multiple
        rows = order.take(range(start, start + count), mode="wrap")
        rng = np.random.default_rng([self.seed, epoch, step])
        if self.soft_targets is not None:
            return self._taught(self.soft_targets, epoch, rows, rng, size)
        targets = targets_for(self.labels[rows], self.classes)
        pictures, targets = self.vary(self.pictures[rows], targets, rng, size)
        if self.class_weights is None:
            return pictures, targets
        return pictures, targets, _weights(targets, self.class_weights)

    def _taught(
        self, soft: SoftTargets, epoch: int, rows: np.ndarray, rng: np.random.Generator, size: int
    ) -> tuple[np.ndarray, ...]:
        """A batch of the pictures ``rows`` in which a teacher has a say."""
        labels = self.labels[rows]
        targets = targets_for(labels, self.classes)
        targets[labels < 0] = np.nan
        weights = np.ones((len(rows), 1), np.float32)
        if self.class_weights is not None:
            weights[labels >= 0, 0] = self.class_weights[labels[labels >= 0]]
        # A mixture of pictures has that of all columns: of what teaches, of labels and of weights.
        columns = np.concatenate([soft.targets(targets, epoch, rows), weights], axis=1)
        variations = soft.variations(epoch, rows, rng)
        pictures, columns = self.vary(self.pictures[rows], columns, rng, size, variations)
        if self.class_weights is None:
            return pictures, columns[:, :-1]
        return pictures, columns[:, :-1], columns[:, -1]

    def dataset(self, epoch: int, first: int, steps: int, size: int) -> tf.data.Dataset:
        """Batches ``first`` to ``steps`` of an epoch; the time they are waited for is added up.

        Args:
            epoch: number of the epoch, from 0.
            first: number of the first batch.
            steps: batches of the whole epoch.
            size: side of the pictures.
        """

        def generate() -> Iterator[tuple[np.ndarray, ...]]:
            # Threads of our own instead of tf.data's: only so can the waiting be measured.
            with ThreadPoolExecutor(PARALLEL) as pool:
                ahead: deque[Future] = deque()
                for step in range(first, steps + AHEAD):
                    if step < steps:
                        ahead.append(pool.submit(self.batch, epoch, step, size))
                    if step >= first + AHEAD and ahead:
                        begin = time.perf_counter()
                        parts = ahead.popleft().result()
                        self.seconds_waited += time.perf_counter() - begin
                        yield parts

        return _tuned(generate, self.batch(epoch, first, size), steps - first)


@dataclass(frozen=True)
class ValidationBatches:
    """Exactly ``steps`` batches, always the same ones.

    Whole passes are in the order of the array. Where some pictures count less often than others,
    or not at all, the order is drawn once and for all: the array may begin with all of one class.

    Args:
        pictures: uint8 (n, side, side, 3), or features (n, 2, d), of which the first counts.
        targets: float32 (n, 1) or (n, classes).
        batch_size: pictures per batch.
        steps: number of batches; one full pass counts every picture once.
        class_weights: float32 (classes,), or None where every picture counts the same.
    """

    pictures: Any
    targets: np.ndarray
    batch_size: int
    steps: int
    class_weights: np.ndarray | None = None

    def dataset(self, size: int | None = None) -> tf.data.Dataset:
        """The batches, with pictures of another ``size`` where it is given."""
        count = len(self.targets)
        full_pass = steps_in(count, self.batch_size, None)
        whole = self.steps % full_pass == 0
        order = np.arange(count) if whole else np.random.default_rng(0).permutation(count)

        def batch(step: int) -> tuple[np.ndarray, ...]:
            start = step % full_pass * self.batch_size
            rows = order[start : start + self.batch_size]
            part, targets = self.pictures[rows], self.targets[rows]
            if part.ndim == 3:
                part = part[:, 0]
            elif size is not None:
                part = resized(part, size)
            if self.class_weights is None:
                return part, targets
            return part, targets, _weights(targets, self.class_weights)

        return _tuned(lambda: map(batch, range(self.steps)), batch(0), self.steps)


@lru_cache(maxsize=2)  # the batches of a pass are made in several threads
def _order(seed: int, epoch: int, number: int, count: int) -> np.ndarray:
    """The order of the n-th pass of an epoch over so many pictures."""
    # The last number sets it apart from the generators of the batches.
    return np.random.default_rng([seed, epoch, number, 0x0DE5]).permutation(count)


def _weights(targets: np.ndarray, class_weights: np.ndarray) -> np.ndarray:
    """A weight per target, (n,); of a mixed one in between."""
    if len(class_weights) == 2:
        first, second = class_weights
        return first + targets[:, 0] * (second - first)
    return targets @ class_weights


def _tuned(
    generate: Callable[[], Iterable[tuple[np.ndarray, ...]]],
    example: tuple[np.ndarray, ...],
    steps: int,
) -> tf.data.Dataset:
    def any_length(shape: tuple[int, ...]) -> tuple[int | None, ...]:
        # Pictures of any side, so that growing ones are not traced again.
        return (None, None, None, shape[3]) if len(shape) == 4 else (None, *shape[1:])

    options = tf.data.Options()
    options.autotune.enabled = False  # its back-off can stall the end of a fit for seconds
    # There are no files to divide between devices: each takes its part of every batch.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    signature = tuple(tf.TensorSpec(any_length(part.shape), part.dtype) for part in example)
    data = tf.data.Dataset.from_generator(generate, output_signature=signature)
    data = data.apply(tf.data.experimental.assert_cardinality(steps))
    return data.prefetch(2).with_options(options)
