"""One training, from a built network and batches to the best weights."""

import logging
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from pawprint.models.head import accuracy_by_labels, accuracy_for, loss_for, soft_loss_for
from pawprint.system.errors import UserError
from pawprint.training.batches import TrainingBatches, ValidationBatches, pictures_in
from pawprint.training.checkpoint import Checkpoint, State, Termination

log = logging.getLogger(__name__)

STEPS_PER_CALL = 16  # of TensorFlow: between two calls Python works alone, in one it is deaf
PIXELS_PER_CALL = 12_000_000  # so that SIGTERM is heard in time, also with large pictures

Report = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class Plan:
    """How long to train, and on pictures of which size.

    Args:
        sizes: side of the training pictures, epoch by epoch; as many as there are epochs.
        steps: batches per epoch.
        patience: epochs of the last size without a better val_accuracy before stopping; None for
            never.
        label_smoothing: share of a target that is spread over all classes, 0 up to 1. With a
            teacher it is in the targets already, and not read.
    """

    sizes: Sequence[int]
    steps: int
    patience: int | None = None
    label_smoothing: float = 0.0


@dataclass
class Fitted:
    """What came out of a training.

    Attributes:
        weights: those of the best epoch, in the order of ``model.get_weights()``.
        history: a row per epoch: epoch, accuracy, loss, val_accuracy, val_loss, learning_rate.
        best: the row of the best epoch: of the largest pictures so far, by val_accuracy, then by
            val_loss. It is the state's ``before`` where no epoch was better.
        pictures: training pictures seen, by the side they were shown at.
        seconds: spent in training steps, without validation.
        seconds_waited: those of them spent waiting for batches.
        seconds_of_features: spent computing what a head learns on, where one does.
        seconds_of_teacher: spent on a teacher's answers, where there is one.
    """

    weights: list[np.ndarray]
    history: list[dict[str, float]]
    best: dict[str, float]
    pictures: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.0
    seconds_waited: float = 0.0
    seconds_of_features: float = 0.0
    seconds_of_teacher: float = 0.0


