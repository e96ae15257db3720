"""Build the configured network and train it: from prepared arrays to a network and what it cost."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras

from pawprint.config.schema import Config
from pawprint.data.store import Split
from pawprint.models.build import build_model
from pawprint.models.transfer import has_depthwise, head_model, rate_factors, unfreeze
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
from pawprint.training.optimizers import build_optimizer, build_schedule, with_rate_factors
from pawprint.training.progressive_size import picture_sizes
from pawprint.training.teacher import TAUGHT, SoftTargets

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingJob:
    """One training: what to train, on what, and where its progress goes.

    Attributes:
        config: what to train and how.
        data: the splits `train` and `validation`; with pictures that have no label also `taught`,
            of which a teacher teaches instead of `train`.
        augmentation: varies training pictures. While a backbone is frozen, its mirroring alone
            counts.
        features_folder: where a backbone's features are kept.
        report: told the figures of each epoch; None for nobody.
        checkpoint: where the state is saved; None for nowhere.
        state: where to go on.
        soft_targets: asked for what a teacher says of the training pictures, once it is needed;
            None where labels teach alone.
        began: ``time.monotonic()`` of the begin of the work, from which the start-up counts; None
            where the process began with it.
    """

    config: Config
    data: Mapping[str, Split]
    augmentation: Augmentation
    features_folder: Path
    report: Report | None = None
    checkpoint: Checkpoint | None = None
    state: State = field(default_factory=State)
    soft_targets: Callable[[], SoftTargets] | None = None
    began: float | None = None


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network in float32, its history, the best epoch's figures, and what it cost."""

    model: keras.Model
    history: list[dict[str, float]]
    figures: dict[str, float]
    costs: dict[str, float]


def build_network(job: TrainingJob) -> keras.Model:
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
    try:
        smallest = _model(job, min(sizes), empty=True)
    except UserError as error:
        if min(sizes) == config.image_size:
            raise
        raise UserError(
            f"{error} (growth={config.growth.name} begins with {min(sizes)} of the "
            f"{config.image_size} pixels of image_size; growth=none does not)"
        ) from None
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
    pictures, devices = len(job.data["train"].labels), strategy.num_replicas_in_sync
    what = f"{model.name}: {model.count_params()} weights, {pictures} pictures"
    where = f"{policy} on {devices} device{'s' if devices > 1 else ''}"
    log.info("training %s, %s", what, where)
    return model


def train_network(job: TrainingJob, model: keras.Model) -> TrainedNetwork:
    """Train a network that was built for this job.

    Raises:
        DivergedError: the loss is not a number any more.
    """
    config = job.config
    started = cost.seconds_since_start() if job.began is None else time.monotonic() - job.began
    try:
        fit = _fit_pretrained if config.model.name == "transfer" else _fit_whole
        fitted = fit(job, model)
    except DivergedError as error:
        error.model = _final_model(job, error.fitted.weights)
        raise
    costs = cost.training_costs(config, model, fitted, started)  # under the training's policy
    final = _final_model(job, fitted.weights)
    best = fitted.best
    named = ("epoch", "val_accuracy", "val_loss", "accuracy")
    figures = {f"best_{name}": best[name] for name in named} | {"weights": final.count_params()}
    if job.state.before:
        figures["head_val_accuracy"] = job.state.before["val_accuracy"]
        if not best["epoch"]:
            log.warning("no epoch of fine-tuning was better than the head alone, which is kept")
    log.info("best epoch %d: val_accuracy %.4f", best["epoch"], best["val_accuracy"])
    return TrainedNetwork(final, fitted.history, figures, costs)


