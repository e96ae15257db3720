"""Build the configured network and train it: from prepared arrays to a network and what it cost."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras

from pawprint.config.schema import Config
from pawprint.data.store import Split
from pawprint.models.build import build_model
from pawprint.models.transfer import has_depthwise, head_model, unfreeze
from pawprint.system.errors import UserError
from pawprint.training import cost
from pawprint.training.augmentation import Augmentation, mirrored_features, plain_features
from pawprint.training.batch_norm import with_fused_normalisation
from pawprint.training.batches import (
    TrainingBatches,
    ValidationBatches,
    Vary,
    balanced_weights,
    steps_in,
    targets_for,
)
from pawprint.training.checkpoint import Checkpoint, State
from pawprint.training.devices import check_policy, set_policy, strategy_for
from pawprint.training.features import features_of_splits
from pawprint.training.loop import (
    DivergedError,
    Fitted,
    Plan,
    Report,
    TrainingLoop,
    seed_everything,
)
from pawprint.training.optimizers import build_optimizer, build_schedule
from pawprint.training.progressive_size import picture_sizes

log = logging.getLogger(__name__)


def _no_report(epoch: int, figures: dict[str, float]) -> None:
    """Tell nobody of an epoch."""


@dataclass(frozen=True)
class TrainingJob:
    """One training: what to train, on what, and where its progress goes.

    Attributes:
        config: what to train and how.
        data: the splits `train` and `validation`.
        augmentation: varies training pictures. While a backbone is frozen, its mirroring alone
            counts.
        features_folder: where a backbone's features are kept.
        report: told the figures of each epoch.
        checkpoint: where the state is saved; None for nowhere.
        state: where to go on; None for the beginning.
        began: ``time.monotonic()`` of the begin of the work, from which the start-up counts; None
            where the process began with it.
    """

    config: Config
    data: Mapping[str, Split]
    augmentation: Augmentation
    features_folder: Path
    report: Report = _no_report
    checkpoint: Checkpoint | None = None
    state: State | None = None
    began: float | None = None

    @property
    def class_count(self) -> int:
        """Number of classes."""
        return len(self.data["train"].class_names)

    @property
    def pictures(self) -> dict[str, Any]:
        """The pictures of each split."""
        return {split: part.pictures for split, part in self.data.items()}

    def unrecorded(self) -> TrainingJob:
        """The same, of which nothing is saved and nobody is told."""
        return replace(self, report=_no_report, checkpoint=None, state=None)


@dataclass(frozen=True)
class BuiltNetwork:
    """A network that is ready to learn, and the side of the training pictures of each epoch."""

    model: keras.Model
    sizes: list[int]


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network in float32, its history, the best epoch's figures, and what it cost."""

    model: keras.Model
    history: list[dict[str, float]]
    figures: dict[str, float]
    costs: dict[str, float]


def build_network(job: TrainingJob) -> BuiltNetwork:
    """Build the configured network for this machine, with the weights that it begins with.

    Raises:
        UserError: the network or the optimizer does not take what is configured, or the network
            does not fit the pictures.
    """
    config = job.config
    cost.forget_peak_memory()  # an earlier training of this process had its own
    # What does not fit is told before anything is computed.
    _optimizer(config, config.rate)
    sizes = picture_sizes(config)
    smallest = _smallest_network(job, min(sizes))
    # The precision depends on the network and on the machine.
    seed_everything(config.seed)
    policy = set_policy(config.precision, depthwise=has_depthwise(smallest))  # seeds forget it
    strategy = strategy_for()
    check_policy(policy, strategy)
    with strategy.scope():
        # Validation shows pictures of the whole size, whatever training does.
        same = {*sizes, config.image_size} == {config.image_size}
        model = _model(job, config.image_size if same else None)
        if not config.frozen:
            model = with_fused_normalisation(model)
    log.info(
        "training %s: %d weights, %d pictures, %s on %d device%s",
        model.name,
        model.count_params(),
        len(job.data["train"].labels),
        policy,
        strategy.num_replicas_in_sync,
        "" if strategy.num_replicas_in_sync == 1 else "s",
    )
    return BuiltNetwork(model, sizes)


