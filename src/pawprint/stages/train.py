"""Stage train: from the prepared arrays to a trained, exported and recorded network."""

from __future__ import annotations

import logging
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from pawprint.config.compose import project_root
from pawprint.config.paths import WEIGHTS, Paths, TrainingFiles, weights_file
from pawprint.config.schema import LATER, Config
from pawprint.inference.predictor import Predictor, milliseconds_per_picture
from pawprint.system.code import code_digest
from pawprint.system.errors import UserError
from pawprint.system.files import replacing_file, write_json
from pawprint.tracking.names import PRUNED_TAG
from pawprint.training.augmentation import Augmentation
from pawprint.training.trial import FINISHED, PRUNED, Outcome, PrunedError, Trial

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pawprint.data.store import Split, Summary
    from pawprint.tracking.run import Run
    from pawprint.training.checkpoint import State
    from pawprint.training.loop import DivergedError
    from pawprint.training.trainer import TrainedNetwork

log = logging.getLogger(__name__)

# Libraries of which another version may compute other numbers.
COMPUTING = ("tensorflow", "keras", "numpy", "opencv-python-headless", "simplejpeg", "pillow")
PREVIEW_FILE = "augmentation.png"
COMPARED = 64  # pictures, or one more, that Keras and the exported network answer alike


def train(config: Config) -> float:
    """Train as configured and write model, export, history and run; return the best val_accuracy.

    A training that was killed goes on where it was when the same one is started again.

    Raises:
        UserError: nothing is prepared, the tracking store does not answer, values do not fit, the
            loss is not a number any more, or there is no room on the disk or in memory.
    """
    for key, given in vars(config.sweep).items():
        if given:
            raise UserError(f"sweep.{key} is of sweeps; add -m and an axis, or leave it out")
    return run_training(config)["best_val_accuracy"]


def train_trial(trial: Trial) -> Outcome:
    """Train what a sweep's trial says, into its own folder, without an export.

    Raises:
        UserError: as for ``train``.
    """
    from pawprint.training.tensorflow_runtime import forget_training

    try:
        record = run_training(trial.config, trial)
    except PrunedError as pruned:
        return pruned.outcome
    finally:
        forget_training()
    figures = {k: v for k, v in record.items() if isinstance(v, int | float)}
    return Outcome(FINISHED, figures, record["run_id"])


def run_training(config: Config, trial: Trial | None = None) -> dict[str, Any]:
    """Train and record, as the pipeline's experiment or as a sweep's trial.

    Returns:
        What stands in `run.json`.
    """
    from pawprint.data.store import load_split, load_summary
    from pawprint.tracking.provenance import provenance
    from pawprint.tracking.store import connect
    from pawprint.training.recording import recorded
    from pawprint.training.tensorflow_runtime import start_tensorflow

    began = time.monotonic()
    paths = Paths(project_root())
    files = TrainingFiles(trial.folder) if trial else paths.training

    # Read what was prepared.
    summary = load_summary(paths.prepared)
    check_prepared(config, summary)
    data = {split: load_split(paths.prepared, split) for split in ("train", "validation")}
    find_weights(config, paths)

    # Name the run and say what it is of.
    default = f"{config.model.name} depth={config.blocks} {config.optimizer.name}"
    name = trial.name if trial else default
    parameters = {k: v for k, v in config.flat().items() if k.split(".")[0] not in LATER}
    parameters |= {"images": summary.images}  # what was really prepared
    store = connect(trial.store if trial else config.tracking.uri, config.tracking.experiment)
    tags = {
        **provenance(paths.root),
        "data_digest": summary.digest,
        "test_digest": summary.splits["test"].digest,
        "class_names": ", ".join(summary.class_names),
        **(trial.tags if trial else {}),
    }

    # Open the run, or the one of the same training that was killed.
    start_tensorflow()
    identity = identity_of(config, data)
    if trial:  # it is not exported: the same training outside of a sweep is another one
        identity["trial"] = trial.identity
    parent = trial.parent if trial else None
    with recorded(store, name, paths.checkpoints, identity, parent) as recording:
        from pawprint.training.devices import memory_explained
        from pawprint.training.loop import DivergedError
        from pawprint.training.trainer import TrainingJob, build_network, train_network

        run = recording.run
        run.log_parameters(parameters)
        run.set_tags(tags)
        _record_data(config, run, summary, paths)
        augmentation = augmentation_of(config)
        _record_augmentation(config, augmentation, data["train"], run, trial)
        report = EpochReport(run, recording.state, began, trial)
        report.earlier_epochs()
        job = TrainingJob(
            config=config,
            data=data,
            augmentation=augmentation,
            features_folder=paths.features,
            report=report,
            checkpoint=recording.checkpoint,
            state=recording.state,
            began=began if trial else None,
        )
        try:
            with memory_explained(config.batch_size):
                # Build the network.
                network = build_network(job)
                # Learn.
                trained = train_network(job, network)
        except DivergedError as error:
            raise _with_last_good(error, files, run) from None

        # Export it; a trial keeps its network for Keras alone.
        if trial is None:
            result = export(config, trained, data["validation"], files, run)
        else:
            result = _keep_trial(config, trial, trained, data["validation"], files, run)
            result |= report.spent()
            # At last: they tell that the trial is done.
            run.log_metrics(result | trained.costs, step=len(trained.history))

        # Record what the later stages go by.
        record = {
            "run_id": run.id,
            "name": name,
            "store": store.uri,
            "parameters": parameters,
            "tags": tags,
            **result,
        }
        write_json(files.run, record)
    files.last_good.unlink(missing_ok=True)  # of an earlier training
    return record


