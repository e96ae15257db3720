"""From the configuration and the prepared arrays to a trained network and what it cost."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from pawprint.config.schema import Config
from pawprint.data.store import Split
from pawprint.models.build import ANY_SIZE, build_model
from pawprint.models.transfer import HALVED, features_model, has_depthwise, head_model, unfreeze
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
from pawprint.training.features import (
    Rows,
    cached_features,
    computed_by,
    features,
    weights_digest,
)
from pawprint.training.loop import DivergedError, Fitted, Plan, Report, fit, seed_everything
from pawprint.training.optimization import build_optimizer, build_schedule
from pawprint.training.progressive_size import sizes_by_epoch

log = logging.getLogger(__name__)

Data = Mapping[str, Split]


@dataclass(frozen=True)
class Learned:
    """A trained network in float32, its history, the best epoch's figures, and what it cost."""

    model: keras.Model
    history: list[dict[str, float]]
    figures: dict[str, float]
    costs: dict[str, float]


def learn(
    config: Config,
    data: Data,
    vary: Augmentation,
    features_folder: Path,
    report: Report,
    checkpoint: Checkpoint,
    state: State,
    began: float | None = None,
) -> Learned:
    """Build the configured network and train it.

    Args:
        config: what to train and how.
        data: the splits `train` and `validation`.
        vary: varies training pictures. While a backbone is frozen, its mirroring alone counts.
        features_folder: where a backbone's features are kept.
        report: told the figures of each epoch.
        checkpoint: where the state is saved.
        state: where to go on.
        began: ``time.monotonic()`` of the begin of the work, from which the start-up counts; None
            where the process began with it.

    Raises:
        UserError: the network does not fit the pictures.
        DivergedError: the loss is not a number any more.
    """
    cost.forget_peak_memory()  # an earlier training of this process had its own
    _build_optimizer(config, config.rate)  # tells what it does not take before anything is computed
    sizes, classes = _picture_sizes(config), len(data["train"].class_names)
    depthwise = has_depthwise(_smallest(config, min(sizes), classes))
    seed_everything(config.seed)
    policy = set_policy(config.precision, depthwise=depthwise)  # after the seeds, which forget it
    strategy = strategy_for()
    check_policy(policy, strategy)
    with strategy.scope():
        # Validation shows pictures of the whole size, whatever training does.
        same = {*sizes, config.image_size} == {config.image_size}
        model = _build(config, config.image_size if same else None, classes)
        if not config.frozen:
            model = with_fused_normalisation(model)
    log.info(
        "training %s: %d weights, %d pictures, %s on %d device%s",
        *(model.name, model.count_params(), len(data["train"].labels), policy),
        *(strategy.num_replicas_in_sync, "" if strategy.num_replicas_in_sync == 1 else "s"),
    )
    started = cost.seconds_since_start() if began is None else time.monotonic() - began
    recorded = {"report": report, "checkpoint": checkpoint, "state": state}
    try:
        if config.model.name == "transfer":
            fitted = _fit_transfer(config, model, data, vary, sizes, features_folder, **recorded)
        else:
            fitted = _train(config, model, data, _pictures(data), vary, sizes, **recorded)
    except DivergedError as error:
        error.model = _whole(config, classes, error.fitted.weights)
        raise
    costs = _costs(config, model, fitted, started)
    final = _whole(config, classes, fitted.weights)
    best = fitted.best
    figures = {
        "best_epoch": best["epoch"],
        "best_val_accuracy": best["val_accuracy"],
        "best_val_loss": best["val_loss"],
        "best_accuracy": best["accuracy"],
        "weights": final.count_params(),
    }
    if state.before:
        figures["head_val_accuracy"] = state.before["val_accuracy"]
        if not best["epoch"]:
            log.warning("no epoch of fine-tuning was better than the head alone, which is kept")
    log.info("best epoch %d: val_accuracy %.4f", best["epoch"], best["val_accuracy"])
    return Learned(final, fitted.history, figures, costs)