def train_network(job: TrainingJob, network: BuiltNetwork) -> TrainedNetwork:
    """Train a network that was built for this job.

    Raises:
        DivergedError: the loss is not a number any more.
    """
    config, model = job.config, network.model
    started = cost.seconds_since_start() if job.began is None else time.monotonic() - job.began
    try:
        if config.model.name == "transfer":
            fitted = _fit_pretrained(job, network)
        else:
            fitted = _fit(job, model, job.pictures, job.augmentation, network.sizes)
    except DivergedError as error:
        error.model = _final_model(job, error.fitted.weights)
        raise
    costs = _costs(config, model, fitted, started)  # under the policy of the training
    final = _final_model(job, fitted.weights)
    best = fitted.best
    figures = {
        "best_epoch": best["epoch"],
        "best_val_accuracy": best["val_accuracy"],
        "best_val_loss": best["val_loss"],
        "best_accuracy": best["accuracy"],
        "weights": final.count_params(),
    }
    if job.state and job.state.before:
        figures["head_val_accuracy"] = job.state.before["val_accuracy"]
        if not best["epoch"]:
            log.warning("no epoch of fine-tuning was better than the head alone, which is kept")
    log.info("best epoch %d: val_accuracy %.4f", best["epoch"], best["val_accuracy"])
    return TrainedNetwork(final, fitted.history, figures, costs)


def _smallest_network(job: TrainingJob, size: int) -> keras.Model:
    """The network for the smallest pictures of the training: tells where they are too small."""
    try:
        return _model(job, size, empty=True)
    except UserError as error:
        if size == job.config.image_size:
            raise
        raise UserError(
            f"{error} (growth={job.config.growth.name} begins with {size} of the "
            f"{job.config.image_size} pixels of image_size; growth=none does not)"
        ) from None


def _model(job: TrainingJob, image_size: int | None, *, empty: bool = False) -> keras.Model:
    """The configured network; ``empty`` where no weights are to be read from elsewhere."""
    config = job.config
    return build_model(
        config.model.name,
        image_size,
        job.class_count,
        depth=config.blocks,
        width=config.filters,
        dense_units=config.dense_units,
        dropout=config.dropout,
        backbone=config.model.backbone,
        alpha=config.model.alpha,
        weights="none" if empty else config.model.weights,
    )


def _final_model(job: TrainingJob, weights: list[Any]) -> keras.Model:
    """The network as it is used: for whole pictures, in float32, with these weights."""
    set_policy("float32")
    final = _model(job, job.config.image_size, empty=True)
    final.set_weights(weights)
    return final


def _optimizer(config: Config, rate: Any, averaging_steps: float | None = None) -> Any:
    skip = ("name", "learning_rate")
    given = {k: v for k, v in vars(config.optimizer).items() if k not in skip and v is not None}
    return build_optimizer(config.optimizer.name, rate, given, averaging_steps=averaging_steps)


def _fit(
    job: TrainingJob,
    model: keras.Model,
    inputs: Mapping[str, Any],
    vary: Vary,
    sizes: list[int],
    rate: float | None = None,
) -> Fitted:
    """Train ``model`` on ``inputs``, pictures or features, as configured or at another ``rate``."""
    config, classes = job.config, job.class_count
    labels = {split: part.labels for split, part in job.data.items()}
    # How long, and at which rates.
    steps = steps_in(len(labels["train"]), config.batch_size, config.steps_per_epoch)
    total = steps * len(sizes)
    schedule = build_schedule(
        config.schedule.name,
        config.rate if rate is None else rate,
        total,
        warmup_fraction=config.schedule.warmup_fraction,
        final_fraction=config.schedule.final_fraction,
    )
    with model.distribute_strategy.scope():
        optimizer = _optimizer(config, schedule, config.ema * total or None)
    # The batches of both splits.
    class_weights = {
        split: balanced_weights(part, classes) if config.class_weights == "balanced" else None
        for split, part in labels.items()
    }
    devices = model.distribute_strategy.num_replicas_in_sync
    batches = TrainingBatches(
        inputs["train"],
        labels["train"],
        classes,
        config.batch_size,
        config.seed,
        vary,
        class_weights["train"],
        # A backbone's head normalises over the batch alone: one picture would be all there is.
        max(2, devices) if config.model.name == "transfer" else devices,
    )
    validation = ValidationBatches(
        inputs["validation"],
        targets_for(labels["validation"], classes),
        config.batch_size,
        steps_in(len(labels["validation"]), config.batch_size, config.validation_steps),
        class_weights["validation"],
    )
    # Epochs and steps.
    plan = Plan(sizes, steps, config.patience, config.label_smoothing)
    loop = TrainingLoop(model, optimizer, batches, validation, plan, job.checkpoint, job.state)
    return loop.run(job.report)


