"""One training, from a built network and arrays to the best weights."""

from __future__ import annotations

import logging
import sys

import keras
import numpy as np
import tensorflow as tf

from pawprint.models.head import loss_for
from pawprint.training.batches import (
    Augmentation,
    steps_in,
    training_batches,
    validation_batches,
)
from pawprint.training.callbacks import EpochReport, Report

log = logging.getLogger(__name__)


def seed_everything(seed: int) -> None:
    """Make weights, dropout and every operation repeat with ``seed``."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def fit(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    train: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    *,
    classes: int,
    augmentation: Augmentation | None,
    epochs: int,
    patience: int,
    batch_size: int,
    steps_per_epoch: int | None,
    validation_steps: int | None,
    seed: int,
    report: Report,
) -> list[dict[str, float]]:
    """Train ``model`` and leave it with the weights of its best validation accuracy.

    Args:
        model: from uint8 pictures to probabilities.
        optimizer: as built by ``build_optimizer``.
        train: pictures uint8 (n, size, size, 3) and class indices (n,).
        validation: the same for validation.
        classes: number of classes.
        augmentation: varies training pictures, or None.
        epochs: at most.
        patience: epochs without a better val_accuracy before stopping.
        batch_size: pictures per step.
        steps_per_epoch: batches per epoch; None for one full pass.
        validation_steps: batches per validation; None for one full pass.
        seed: of order and augmentation.
        report: told the figures of every epoch.

    Returns:
        The history, a row per epoch.

    Raises:
        UserError: the loss is not a number any more.
    """
    count = len(train[1])
    steps = steps_in(count, batch_size, steps_per_epoch)
    val_steps = steps_in(len(validation[1]), batch_size, validation_steps)
    passes, rest = divmod(steps, steps_in(count, batch_size, None))
    epoch_report = EpochReport(passes * count + min(rest * batch_size, count), epochs, report)
    model.compile(optimizer, loss=loss_for(classes), metrics=["accuracy"], jit_compile=False)
    model.fit(
        training_batches(
            *train,
            batch_size=batch_size,
            steps=steps,
            epochs=epochs,
            seed=seed,
            augmentation=augmentation,
        ),
        steps_per_epoch=steps,
        epochs=epochs,
        validation_data=validation_batches(*validation, batch_size=batch_size, steps=val_steps),
        callbacks=[
            epoch_report,
            keras.callbacks.EarlyStopping(
                "val_accuracy", mode="max", patience=patience, restore_best_weights=True
            ),
        ],
        shuffle=False,  # the batches come shuffled
        verbose=1 if sys.stdout.isatty() else 0,
    )
    return epoch_report.history