class EpochReport:
    """Records each epoch in the run, and ends a trial that is worse than others at its age.

    Args:
        run: where the figures go.
        state: of the training, with the epochs of earlier processes.
        began: ``time.monotonic()`` of the begin of this process's work.
        trial: the sweep's trial, if it is one.
    """

    def __init__(self, run: Run, state: State, began: float, trial: Trial | None) -> None:
        self._run = run
        self._state = state
        self._trial = trial
        self._began = began - sum(figures["seconds"] for figures in state.reports)

    def earlier_epochs(self) -> None:
        """Record again what earlier processes trained: the last epoch may be missing there."""
        for epoch, figures in enumerate(self._state.reports, start=1):
            self._run.log_metrics(figures, step=epoch)
            if self._trial and self._trial.watch:
                self._trial.watch.tell(epoch, figures)  # to compare the next ones with

    def __call__(self, epoch: int, figures: dict[str, float]) -> None:
        """Record an epoch, counted from 1.

        Raises:
            PrunedError: the trial need not go on.
        """
        self._run.log_metrics(figures, step=epoch)
        if self._trial and self._trial.watch and self._trial.watch.tell(epoch, figures):
            best = _best_so_far(self._state.history) | {"trained_epochs": epoch} | self.spent()
            self._run.log_metrics(best, step=epoch)
            self._run.set_tags({PRUNED_TAG: f"after epoch {epoch}"})
            raise PrunedError(Outcome(PRUNED, best, self._run.id))

    def spent(self) -> dict[str, float]:
        """Seconds of the trial, in all processes that trained it."""
        return {"trial_seconds": time.monotonic() - self._began}


def preview(config: Config) -> None:
    """Draw prepared training pictures as `augment` varies them, into one file."""
    from pawprint.data.store import load_split, load_summary
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


def identity_of(config: Config, data: Mapping[str, Split]) -> dict[str, Any]:
    """All that decides what a training ends with: settings, data, code, and what computes it."""
    from importlib.metadata import version

    from pawprint.training.features import weights_digest
    from pawprint.training.tensorflow_runtime import arithmetic

    return {
        "parameters": config.deciding(),
        "data": {split: part.digest for split, part in data.items()},
        "versions": [version(name) for name in COMPUTING],
        "code": code_digest("stages.train"),
        "weights": config.model.weights and weights_digest(config.model.weights),
        "arithmetic": arithmetic(),
    }


def _record_data(config: Config, run: Run, summary: Summary, paths: Paths) -> None:
    # Whole, because MLflow cuts long parameters.
    run.log_text(yaml.safe_dump(asdict(config), sort_keys=False), "config.yaml")
    for split, context in (("train", "training"), ("validation", "validation")):
        source = str(paths.pictures(summary.images))
        run.log_dataset(split, source, summary.splits[split].digest, context)
    if (paths.audit / "audit.html").is_file():
        run.log_file(paths.audit / "audit.html", "prepare")


def _record_augmentation(
    config: Config, vary: Augmentation, split: Split, run: Run, trial: Trial | None
) -> None:
    """Say and draw how the training pictures are varied."""
    from pawprint.training.preview import draw

    if config.frozen:
        does = "mirrors pictures, no more" if vary.horizontal_flip else "changes nothing"
        log.info("while the backbone is frozen, augment=%s %s", config.augment.name, does)
    if trial is None or any(key.startswith("augment") for key in trial.axes):
        run.log_image(draw(split.pictures, vary, config.seed), PREVIEW_FILE)


