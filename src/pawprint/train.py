"""Stage train: from the prepared arrays to a trained, exported and recorded network."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pawprint.config import fail, project_root, run_stage
from pawprint.errors import UserError
from pawprint.files import replacing_file, write_json
from pawprint.paths import WEIGHTS, Paths, TrainingFiles, weights_file
from pawprint.schema import Config
from pawprint.serving.predictor import Predictor
from pawprint.training.augmentation import Augmentation

log = logging.getLogger(__name__)

# Libraries of which another version may compute other numbers.
COMPUTING = ("tensorflow", "keras", "numpy", "opencv-python-headless", "simplejpeg", "pillow")
# Of the disk and its permissions, not of this code.
MENDED_OUTSIDE = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.EISDIR, errno.ENOTDIR),
)
LATER = ("folds", "gate", "sure_precision")  # of other stages, which may change them afterwards
PREVIEW = "--augment-preview"
PREVIEW_FILE = "augmentation.png"


def main() -> None:
    """Train once, or with `-m` once for each combination; or draw what training would see."""
    if PREVIEW in sys.argv:
        sys.argv.remove(PREVIEW)
        if {"-m", "--multirun"} & set(sys.argv):
            fail(UserError(f"{PREVIEW} draws one augment at a time; leave out -m"))
        run_stage("train", preview)
    else:
        run_stage("train", train)


def train(config: Config) -> float:
    """Train as configured and write model, export, history and run; return the best val_accuracy.

    A sweep's trial writes into Hydra's output folder, everything else into the project's `models`.
    A training that was killed goes on where it was when the same one is started again.

    Raises:
        UserError: nothing is prepared, the tracking store does not answer, values do not fit, the
            loss is not a number any more, or there is no room on the disk or in memory.
    """
    from pawprint.images.store import load_split, load_summary
    from pawprint.tracking.provenance import provenance
    from pawprint.tracking.store import connect
    from pawprint.training.checkpoint import Checkpoint, State
    from pawprint.training.start import start_tensorflow

    began = time.monotonic()
    paths = Paths(project_root())
    files, name, trial, parent = _place(config, paths)
    summary = load_summary(paths.prepared)
    check_prepared(config, summary)
    data = {split: load_split(paths.prepared, split) for split in ("train", "validation")}
    parameters = {k: v for k, v in config.flat().items() if k.split(".")[0] not in LATER}
    parameters |= {"images": summary.images}  # what was really prepared
    find_weights(config, paths)
    store = connect(config.tracking.uri, config.tracking.experiment)
    tags = {
        **provenance(paths.root),
        **trial,
        "data_digest": summary.digest,
        "test_digest": summary.splits["test"].digest,
        "class_names": ", ".join(summary.class_names),
    }
    start_tensorflow()
    with (
        files_explained(),
        store.explained(),
        Checkpoint(paths.checkpoints, identity_of(config, parameters, data)).alone() as checkpoint,
    ):
        state = checkpoint.load() or State()
        run, earlier = open_run_of(store, name, parent, checkpoint.place, state.run_id)
        status = "FAILED"
        try:
            state.run_id = run.id
            checkpoint.save(state)  # whatever happens from here on, there is one run of this
            if earlier:
                run.reopen()
            run.log_parameters(parameters)
            run.set_tags(tags)
            _record_data(config, run, summary, paths)
            for epoch, figures in enumerate(state.reports, start=1):
                run.log_metrics(figures, step=epoch)
            result = _train_network(
                config, data, paths, files, run, checkpoint, state, began if parent else None
            )
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
        except UserError:
            if not state.arrays:  # nothing to go on from
                checkpoint.remove()
            raise
        finally:
            run.finish(status)
        checkpoint.remove()
        files.last_good.unlink(missing_ok=True)  # of an earlier training
    return result["best_val_accuracy"]


def open_run_of(
    store: Any, name: str, parent: str | None, training: str, known: str | None
) -> tuple[Any, bool]:
    """The run to record in, and whether a killed training began it."""
    if parent:
        return store.open_run(name, parent=parent), False
    if adopt := os.environ.get("MLFLOW_RUN_ID"):  # `mlflow run` opened it
        return store.open_run(name, adopt=adopt), False
    earlier = store.find(known) if known else store.find_unfinished(training)
    return earlier or store.open_run(name, training=training), bool(earlier)


@contextlib.contextmanager
def files_explained() -> Iterator[None]:
    """Say in a sentence where the disk or its permissions stop a training.

    Raises:
        UserError: they do.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in MENDED_OUTSIDE:
            raise
        where = error.filename or "a file"
        raise UserError(
            f"{where} cannot be read or written: {error.strerror}; free room on the disk or mend "
            "permissions, then the same command goes on"
        ) from error


def preview(config: Config) -> None:
    """Draw prepared training pictures as `augment` varies them, into one file."""
    from pawprint.images.store import load_split, load_summary
    from pawprint.training.preview import draw

    paths = Paths(project_root())
    summary = load_summary(paths.prepared)
    check_prepared(config, summary)
    pictures = load_split(paths.prepared, "train").pictures
    with replacing_file(paths.train_reports / PREVIEW_FILE) as temporary:
        draw(pictures, augmentation_of(config), config.seed).save(temporary)
    log.info("augment=%s: %s", config.augment.name, paths.train_reports / PREVIEW_FILE)


