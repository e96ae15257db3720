"""What happens between the epochs."""

from __future__ import annotations

import csv
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from pawprint.errors import UserError
from pawprint.files import replacing_table

log = logging.getLogger(__name__)

Report = Callable[[int, dict[str, float]], None]


class EpochReport(keras.callbacks.Callback):
    """Collect the figures of each epoch, tell them in the log and to ``report``.

    Args:
        pictures: training pictures seen per epoch.
        epochs: number of epochs, for the log.
        report: called with the epoch (from 1) and its figures, those of ``history`` and besides
            ``seconds`` (training and validation) and ``pictures_per_second`` (training alone).

    Attributes:
        history: a row per epoch: epoch, accuracy, loss, val_accuracy, val_loss, learning_rate.

    Raises:
        UserError: the loss is not a number any more.
    """

    def __init__(self, pictures: int, epochs: int, report: Report) -> None:
        super().__init__()
        self.history: list[dict[str, float]] = []
        self._pictures = pictures
        self._epochs = epochs
        self._report = report
        self._begin = self._trained = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock."""
        self._begin = time.perf_counter()

    def on_test_begin(self, logs: Any = None) -> None:
        """Note when training gave way to validation."""
        self._trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Collect, log and report."""
        rate = float(self.model.optimizer.learning_rate)
        figures = {name: float(logs[name]) for name in sorted(logs)}
        for name in ("loss", "val_loss"):  # the last step's harm shows in the validation alone
            if not math.isfinite(figures[name]):
                raise UserError(
                    f"the {name} is {figures[name]} in epoch {epoch + 1} at learning rate "
                    f"{rate:.3g}; try a lower learning_rate"
                )
        row = {"epoch": epoch + 1, **figures, "learning_rate": rate}
        self.history.append(row)
        seconds = time.perf_counter() - self._begin
        speed = self._pictures / (self._trained - self._begin)
        log.info(
            "epoch %d/%d: accuracy %.4f, val_accuracy %.4f, val_loss %.4f, %.1f s, %.0f pictures/s",
            *(epoch + 1, self._epochs, figures["accuracy"], figures["val_accuracy"]),
            *(figures["val_loss"], seconds, speed),
        )
        told = {k: v for k, v in row.items() if k != "epoch"}
        self._report(epoch + 1, {**told, "seconds": seconds, "pictures_per_second": speed})


def write_history(path: Path, history: list[dict[str, float]]) -> None:
    """Write ``EpochReport.history`` as CSV, every digit kept."""
    with replacing_table(path) as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]))
        writer.writeheader()
        writer.writerows(history)