def _picture_sizes(config: Config) -> list[int]:
    """Side of the training pictures of each epoch."""
    if config.frozen:  # whose features are of whole pictures
        return [config.image_size] * config.epochs
    shares, until = config.growth.sizes, config.growth.until
    pretrained = config.model.name == "transfer"
    step = HALVED if pretrained else 4
    sizes = sizes_by_epoch(config.image_size, config.epochs, shares, until, step)
    if pretrained and config.image_size % step and set(sizes) != {config.image_size}:
        raise UserError(
            f"image_size is {config.image_size}, but growth={config.growth.name} with "
            f"model=transfer needs a multiple of {step}; set growth=none or image_size to "
            f"{config.image_size // step * step + step}"
        )
    grows = set(sizes) != {config.image_size}
    if grows and pretrained and config.model.backbone.startswith("NASNet"):
        raise UserError(
            f"growth={config.growth.name} needs a network for pictures of any size, which "
            f"model.backbone={config.model.backbone} is not; set growth=none"
        )
    if grows and config.model.name not in ANY_SIZE:
        raise UserError(
            f"growth={config.growth.name} needs a network for pictures of any size, which "
            f"model={config.model.name} is not; set growth=none or model to one of "
            f"{', '.join(ANY_SIZE)}"
        )
    return sizes


def _smallest(config: Config, size: int, classes: int) -> keras.Model:
    """The network for the smallest pictures of the training: tells where they are too small."""
    try:
        return _build(config, size, classes, empty=True)
    except UserError as error:
        if size == config.image_size:
            raise
        raise UserError(
            f"{error} (growth={config.growth.name} begins with {size} of the {config.image_size} "
            "pixels of image_size; growth=none does not)"
        ) from None


def _build(
    config: Config, image_size: int | None, classes: int, *, empty: bool = False
) -> keras.Model:
    """The configured network; ``empty`` where no weights are to be read from elsewhere."""
    return build_model(
        config.model.name,
        image_size,
        classes,
        depth=config.blocks,
        width=config.filters,
        dense_units=config.dense_units,
        dropout=config.dropout,
        backbone=config.model.backbone,
        alpha=config.model.alpha,
        weights="none" if empty else config.model.weights,
    )


def _whole(config: Config, classes: int, weights: list[Any]) -> keras.Model:
    """The network as it is used: for whole pictures, in float32, with these weights."""
    set_policy("float32")
    final = _build(config, config.image_size, classes, empty=True)
    final.set_weights(weights)
    return final


def _train(
    config: Config,
    model: keras.Model,
    data: Data,
    pictures: Mapping[str, Any],
    vary: Vary,
    sizes: list[int],
    *,
    rate: float | None = None,
    report: Report = lambda epoch, figures: None,
    checkpoint: Checkpoint | None = None,
    state: State | None = None,
) -> Fitted:
    """Train on ``pictures`` (or features) of the splits as configured, at another ``rate``."""
    labels = {split: part.labels for split, part in data.items()}
    classes, batch_size = len(data["train"].class_names), config.batch_size
    steps = steps_in(len(labels["train"]), batch_size, config.steps_per_epoch)
    total = steps * len(sizes)
    schedule = build_schedule(
        config.schedule.name,
        config.rate if rate is None else rate,
        total,
        warmup_fraction=config.schedule.warmup_fraction,
        final_fraction=config.schedule.final_fraction,
    )
    with model.distribute_strategy.scope():
        optimizer = _build_optimizer(config, schedule, config.ema * total or None)
    class_weights = {
        split: balanced_weights(part, classes) if config.class_weights == "balanced" else None
        for split, part in labels.items()
    }
    devices = model.distribute_strategy.num_replicas_in_sync
    return fit(
        model,
        optimizer,
        TrainingBatches(
            pictures["train"],
            labels["train"],
            classes,
            batch_size,
            config.seed,
            vary,
            class_weights["train"],
            # A backbone's head normalises over the batch alone: one picture would be all there is.
            max(2, devices) if config.model.name == "transfer" else devices,
        ),
        ValidationBatches(
            pictures["validation"],
            targets_for(labels["validation"], classes),
            batch_size,
            steps_in(len(labels["validation"]), batch_size, config.validation_steps),
            class_weights["validation"],
        ),
        Plan(sizes, steps, config.patience, config.label_smoothing),
        report=report,
        checkpoint=checkpoint,
        state=state,
    )