def _with_last_good(error: DivergedError, files: TrainingFiles, run: Run) -> UserError:
    """Keep the best network of a training whose loss went astray, and say where it is."""
    if error.model is None or not error.fitted.best:
        return error
    with replacing_file(files.last_good) as temporary:
        error.model.save(temporary)
    also = f" and in the run {run.id}" if run.log_file(files.last_good) else ""
    return UserError(f"{error}; the best weights before are in {files.last_good}{also}")


def _keep_trial(
    config: Config,
    trial: Trial,
    trained: TrainedNetwork,
    validation: Split,
    files: TrainingFiles,
    run: Run,
) -> dict[str, Any]:
    """Write and record a trial's network for Keras and its history; returns its figures."""
    from pawprint.training.recording import write_history

    result = trained.figures | {"trained_epochs": len(trained.history)}
    if trial.timed:
        result["seconds_per_picture"] = _seconds_per_picture(config, trained, validation)
    with replacing_file(files.model) as keras_file:
        trained.model.save(keras_file)
        write_history(files.history, trained.history)
    run.log_file(files.history)
    run.log_file(files.model)
    return result


def export(
    config: Config,
    trained: TrainedNetwork,
    validation: Split,
    files: TrainingFiles,
    run: Run,
) -> dict[str, Any]:
    """Write the network for Keras and as ONNX, calibrated, and record both.

    Args:
        config: what was trained.
        trained: the network, its history, figures and costs.
        validation: the validation split.
        files: where they go.
        run: where they are recorded.

    Returns:
        The figures of the best epoch, those of the exported network, and the model's id.
    """
    from pawprint.export.onnx import calibrate_onnx, export_onnx
    from pawprint.training.batches import balanced_weights
    from pawprint.training.recording import write_history

    class_names = validation.class_names
    # Of all classes: they lie one after the other.
    compared = validation.pictures[:: -(-len(validation.pictures) // COMPARED)]
    # All take their places together, at the end: until then there are those of the last training.
    with replacing_file(files.model) as keras_file, replacing_file(files.onnx) as onnx_file:
        trained.model.save(keras_file)
        expected = export_onnx(
            trained.model, onnx_file, class_names, compared, config.resize, config.mirror
        )
        probabilities = Predictor(onnx_file).probabilities(validation.pictures)
        weights = (
            balanced_weights(validation.labels, len(class_names))[validation.labels]
            if config.class_weights == "balanced"
            else None
        )
        right = probabilities.argmax(axis=1) == validation.labels
        result = trained.figures | {
            "exported_val_accuracy": float(np.average(right, weights=weights)),
            "temperature": calibrate_onnx(
                onnx_file, validation.labels, probabilities, (compared, expected)
            ),
        }
        run.log_metrics(result | trained.costs, step=len(trained.history))
        model_id = run.log_model(onnx_file, class_names, compared[0])
        write_history(files.history, trained.history)
    run.log_file(files.history)
    run.log_file(files.model)
    return {**result, "model_id": model_id}


def _seconds_per_picture(config: Config, trained: TrainedNetwork, validation: Split) -> float:
    """How long the network as it would be used takes for one picture alone."""
    from pawprint.export.onnx import export_onnx

    some = validation.pictures[:8]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(trained.model, path, validation.class_names, some, config.resize, config.mirror)
        return milliseconds_per_picture(Predictor(path).probabilities, some[0]) / 1000


def _best_so_far(history: list[dict[str, float]]) -> dict[str, float]:
    """The figures of a history's best epoch, under the names of a run's."""
    if not history:
        return {}
    best = max(history, key=lambda row: (row["val_accuracy"], -row["val_loss"]))
    return {"best_epoch": best["epoch"], "best_val_accuracy": best["val_accuracy"]}


def augmentation_of(config: Config) -> Augmentation:
    """The variation that ``augment`` names, as far as the network sees it."""
    if config.frozen:  # features are of pictures and of their mirror images, nothing else
        return Augmentation(horizontal_flip=config.augment.horizontal_flip)
    return Augmentation(**{k: v for k, v in vars(config.augment).items() if k != "name"})


def check_prepared(config: Config, summary: Summary) -> None:
    """Refuse pictures that were prepared in another way than is configured.

    Raises:
        UserError: they were.
    """
    for key, unit in (("image_size", " pixels"), ("resize", "")):
        wanted, prepared = getattr(config, key), getattr(summary, key)
        if wanted != prepared:
            raise UserError(
                f"{key} is {wanted}, but the pictures were prepared with {prepared}{unit}; "
                f"run `pawprint prepare {key}={wanted}` first"
            )
