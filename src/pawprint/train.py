"""Stage train: from the prepared arrays to a trained, exported and recorded network."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from pawprint.config import project_root, run_stage
from pawprint.errors import UserError
from pawprint.files import replacing_file, write_json
from pawprint.paths import Paths, TrainingFiles
from pawprint.schema import Config

log = logging.getLogger(__name__)


def main() -> None:
    """Train once, or with `-m` once for each combination."""
    run_stage("train", train)


def train(config: Config) -> float:
    """Train as configured and write model, export, history and run; return the best val_accuracy.

    A sweep's trial writes into Hydra's output folder, everything else into the project's `models`.

    Raises:
        UserError: nothing is prepared, the tracking store does not answer, or values do not fit.
    """
    from pawprint.images.store import load_split, load_summary
    from pawprint.tracking.provenance import provenance
    from pawprint.tracking.store import connect

    paths = Paths(project_root())
    files, name, trial, parent = _place(config, paths)
    summary = load_summary(paths.prepared)
    _check_prepared(config, summary)
    data = {split: load_split(paths.prepared, split) for split in ("train", "validation")}
    store = connect(config.tracking.uri, config.tracking.experiment)
    parameters = config.flat() | {"images": summary.images}  # what was really prepared
    tags = {
        **provenance(paths.root),
        **trial,
        "data_digest": summary.digest,
        "test_digest": summary.splits["test"].digest,
        "class_names": ", ".join(summary.class_names),
    }
    adopt = None if parent else os.environ.get("MLFLOW_RUN_ID")
    run = store.start_run(name, parameters, tags, parent=parent, adopt=adopt)
    status = "FAILED"
    try:
        # Whole, because MLflow cuts long parameters.
        run.log_text(yaml.safe_dump(asdict(config), sort_keys=False), "config.yaml")
        for split, context in (("train", "training"), ("validation", "validation")):
            source = str(paths.pictures(summary.images))
            run.log_dataset(split, source, summary.splits[split].digest, context)
        if (paths.audit / "audit.html").is_file():
            run.log_file(paths.audit / "audit.html", "prepare")
        result = _train_network(config, data, run, files)
        record = {
            "run_id": run.id,
            "name": name,
            "store": store.uri,
            "parameters": parameters,
            "tags": tags,
            **result,
        }
        write_json(files.run, record)
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        run.finish(status)
    return result["best_val_accuracy"]


def _place(config: Config, paths: Paths) -> tuple[TrainingFiles, str, dict[str, str], str | None]:
    """Where this training writes, its run's name and tags, and the parent run of its sweep."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from pawprint.sweep import name_and_tags, parent_run

    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        job = HydraConfig.get()
        name, tags = name_and_tags(list(job.overrides.task))
        return TrainingFiles(Path(job.runtime.output_dir)), name, tags, parent_run()
    name = f"{config.model.name} depth={config.blocks} {config.optimizer.name}"
    return paths.training, name, {}, None


def _train_network(
    config: Config, data: dict[str, Any], run: Any, files: TrainingFiles
) -> dict[str, Any]:
    """Build, fit, export; returns the figures of the best epoch."""
    from pawprint.training.start import start_tensorflow

    start_tensorflow()
    from pawprint.models.build import build_model
    from pawprint.serving.predictor import Predictor
    from pawprint.training.augmentation import augmentation_of
    from pawprint.training.batches import steps_in
    from pawprint.training.callbacks import write_history
    from pawprint.training.export import export_onnx
    from pawprint.training.fit import fit, seed_everything
    from pawprint.training.optimization import build_optimizer, build_schedule

    train, validation = data["train"], data["validation"]
    class_names = train.class_names
    classes, image_size = len(class_names), train.pictures.shape[1]
    seed_everything(config.seed)
    model = build_model(
        config.model.name,
        image_size,
        classes,
        depth=config.blocks,
        filters=config.model.filters,
        dense_units=config.dense_units,
        dropout=config.dropout,
    )
    steps = config.epochs * steps_in(len(train.labels), config.batch_size, config.steps_per_epoch)
    schedule = build_schedule(
        config.schedule.name,
        config.rate,
        steps,
        warmup_fraction=config.schedule.warmup_fraction,
        final_fraction=config.schedule.final_fraction,
    )
    arguments = _given(config.optimizer)
    variation = {k: v for k, v in vars(config.augment).items() if k != "name"}
    if config.blocks != config.depth:
        log.info(
            "model=%s has its own depth of %d (conf/model/%s.yaml); depth=%d is not used",
            *(config.model.name, config.blocks, config.model.name, config.depth),
        )
    log.info(
        "training %s: %d weights, %d pictures",
        model.name,
        model.count_params(),
        len(train.labels),
    )
    history = fit(
        model,
        build_optimizer(config.optimizer.name, schedule, arguments),
        (train.pictures, train.labels),
        (validation.pictures, validation.labels),
        classes=classes,
        augmentation=augmentation_of(**variation),
        epochs=config.epochs,
        patience=config.patience,
        batch_size=config.batch_size,
        steps_per_epoch=config.steps_per_epoch,
        validation_steps=config.validation_steps,
        seed=config.seed,
        report=lambda epoch, figures: run.log_metrics(figures, step=epoch),
    )
    best = max(history, key=lambda row: row["val_accuracy"])
    result = {
        "best_epoch": best["epoch"],
        "best_val_accuracy": best["val_accuracy"],
        "best_val_loss": best["val_loss"],
        "best_accuracy": best["accuracy"],
        "weights": model.count_params(),
    }
    run.log_metrics(result, step=len(history))
    log.info("best epoch %d: val_accuracy %.4f", best["epoch"], best["val_accuracy"])
    _save(model, files)
    example = validation.pictures[:8]
    export_onnx(model, files.onnx, class_names, example, config.resize)
    write_history(files.history, history)
    answers = Predictor(files.onnx).probabilities(example)
    run.log_file(files.history)
    run.log_file(files.model)
    return {**result, "model_id": run.log_model(files.onnx, class_names, example, answers)}


def _check_prepared(config: Config, summary: Any) -> None:
    for key, unit in (("image_size", " pixels"), ("resize", "")):
        wanted, prepared = getattr(config, key), getattr(summary, key)
        if wanted != prepared:
            raise UserError(
                f"{key} is {wanted}, but the pictures were prepared with {prepared}{unit}; "
                f"run `python -m pawprint.prepare {key}={wanted}` first"
            )


def _given(optimizer: Any) -> dict[str, float | bool]:
    skip = ("name", "learning_rate")
    return {k: v for k, v in vars(optimizer).items() if k not in skip and v is not None}


def _save(model: Any, files: TrainingFiles) -> None:
    with replacing_file(files.model) as temporary:
        model.save(temporary)


if __name__ == "__main__":
    main()