def find_weights(config: Config, paths: Paths) -> None:
    """Give ``model.weights``, where it names a file, its whole path.

    Raises:
        UserError: there is no such file.
    """
    if config.model.weights not in (None, *WEIGHTS):
        config.model.weights = str(weights_file(str(paths.given(config.model.weights))))


def identity_of(config: Config, parameters: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """All that decides what a training ends with: settings, data, code, and what computes it."""
    from importlib.metadata import version

    from pawprint.training.features import weights_digest
    from pawprint.training.start import arithmetic

    here = Path(__file__).parent
    code = hashlib.sha256()
    files = [here / "train.py", here / "learn.py"]
    files += [here / "images" / f"{name}.py" for name in ("encoding", "pictures", "store")]
    files += [*here.glob("models/*.py"), *here.glob("training/*.py")]
    for path in sorted(files):
        code.update(path.read_bytes())
    elsewhere = (*LATER, "images", "predict_images", "tracking")
    return {
        "parameters": {k: v for k, v in parameters.items() if k.split(".")[0] not in elsewhere},
        "data": {split: part.digest for split, part in data.items()},
        "versions": [version(name) for name in COMPUTING],
        "code": code.hexdigest(),
        "weights": config.model.weights and weights_digest(config.model.weights),
        "arithmetic": arithmetic(),
    }


def _record_data(config: Config, run: Any, summary: Any, paths: Paths) -> None:
    # Whole, because MLflow cuts long parameters.
    run.log_text(yaml.safe_dump(asdict(config), sort_keys=False), "config.yaml")
    for split, context in (("train", "training"), ("validation", "validation")):
        source = str(paths.pictures(summary.images))
        run.log_dataset(split, source, summary.splits[split].digest, context)
    if (paths.audit / "audit.html").is_file():
        run.log_file(paths.audit / "audit.html", "prepare")


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
    config: Config,
    data: dict[str, Any],
    paths: Paths,
    files: TrainingFiles,
    run: Any,
    checkpoint: Any,
    state: Any,
    began: float | None,
) -> dict[str, Any]:
    """Learn, export and record; returns the figures of the best epoch."""
    from pawprint.learn import learn
    from pawprint.training.batches import balanced_weights
    from pawprint.training.callbacks import write_history
    from pawprint.training.devices import memory_explained
    from pawprint.training.export import calibrate_onnx, export_onnx
    from pawprint.training.fit import DivergedError
    from pawprint.training.preview import draw

    validation = data["validation"]

    def report(epoch: int, figures: dict[str, float]) -> None:
        run.log_metrics(figures, step=epoch)

    vary = augmentation_of(config)
    if config.frozen:
        does = "mirrors pictures, no more" if vary.horizontal_flip else "changes nothing"
        log.info("while the backbone is frozen, augment=%s %s", config.augment.name, does)
    run.log_image(draw(data["train"].pictures, vary, config.seed), PREVIEW_FILE)
    try:
        with memory_explained(config.batch_size):
            learned = learn(config, data, vary, paths.features, report, checkpoint, state, began)
    except DivergedError as error:
        if not error.fitted.best:
            raise
        with replacing_file(files.last_good) as temporary:
            error.model.save(temporary)
        also = f" and in the run {run.id}" if run.log_file(files.last_good) else ""
        raise UserError(
            f"{error}; the best weights before are in {files.last_good}{also}"
        ) from None
    example = validation.pictures[:8]
    # All take their places together, at the end: until then there are those of the last training.
    with replacing_file(files.model) as keras_file, replacing_file(files.onnx) as onnx_file:
        learned.model.save(keras_file)
        export_onnx(
            learned.model, onnx_file, validation.class_names, example, config.resize, config.mirror
        )
        probabilities = Predictor(onnx_file).probabilities(validation.pictures)
        weights = (
            balanced_weights(validation.labels, len(validation.class_names))[validation.labels]
            if config.class_weights == "balanced"
            else None
        )
        right = probabilities.argmax(axis=1) == validation.labels
        result = learned.figures | {
            "exported_val_accuracy": float(np.average(right, weights=weights)),
            "temperature": calibrate_onnx(onnx_file, validation.labels, probabilities),
        }
        run.log_metrics(result | learned.costs, step=len(learned.history))
        example = example[:1]  # MLflow writes it as text, number by number
        answers = Predictor(onnx_file).probabilities(example)
        model_id = run.log_model(onnx_file, validation.class_names, example, answers)
        write_history(files.history, learned.history)
    run.log_file(files.history)
    run.log_file(files.model)
    return {**result, "model_id": model_id}


def augmentation_of(config: Config) -> Augmentation:
    """The variation that ``augment`` names, as far as the network sees it."""
    if config.frozen:  # features are of pictures and of their mirror images, nothing else
        return Augmentation(horizontal_flip=config.augment.horizontal_flip)
    return Augmentation(**{k: v for k, v in vars(config.augment).items() if k != "name"})


def check_prepared(config: Config, summary: Any) -> None:
    """Refuse pictures that were prepared in another way than is configured.

    Raises:
        UserError: they were.
    """
    for key, unit in (("image_size", " pixels"), ("resize", "")):
        wanted, prepared = getattr(config, key), getattr(summary, key)
        if wanted != prepared:
            raise UserError(
                f"{key} is {wanted}, but the pictures were prepared with {prepared}{unit}; "
                f"run `python -m pawprint.prepare {key}={wanted}` first"
            )


if __name__ == "__main__":
    main()