def _fit_pretrained(job: TrainingJob, network: BuiltNetwork) -> Fitted:
    """Train the head on the backbone's features; then, where configured, its last layers too."""
    config, model, state = job.config, network.model, job.state
    if config.frozen:
        return _fit_head(job, model, config.epochs)
    epochs, share = config.model.head_epochs, config.model.unfreeze
    assert epochs is not None and share is not None  # noqa: PT018 - the schema's check saw to it
    seconds = 0.0
    if not (state and state.arrays):  # else the head has learned before
        try:
            fitted = _fit_head(job.unrecorded(), model, epochs, config.model.head_rate)
        except DivergedError as error:
            sentence = str(error).replace("lower learning_rate", "lower model.head_rate")
            raise DivergedError(sentence, error.fitted) from None
        seconds = fitted.seconds_of_features
        log.info("the head alone: val_accuracy %.4f", fitted.best["val_accuracy"])
        if state:  # the head alone stays where fine-tuning makes nothing better
            state.before = fitted.best | {"epoch": 0}
    learning = unfreeze(model, share)
    log.info("%d layers of %s learn now", learning, config.model.backbone)
    fitted = _fit(job, model, job.pictures, job.augmentation, network.sizes)
    fitted.seconds_of_features = seconds
    return fitted


def _fit_head(
    job: TrainingJob, model: keras.Model, epochs: int, rate: float | None = None
) -> Fitted:
    """Train the head alone; the weights that come out are those of the whole ``model``."""
    config = job.config
    with model.distribute_strategy.scope():
        head = head_model(model)

    def empty_model() -> keras.Model:
        return _model(job, config.image_size, empty=True)

    begin = time.perf_counter()
    features = features_of_splits(config, model, job.data, job.features_folder, empty_model)
    seconds = time.perf_counter() - begin
    vary = mirrored_features if job.augmentation.horizontal_flip else plain_features
    try:
        fitted = _fit(job, head, features, vary, [config.image_size] * epochs, rate)
    except DivergedError as error:
        head.set_weights(error.fitted.weights)
        error.fitted.weights = model.get_weights()
        raise
    head.set_weights(fitted.weights)
    fitted.weights = model.get_weights()
    fitted.seconds_of_features = seconds
    return fitted


def _costs(
    config: Config, model: keras.Model, fitted: Fitted, started: float | None
) -> dict[str, float]:
    """Where the time went: speed, waiting, memory, operations and their share of the peak."""
    operations = cost.operations_per_picture(model, config.image_size)
    figures = {
        "peak_memory_mb": cost.peak_memory() / 1e6,
        "gflop_per_picture": operations / 1e9,
    }
    if started is not None:
        figures["start_up_seconds"] = started
    if not fitted.pictures:
        return figures
    figures |= {
        "seconds_of_training": fitted.seconds,
        "mean_pictures_per_second": sum(fitted.pictures.values()) / fitted.seconds,
        "mean_input_wait_share": fitted.seconds_waited / fitted.seconds,
    }
    if fitted.seconds_of_features:
        figures["seconds_of_features"] = fitted.seconds_of_features
    # Frozen layers are not gone through backwards.
    if config.model.name != "transfer" or config.model.unfreeze == 1:
        # Backwards, each product is done twice: for the weights and for what comes in.
        done = 3 * sum(
            cost.operations_per_picture(model, size) * count
            for size, count in fitted.pictures.items()
        )
        peak = cost.matrix_peak(keras.config.dtype_policy().compute_dtype)
        figures["matrix_peak_gflops"] = peak / 1e9
        devices = model.distribute_strategy.num_replicas_in_sync
        figures["share_of_matrix_peak"] = done / fitted.seconds / peak / devices
    log.info("%s", ", ".join(f"{name} {value:.4g}" for name, value in figures.items()))
    return figures