def seed_everything(seed: int) -> None:
    """Make weights, dropout and every operation repeat with ``seed``."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


@dataclass(eq=False)
class TrainingLoop:
    """Trains a model epoch by epoch; validates, saves and reports after each.

    The state is saved in ``checkpoint`` after each epoch and on SIGTERM; a ``state`` that was saved
    goes on. Where the optimizer averages the weights, the averages are validated and kept. Epochs
    of smaller pictures than the last are validated on pictures of that size, and are not as good as
    any of a larger one. With class weights of the validation pictures val_accuracy is the mean over
    the classes.
    """

    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    batches: TrainingBatches
    validation: ValidationBatches
    plan: Plan
    checkpoint: Checkpoint | None = None
    state: State = field(default_factory=State)

    def __post_init__(self) -> None:
        model, batches, plan = self.model, self.batches, self.plan
        self.pictures_per_epoch = pictures_in(len(batches.labels), batches.batch_size, plan.steps)
        self.termination = Termination(self._save)
        classes = batches.classes
        # A second network is validated: it takes the averaged weights, the first one keeps its. On
        # one device, because several cannot share a last batch of fewer pictures than they are.
        self.validated = keras.models.clone_model(model)
        self.validated.compile(loss=loss_for(classes), weighted_metrics=[accuracy_for(classes)])
        taught = batches.soft_targets is not None
        with model.distribute_strategy.scope():
            model.compile(
                self.optimizer,
                loss=soft_loss_for(classes) if taught else loss_for(classes, plan.label_smoothing),
                metrics=[accuracy_by_labels(classes) if taught else accuracy_for(classes)],
                steps_per_execution=min(self._steps_per_call(), plan.steps),
                jit_compile=False,  # XLA does not promise the same result twice
            )
            # Builds the metrics, so that their running values can be restored.
            example = np.zeros((1, 1 if classes == 2 else classes), np.float32)
            model.compute_metrics(None, np.tile(example, 1 + taught), example)
            model.reset_metrics()
            model.optimizer.build(model.trainable_variables)  # in float16 it is wrapped
        # In a clone all layers learn: its weights are found by their place.
        places = {id(weight): place for place, weight in enumerate(model.weights)}
        learning = [places[id(weight)] for weight in model.trainable_variables]
        self.averaged = [self.validated.weights[place] for place in learning]
        self.fitted = Fitted(model.get_weights(), self.state.history, self.state.before)
        if self.state.arrays:
            self._restore()

    def run(self, report: Report | None = None) -> Fitted:
        """Train up to the last epoch, or until patience is over.

        Args:
            report: told the epoch (from 1) and its figures: those of the history, ``seconds``
                (training and validation), ``pictures_per_second`` (training alone),
                ``input_wait_share`` and ``picture_size``. An epoch is saved before it is reported.

        Raises:
            DivergedError: the loss is not a number any more; it has the best weights so far.
        """
        state, epochs, per_epoch = self.state, len(self.plan.sizes), self.pictures_per_epoch
        self.bar = tqdm(
            total=epochs * per_epoch,
            initial=self._pictures_done(),
            unit=" pictures",
            disable=not sys.stderr.isatty(),
            leave=False,
        )
        with self.termination, self.bar:
            while state.epoch < epochs and not self._patience_is_over():
                figures = self._run_epoch()
                self._save()
                self.bar.clear()
                log.info(
                    "epoch %(epoch)d/%(epochs)d: accuracy %(accuracy).4f, "
                    "val_accuracy %(val_accuracy).4f, val_loss %(val_loss).4f, "
                    "%(seconds).1f s, %(pictures_per_second).0f pictures/s",
                    {"epoch": state.epoch, "epochs": epochs, **figures},
                )
                self.termination.stop_if_asked()
                if report:
                    report(state.epoch, figures)
            self.termination.stop_if_asked()
        # What the epochs took, also those of earlier processes.
        for figures in state.reports:
            speed, size = figures["pictures_per_second"], int(figures["picture_size"])
            if speed:  # else stopped between training and validation: it is not known any more
                self.fitted.pictures[size] = self.fitted.pictures.get(size, 0) + per_epoch
                self.fitted.seconds += per_epoch / speed
                self.fitted.seconds_waited += per_epoch / speed * figures["input_wait_share"]
        return self.fitted

    def _steps_per_call(self) -> int:
        if self.batches.pictures.ndim < 4:  # features: a step takes no time
            return STEPS_PER_CALL
        pixels = self.batches.batch_size * max(self.plan.sizes) ** 2
        return max(1, min(STEPS_PER_CALL, PIXELS_PER_CALL // pixels))

    def _pictures_done(self) -> int:
        done = self.state.step / self.plan.steps
        return self.state.epoch * self.pictures_per_epoch + round(done * self.pictures_per_epoch)

    def _run_epoch(self) -> dict[str, float]:
        """Train and validate; the state is then that of the next epoch's begin."""
        state, batches, first = self.state, self.batches, self.state.step
        begin, waited = time.perf_counter(), batches.seconds_waited
        size = self.plan.sizes[state.epoch]
        # Train.
        logs = self._run_steps(size)
        trained = time.perf_counter() - begin
        rate = self._learning_rate()
        # Validate.
        logs |= self._validate(size)
        for name in ("loss", "val_loss"):  # the last step's harm shows in the validation alone
            self._check_finite(name, logs[name])
        weights = self.validated.get_weights()
        for weight in weights:  # of which a ReLU may hide one from the loss
            self._check_finite("sum of some weights", float(weight.sum()))
        # Keep the figures, and the weights where they are the best.
        logs = dict(sorted(logs.items())) | {"learning_rate": rate}
        row = {"epoch": state.epoch + 1, **logs}
        done_before = pictures_in(len(batches.labels), batches.batch_size, first)
        figures = {
            **logs,
            "seconds": time.perf_counter() - begin,
            "pictures_per_second": (self.pictures_per_epoch - done_before) / trained,
            "input_wait_share": (batches.seconds_waited - waited) / trained,
            "picture_size": size,
        }
        state.history.append(row)
        state.reports.append(figures)
        state.epoch, state.step = state.epoch + 1, 0
        best = self.fitted.best
        if not best or self._quality(row) > self._quality(best):
            self.fitted.best, self.fitted.weights = row, weights
        return figures

    def _run_steps(self, size: int) -> dict[str, float]:
        """Train what is left of an epoch's steps; returns the mean figures of all of them."""
        state, optimizer, steps = self.state, self.optimizer, self.plan.steps
        first, averages = state.step, optimizer.use_ema

        def restore_metrics(*_: object) -> None:  # Keras has just reset them
            if first:
                _assign(self.model.metrics_variables, state.arrays["running"])

        def after_steps(batch: int, logs: dict[str, Any]) -> None:
            # Keras counts the last call's steps as if it were whole.
            state.step, loss = min(first + batch + 1, steps), float(logs["loss"])
            self._check_finite("loss", loss)
            self.bar.set_postfix(epoch=state.epoch + 1, loss=f"{loss:.4f}", refresh=False)
            self.bar.update(self._pictures_done() - self.bar.n)
            if state.step < steps:
                self.termination.stop_if_asked()

        def keep_weights(*_: object) -> None:  # Keras would put their averages in their place
            optimizer.use_ema = False

        if first == steps:  # stopped between training and validation
            restore_metrics()
        else:
            watch = keras.callbacks.LambdaCallback(
                on_epoch_begin=restore_metrics,
                on_train_batch_end=after_steps,
                on_epoch_end=keep_weights,
            )
            self.model.fit(
                self.batches.dataset(state.epoch, first, steps, size),
                epochs=state.epoch + 1,
                initial_epoch=state.epoch,
                steps_per_epoch=steps - first,
                shuffle=False,  # the batches come shuffled
                verbose=0,
                callbacks=[watch],
            )
            optimizer.use_ema = averages
        return {k: float(v) for k, v in self.model.get_metrics_result().items()}

    def _validate(self, size: int) -> dict[str, float]:
        self.termination.stop_if_asked()
        self.validated.set_weights(self.model.get_weights())
        if self.optimizer.use_ema:
            # Not by finalize_variable_values: variables of several devices cannot go to one's so.
            averages = self.optimizer._model_variables_moving_average  # noqa: SLF001  (Keras has no other way)
            _assign(self.averaged, _values(averages))
        data = self.validation.dataset(None if size == self.plan.sizes[-1] else size)
        watch = keras.callbacks.LambdaCallback(on_test_batch_end=self.termination.stop_if_asked)
        logs = self.validated.evaluate(data, verbose=0, return_dict=True, callbacks=[watch])
        return {f"val_{name}": float(value) for name, value in logs.items()}

    def _quality(self, row: dict[str, float]) -> tuple[float, ...]:
        # Epoch 0, which is before, counts as one of the largest pictures.
        return self.plan.sizes[int(row["epoch"]) - 1], row["val_accuracy"], -row["val_loss"]

    def _patience_is_over(self) -> bool:
        best, patience, sizes = self.fitted.best, self.plan.patience, self.plan.sizes
        if not (best and patience):
            return False
        return sizes[int(best["epoch"]) : self.state.epoch].count(sizes[-1]) >= patience

    def _learning_rate(self) -> float:
        return float(self.optimizer.learning_rate.numpy())

    def _check_finite(self, name: str, value: float) -> None:
        if not math.isfinite(value):
            cure = "a lower learning_rate"
            if isinstance(self.optimizer.get_config()["learning_rate"], dict):  # a schedule
                cure += " or a longer warm-up (schedule.warmup_fraction)"
            if keras.config.dtype_policy().compute_dtype != "float32":
                cure += ", or precision=float32"
            raise DivergedError(
                f"the {name} is {value} in epoch {self.state.epoch + 1} at learning rate "
                f"{self._learning_rate():.3g}; try {cure}",
                self.fitted,
            )

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        self.state.arrays = {
            "weights": _values(self.model.variables),
            "optimizer": _values(self.model.optimizer.variables),  # with its loss scale
            "running": _values(self.model.metrics_variables),
            "best": self.fitted.weights,
        }
        self.checkpoint.save(self.state)

    def _restore(self) -> None:
        state = self.state
        _assign(self.model.variables, state.arrays["weights"])
        _assign(self.model.optimizer.variables, state.arrays["optimizer"])
        self.fitted.weights = state.arrays["best"]
        rows = [state.before, *state.history] if state.before else state.history
        self.fitted.best = max(rows, key=self._quality, default={})
        where = f"step {state.step} of epoch {state.epoch + 1}"
        log.info("going on after %s", where if state.step else f"epoch {state.epoch}")


class DivergedError(UserError):
    """The loss is not a number any more.

    Attributes:
        fitted: the training up to there; its weights are the best before.
        model: a network with these weights, where whoever built it has added one.
    """

    def __init__(self, sentence: str, fitted: Fitted) -> None:
        super().__init__(sentence)
        self.fitted = fitted
        self.model: keras.Model | None = None


def _values(variables: Sequence[Any]) -> list[np.ndarray]:
    return [variable.numpy() for variable in variables]


def _assign(variables: Sequence[Any], values: Sequence[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
