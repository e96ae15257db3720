"""What happens between the steps and the epochs."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
from tqdm import tqdm

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger(__name__)


class StepWatch(keras.callbacks.Callback):
    """Tell ``after`` how many steps of the epoch are done, whenever Python has its turn.

    Args:
        first: steps of the epoch that were done before.
        running: the running metrics up to there, or None at an epoch's begin.
        after: called with the steps done and Keras's running figures.
        optimizer: what averages the weights, where any does.
    """

    def __init__(
        self,
        first: int,
        running: list[np.ndarray] | None,
        after: Callable[[int, dict[str, Any]], None],
        optimizer: keras.optimizers.Optimizer,
    ) -> None:
        super().__init__()
        self._first = first
        self._running = running
        self._after = after
        self._optimizer = optimizer  # the model's may be one that wraps it
        self._averages = False

    def on_epoch_begin(self, *_: object, **__: object) -> None:
        """Go on from the running metrics, which Keras has just reset."""
        for variable, value in zip(self.model.metrics_variables, self._running or (), strict=False):
            variable.assign(value)

    def on_epoch_end(self, *_: object, **__: object) -> None:
        """Keep the weights: Keras puts their averages in their place at the end of every fit."""
        self._averages, self._optimizer.use_ema = self._optimizer.use_ema, False

    def on_train_end(self, *_: object, **__: object) -> None:
        """Let the next epoch average again."""
        self._optimizer.use_ema = self._averages

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Tell of the steps done."""
        self._after(self._first + batch + 1, logs)


class Termination:
    """Within it SIGTERM is noted instead of obeyed, until the training has saved its state.

    Attributes:
        asked: whether SIGTERM came.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> Termination:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _note(self, *_: object) -> None:
        self.asked = True

    def stop_if_asked(self) -> None:
        """Obey now, as whoever listened to SIGTERM before would have."""
        if not self.asked:
            return
        log.info("asked to stop: the same command goes on with this training")
        signal.signal(signal.SIGTERM, self._before)
        signal.raise_signal(signal.SIGTERM)


class Progress:
    """A bar over all pictures of a training on a terminal, and a line per epoch in the log.

    Args:
        epochs: epochs at most.
        steps: batches per epoch.
        pictures: training pictures per epoch.
    """

    def __init__(self, epochs: int, steps: int, pictures: int) -> None:
        self._epochs = epochs
        self._steps = steps
        self._pictures = pictures

    def __enter__(self) -> Progress:
        total, shown = self._epochs * self._pictures, sys.stderr.isatty()
        self._bar = tqdm(total=total, unit=" pictures", disable=not shown, leave=False)
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def skip(self, epoch: int, step: int) -> None:
        """Start from where an earlier process stopped; its share does not count for the speed."""
        self._bar.initial = self._place(epoch, step)
        self._bar.reset()
        self._bar.n = self._bar.initial

    def move(self, epoch: int, step: int, logs: dict[str, Any]) -> None:
        """Show how far the training is."""
        if not self._bar.disable:
            self._bar.set_postfix(epoch=epoch + 1, loss=f"{float(logs['loss']):.4f}", refresh=False)
            self._bar.update(self._place(epoch, step) - self._bar.n)

    def tell(self, epoch: int, figures: dict[str, float]) -> None:
        """Log an epoch."""
        self._bar.clear()
        log.info(
            "epoch %d/%d: accuracy %.4f, val_accuracy %.4f, val_loss %.4f, %.1f s, %.0f pictures/s",
            epoch,
            self._epochs,
            figures["accuracy"],
            figures["val_accuracy"],
            figures["val_loss"],
            figures["seconds"],
            figures["pictures_per_second"],
        )

    def _place(self, epoch: int, step: int) -> int:
        return epoch * self._pictures + round(step / self._steps * self._pictures)