def _model(job: TrainingJob, image_size: int | None, *, empty: bool = False) -> keras.Model:
    """The configured network; ``empty`` where no weights are to be read from elsewhere."""
    config = job.config
    return build_model(
        config.model.name,
        image_size,
        len(job.data["train"].class_names),
        depth=config.blocks,
        width=config.filters,
        dense_units=config.dense_units,
        dropout=config.dropout,
        backbone=config.model.backbone,
        alpha=config.model.alpha,
        pixels=config.model.pixels,
        scale=config.model.scale,
        offset=config.model.offset,
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
    factors: Sequence[float] = (),
    soft_targets: SoftTargets | None = None,
) -> Fitted:
    """Train ``model`` on ``inputs``, pictures or features, as configured or at another ``rate``.

    With ``factors`` the rate of each variable that learns is multiplied by its own.
    """
    config, classes = job.config, len(job.data["train"].class_names)
    learning = TAUGHT if soft_targets and TAUGHT in job.data else "train"
    labels, held_out = job.data[learning].labels, job.data["validation"].labels
    # How long, and at which rates.
    steps = steps_in(len(labels), config.batch_size, config.steps_per_epoch)
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
        if factors:
            optimizer = with_rate_factors(optimizer, factors)
    # The batches of both splits.
    balanced = config.class_weights == "balanced"
    devices = model.distribute_strategy.num_replicas_in_sync
    batches = TrainingBatches(
        inputs[learning],
        labels,
        classes,
        config.batch_size,
        config.seed,
        vary,
        balanced_weights(labels[labels >= 0], classes) if balanced else None,
        # A backbone's head normalises over the batch alone: one picture would be all there is.
        max(2, devices) if config.model.name == "transfer" else devices,
        soft_targets,
    )
    validation = ValidationBatches(
        inputs["validation"],
        targets_for(held_out, classes),
        config.batch_size,
        steps_in(len(held_out), config.batch_size, config.validation_steps),
        balanced_weights(held_out, classes) if balanced else None,
    )
    # Epochs and steps.
    plan = Plan(sizes, steps, config.patience, config.label_smoothing)
    loop = TrainingLoop(model, optimizer, batches, validation, plan, job.checkpoint, job.state)
    return loop.run(job.report)


def _fit_whole(job: TrainingJob, model: keras.Model, factors: Sequence[float] = ()) -> Fitted:
    """Train the network on pictures."""
    pictures = {split: part.pictures for split, part in job.data.items()}
    sizes = picture_sizes(job.config)
    if job.soft_targets is None:
        return _fit(job, model, pictures, job.augmentation, sizes, factors=factors)
    begin = time.perf_counter()
    soft_targets = job.soft_targets()
    seconds = time.perf_counter() - begin
    fitted = _fit(
        job,
        model,
        pictures,
        job.augmentation,
        sizes,
        factors=factors,
        soft_targets=soft_targets,
    )
    fitted.seconds_of_teacher = seconds
    return fitted


def _fit_pretrained(job: TrainingJob, model: keras.Model) -> Fitted:
    """Train the head on the backbone's features; then, where configured, its last layers too."""
    config, state = job.config, job.state
    if config.frozen:
        mirrors = job.augmentation.horizontal_flip
        does = "mirrors pictures, no more" if mirrors else "changes nothing"
        log.info("while the backbone is frozen, augment=%s %s", config.augment.name, does)
        return _fit_head(job, model, config.epochs)
    epochs, share = config.model.head_epochs, config.model.unfreeze
    assert epochs is not None and share is not None  # noqa: PT018 - the schema's check saw to it
    seconds = 0.0
    if not state.arrays:  # else the head has learned before
        try:
            alone = replace(job, report=None, checkpoint=None, state=State())
            fitted = _fit_head(alone, model, epochs, config.model.head_rate)
        except DivergedError as error:
            sentence = str(error).replace("lower learning_rate", "lower model.head_rate")
            raise DivergedError(sentence, error.fitted) from None
        seconds = fitted.seconds_of_features
        log.info("the head alone: val_accuracy %.4f", fitted.best["val_accuracy"])
        # The head alone stays where fine-tuning makes nothing better.
        state.before = fitted.best | {"epoch": 0}
    learning = unfreeze(model, share)
    log.info("%d layers of %s learn now", learning, config.model.backbone)
    first = config.model.first_layer_rate
    fitted = _fit_whole(job, model, rate_factors(model, first) if first else ())
    fitted.seconds_of_features = seconds
    return fitted


def _fit_head(
    job: TrainingJob, model: keras.Model, epochs: int, rate: float | None = None
) -> Fitted:
    """Train the head alone; the weights that come out are those of the whole ``model``."""
    config = job.config
    with model.distribute_strategy.scope():
        head = head_model(model)
    begin = time.perf_counter()
    empty = partial(_model, job, config.image_size, empty=True)
    features = features_of_splits(config, model, job.data, job.features_folder, empty)
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