def _build_optimizer(config: Config, rate: Any, averaging_steps: float | None = None) -> Any:
    skip = ("name", "learning_rate")
    given = {k: v for k, v in vars(config.optimizer).items() if k not in skip and v is not None}
    return build_optimizer(config.optimizer.name, rate, given, averaging_steps=averaging_steps)


def _fit_transfer(
    config: Config,
    model: keras.Model,
    data: Data,
    vary: Augmentation,
    sizes: list[int],
    folder: Path,
    **recorded: Any,
) -> Fitted:
    """Train the head on the backbone's features; then, where configured, its last layers too."""
    with model.distribute_strategy.scope():
        head = head_model(model)
    fine_tuned = not config.frozen
    seconds = 0.0
    if not (fine_tuned and recorded["state"].arrays):  # else the head has learned before
        begin = time.perf_counter()
        seen = _features(config, model, data, folder)
        seconds = time.perf_counter() - begin
        epochs = config.model.head_epochs if fine_tuned else config.epochs
        more = {"rate": config.model.head_rate} if fine_tuned else recorded
        same = [config.image_size] * epochs
        try:
            shown = mirrored_features if vary.horizontal_flip else plain_features
            fitted = _train(config, head, data, seen, shown, same, **more)
        except DivergedError as error:
            head.set_weights(error.fitted.weights)
            error.fitted.weights = model.get_weights()
            if fine_tuned:
                sentence = str(error).replace("lower learning_rate", "lower model.head_rate")
                raise DivergedError(sentence, error.fitted) from None
            raise
        head.set_weights(fitted.weights)
        fitted.weights = model.get_weights()
        if not fine_tuned:
            fitted.seconds_of_features = seconds
            return fitted
        log.info("the head alone: val_accuracy %.4f", fitted.best["val_accuracy"])
        # It stays where fine-tuning makes nothing better.
        recorded["state"].before = fitted.best | {"epoch": 0}
    learning = unfreeze(model, config.model.unfreeze)
    log.info("%d layers of %s learn now", learning, config.model.backbone)
    fitted = _train(config, model, data, _pictures(data), vary, sizes, **recorded)
    fitted.seconds_of_features = seconds
    return fitted


def _pictures(data: Data) -> dict[str, Any]:
    return {split: part.pictures for split, part in data.items()}


def _features(config: Config, model: keras.Model, data: Data, folder: Path) -> dict[str, Any]:
    """The backbone's features of each split, from the disk where they have been computed before."""

    def compute(pictures: Any) -> Any:
        whole = _build(config, config.image_size, len(data["train"].class_names), empty=True)
        whole.set_weights(model.get_weights())
        return features(features_model(whole), pictures, show=sys.stderr.isatty())

    key = {
        "backbone": config.model.backbone,
        "alpha": config.model.alpha,
        "weights": weights_digest(config.model.weights),
        "image_size": config.image_size,
        "resize": config.resize,
        "precision": keras.config.dtype_policy().compute_dtype,
        "seed": config.seed if config.model.weights == "none" else None,
        "computed_by": computed_by(),
    }

    def of(name: str, part: Split) -> Any:
        if part.part_of:
            return Rows(of("whole", part.part_of.whole), part.part_of.places)
        pictures = {"pictures": part.digest}
        return cached_features(folder, key | pictures, name, lambda: compute(part.pictures))

    return {split: of(split, part) for split, part in data.items()}


def _costs(
    config: Config, model: keras.Model, fitted: Fitted, started: float | None
) -> dict[str, float]:
    """Where the time went: speed, waiting, memory, operations and their share of the peak.

    To be asked under the policy of the training.
    """
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
