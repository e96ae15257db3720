"""Pawprint's training loop on prepared pictures, timed; for processes of their own."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from pawprint.training.tensorflow_runtime import start_tensorflow

start_tensorflow()

import keras  # noqa: E402

from pawprint.training import cost  # noqa: E402
from pawprint.training.batch_norm import with_fused_normalisation  # noqa: E402
from pawprint.training.batches import (  # noqa: E402
    TrainingBatches,
    ValidationBatches,
    Vary,
    steps_in,
    targets_for,
)
from pawprint.training.devices import set_policy  # noqa: E402
from pawprint.training.loop import Plan, TrainingLoop, seed_everything  # noqa: E402
from pawprint.training.optimizers import build_optimizer  # noqa: E402


def batches_of(pictures: Any, labels: np.ndarray, vary: Vary, batch_size: int) -> TrainingBatches:
    """Training batches of two classes."""
    return TrainingBatches(pictures, labels, 2, batch_size, 0, vary)


def timed_fit(
    build: Callable[[], keras.Model],
    optimizer: str,
    rate: float,
    batches: TrainingBatches,
    *,
    epochs: int,
    deterministic: bool = True,
) -> dict[str, Any]:
    """Train one epoch that is not counted, in which all is traced, and ``epochs`` that are.

    Args:
        build: makes the network, from uint8 pictures to one unit.
        optimizer: name.
        rate: learning rate.
        batches: as ``batches_of`` makes them.
        epochs: that are counted, without validation.
        deterministic: as every training of pawprint, or with TensorFlow left to itself.

    Returns:
        ``speed`` in pictures per second, ``waited`` as a share of the time, ``memory`` in MB at
        most, and the ``policy``.
    """
    if deterministic:
        seed_everything(0)
    else:
        keras.utils.set_random_seed(0)
    policy = set_policy("auto")
    model = with_fused_normalisation(build())
    pictures, labels, batch_size = batches.pictures, batches.labels, batches.batch_size
    side, few = pictures.shape[1], slice(0, batch_size)
    reports: list[dict[str, float]] = []
    loop = TrainingLoop(
        model,
        build_optimizer(optimizer, rate, {}),
        batches,
        ValidationBatches(pictures[few], targets_for(labels[few], 2), batch_size, 1),
        Plan([side] * (1 + epochs), steps_in(len(labels), batch_size, None)),
    )
    loop.run(lambda _, figures: reports.append(figures))
    seconds = [len(labels) / report["pictures_per_second"] for report in reports]
    waited = [share * s for share, s in zip(_shares(reports), seconds, strict=True)]
    return {
        "speed": epochs * len(labels) / sum(seconds[1:]),
        "waited": sum(waited[1:]) / sum(seconds[1:]),
        "memory": cost.peak_memory() / 1e6,
        "policy": policy,
    }


def timed_batches(batches: TrainingBatches, *, epochs: int) -> dict[str, float]:
    """The ``speed`` in pictures per second at which batches are made that nobody learns from."""
    count, side = len(batches.labels), batches.pictures.shape[1]
    steps = steps_in(count, batches.batch_size, None)
    for epoch in range(1 + epochs):
        if epoch == 1:
            begin = time.perf_counter()
        for _ in batches.dataset(epoch, 0, steps, side):
            pass
    return {"speed": epochs * count / (time.perf_counter() - begin)}


def _shares(reports: list[dict[str, float]]) -> list[float]:
    return [report["input_wait_share"] for report in reports]
