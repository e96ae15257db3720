"""Stage train: from the prepared arrays to a trained, exported and recorded network."""

from __future__ import annotations

import json
import logging
import re
import shlex
import tempfile
import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pawprint.config.compose import project_root
from pawprint.config.overrides import NO_RECIPE, RECIPE
from pawprint.config.paths import (
    Paths,
    TrainingFiles,
    backbone_file,
    hub_preset,
    is_hub,
    is_path,
    shipped,
    weights_file,
)
from pawprint.config.schema import CHOICES, ELSEWHERE, LATER, PREPARED, UNREAD, Config
from pawprint.data.sources.address import without_credentials
from pawprint.data.store import Split, Summary, load_split, load_summary
from pawprint.data.unlabelled import load_with_unlabelled
from pawprint.inference.predictor import Predictor, milliseconds_per_picture
from pawprint.registry.teacher import ask, find_teacher
from pawprint.system.errors import UserError
from pawprint.system.files import replacing_file, sha256_of, write_json
from pawprint.tracking.names import (
    DATA_TAG,
    LONGEST_RUN_NAME,
    NETWORK_TAG,
    class_names_tag,
    joined,
)
from pawprint.tracking.provenance import committed_settings, provenance
from pawprint.tracking.run import Run
from pawprint.tracking.store import connect
from pawprint.tracking.trained_run import describe
from pawprint.training.augmentation import augmentation_of, draw_preview
from pawprint.training.checkpoint import identity_of
from pawprint.training.mirror_images import warning_of_mirroring
from pawprint.training.recording import EpochReport, recorded, write_history
from pawprint.training.teacher import TAUGHT, Teacher
from pawprint.training.tensorflow_runtime import forget_training, start_tensorflow
from pawprint.training.trial import FINISHED, Outcome, PrunedError, Trial

if TYPE_CHECKING:
    from pawprint.training.loop import DivergedError
    from pawprint.training.trainer import TrainedNetwork

log = logging.getLogger(__name__)

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
    began = time.monotonic()
    paths = Paths(project_root())
    files = TrainingFiles(trial.folder) if trial else paths.training

    # Read what was prepared.
    summary = load_summary(paths.prepared)
    check_prepared(config, summary)
    teacher = find_teacher(config.teacher, config.tracking, paths)
    if teacher:
        teacher.check(summary.class_names, summary.resize)
    data = {split: load_split(paths.prepared, split) for split in ("train", "validation")}
    if teacher and summary.unlabelled_pictures:
        data[TAUGHT] = load_with_unlabelled(paths.prepared)

    # Say what costs accuracy before it costs a training; in a sweep once.
    notes = _doubts(config, data["train"], teacher, summary) if _is_first(trial) else []

    # Name the run and say what it is of.
    name = trial.name if trial else name_of(config, summary.images, paths.root)
    find_weights(config, paths)
    store = connect(trial.store if trial else config.tracking.uri, config.tracking.experiment)
    description = describe_training(config, summary, paths)
    description["tags"] |= trial.tags if trial else {}
    description["tags"] |= teacher.tags if teacher else {}

    # Open the run, or the one of the same training that was killed.
    start_tensorflow()
    identity = identity_of(config, data, teacher.digest if teacher else None)
    if trial:  # it is not exported: the same training outside of a sweep is another one
        identity["trial"] = trial.identity
    parent = trial.parent if trial else None
    with recorded(store, name, paths.checkpoints, identity, parent) as (run, checkpoint, state):
        from pawprint.export.onnx import check_exportable
        from pawprint.training.devices import memory_explained
        from pawprint.training.loop import DivergedError
        from pawprint.training.trainer import TrainingJob, build_network, train_network

        describe(run, description)
        for file in paths.audit_files():
            run.log_file(file, "prepare")
        augmentation = augmentation_of(config)
        if trial is None or any(key.startswith("augment") for key in trial.axes):
            drawn = draw_preview(data["train"].pictures, augmentation, config.seed)
            run.log_image(drawn, PREVIEW_FILE)
        report = EpochReport(run, state, began, trial)
        job = TrainingJob(
            config=config,
            data=data,
            augmentation=augmentation,
            features_folder=paths.features,
            report=report,
            checkpoint=checkpoint,
            state=state,
            soft_targets=partial(
                ask, teacher, data.get(TAUGHT, data["train"]), augmentation, config, summary, paths
            )
            if teacher
            else None,
            began=began if trial else None,
        )
        try:
            with memory_explained(config.batch_size):
                # Build the network, and train it.
                network = build_network(job)
                if config.model.name == "transfer":
                    check_exportable(network, f"model.backbone {config.model.backbone}")
                trained = train_network(job, network)
        except DivergedError as error:
            raise _with_last_good(error, files, run) from None

        # Export it; a trial keeps its network for Keras alone.
        if trial is None:
            result = export(config, trained, data["validation"], files, run)
        else:
            result = _keep_trial(trial, trained, data["validation"], files, run)
            result |= report.spent()
            # At last: they tell that the trial is done.
            result |= trained.costs
            run.log_metrics(result, step=len(trained.history))

        # Record what the later stages go by.
        record = {
            "run_id": run.id,
            "name": name,
            **description,
            "epochs": state.reports,
            "notes": notes,
            **result,
        }
        write_json(files.run, record)
    files.last_good.unlink(missing_ok=True)  # of an earlier training
    return record


def _is_first(trial: Trial | None) -> bool:
    return trial is None or trial.number == 0


def _doubts(config: Config, train: Split, teacher: Teacher | None, summary: Summary) -> list[str]:
    """Sentences, which are told too, on what a person may not have meant."""
    found = [warning_of_mirroring(config, train.pictures, train.labels, train.class_names)]
    if teacher:
        found.append(teacher.warning(summary.splits["test"].digest))
    told = [sentence for sentence in found if sentence]
    for sentence in told:
        log.warning("%s", sentence)
    return told


def preview(config: Config) -> None:
    """Draw prepared training pictures as `augment` varies them, into one file."""
    paths = Paths(project_root())
    summary = load_summary(paths.prepared)
    check_prepared(config, summary)
    pictures = load_split(paths.prepared, "train").pictures
    with replacing_file(paths.train_reports / PREVIEW_FILE) as temporary:
        draw_preview(pictures, augmentation_of(config), config.seed).save(temporary)
    log.info("augment=%s: %s", config.augment.name, paths.train_reports / PREVIEW_FILE)


def find_weights(config: Config, paths: Paths) -> None:
    """Give ``model.backbone`` and ``model.weights``, where they name files, their whole paths.

    A preset of KerasHub too, where it is in a folder.

    Raises:
        UserError: there is no such file.
    """
    model = config.model
    if model.backbone and is_path("model.backbone", model.backbone):
        model.backbone = str(backbone_file(str(paths.given(model.backbone))))
    if model.backbone and is_hub(model.backbone):
        folder = paths.given(hub_preset(model.backbone))
        if (folder / "config.json").is_file():
            model.backbone = f"hub:{folder}"
    if model.weights and is_path("model.weights", model.weights):
        model.weights = str(weights_file(str(paths.given(model.weights))))


def name_of(config: Config, images: str, root: Path) -> str:
    """What to call the run of an experiment: what differs from the committed one.

    With another recipe, its name and what differs from that; where nothing does, the network, the
    optimizer and the pictures.

    Args:
        config: of the experiment.
        images: the source of the prepared pictures.
        root: of the project.
    """
    data = re.split(r"[?#]", images)[0].rstrip("/").rpartition("/")[2] or images
    unread = {*ELSEWHERE, *UNREAD.get(config.model.name, ())} - {"images", RECIPE}
    if config.model.depth is not None:
        unread.add("depth")
    committed = committed_settings(root, "params.yaml")
    committed[RECIPE] = committed.get(RECIPE) or NO_RECIPE
    now: dict[str, Any] = {}
    for key, value in vars(config).items():
        if key not in CHOICES or key in unread:
            now[key] = value
            continue
        now[key] = value.name
        file = _committed_choice(root, f"{key}/{value.name}.yaml")
        for inner, default in vars(type(value)()).items():
            if file and inner != "name":
                now[f"{key}.{inner}"] = getattr(value, inner)
                committed[f"{key}.{inner}"] = file.get(inner, default)
    recipe = _committed_choice(root, f"{RECIPE}/{config.recipe}.yaml")
    for key, value in recipe.items():
        group = key.partition(".")[0]
        if group == key or recipe.get(group, now[group]) == now[group]:  # not of another choice
            committed[key] = value
    changed = {
        key: data if key == "images" else value
        for key, value in now.items()
        if key not in unread and key in committed and value != committed[key]
    }
    words = [f"{k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in changed.items()]
    return joined(words or [config.model.name, config.optimizer.name, data], LONGEST_RUN_NAME)


def _committed_choice(root: Path, choice: str) -> dict[str, Any]:
    """The content of a file of `conf/`, the project's as it was committed, or pawprint's own."""
    own = committed_settings(root, f"conf/{choice}")
    return own or committed_settings(shipped("conf"), choice)


def describe_training(config: Config, summary: Summary, paths: Paths) -> dict[str, Any]:
    """What a training is of, as its run and `run.json` tell it, without what is secret in URLs."""
    uri = config.tracking.uri and without_credentials(config.tracking.uri)
    tracking = replace(config.tracking, uri=uri)
    images, unlabelled = summary.images, summary.unlabelled
    config = replace(config, images=images, unlabelled=unlabelled, tracking=tracking)
    parameters = {k: v for k, v in config.flat().items() if k.split(".")[0] not in LATER}
    tags = {
        **provenance(paths.root),
        DATA_TAG: summary.digest,
        "test_digest": summary.splits["test"].digest,
        "class_names": class_names_tag(summary.class_names),
    }
    parts = [
        (split, images, summary.splits[split].digest, context)
        for split, context in (("train", "training"), ("validation", "validation"))
    ]
    if config.teacher and unlabelled:
        parts.append(("unlabelled", unlabelled, str(summary.unlabelled_digest), "training"))
    return {
        "parameters": parameters | {"split_seed": summary.seed},
        "tags": tags,
        "config": asdict(config),
        "class_names": summary.class_names,
        "datasets": [
            {
                "name": name,
                "source": str(paths.pictures(source)),
                "digest": digest,
                "context": context,
            }
            for name, source, digest, context in parts
        ],
    }


def _with_last_good(error: DivergedError, files: TrainingFiles, run: Run) -> UserError:
    """Keep the best network of a training whose loss went astray, and say where it is."""
    if error.model is None or not error.fitted.best:
        return error
    with replacing_file(files.last_good) as temporary:
        error.model.save(temporary)
    also = f" and in the run {run.id}" if run.log_file(files.last_good) else ""
    return UserError(f"{error}; the best weights before are in {files.last_good}{also}")


def _keep_trial(
    trial: Trial, trained: TrainedNetwork, validation: Split, files: TrainingFiles, run: Run
) -> dict[str, Any]:
    """Write and record a trial's network for Keras and its history; returns its figures."""
    result = trained.figures | {"trained_epochs": len(trained.history)}
    if trial.timed:  # what the network as it would be used takes for one picture alone
        from pawprint.export.onnx import export_onnx

        some, names = validation.pictures[:8], validation.class_names
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            resize, mirror = trial.config.resize, trial.config.mirror
            export_onnx(trained.model, path, names, some, resize, mirror)
            milliseconds = milliseconds_per_picture(Predictor(path).probabilities, some[0])
        result["seconds_per_picture"] = milliseconds / 1000
    with replacing_file(files.model) as keras_file:
        trained.model.save(keras_file)
        write_history(files.history, trained.history)
    run.log_file(files.history)
    run.log_file(files.model)
    return result


def export(
    config: Config, trained: TrainedNetwork, validation: Split, files: TrainingFiles, run: Run
) -> dict[str, Any]:
    """Write the network for Keras and as ONNX, calibrated on ``validation``, and record both.

    Returns:
        The figures of the training and of the exported network, the model's id, and the digest of
        its file.
    """
    from pawprint.export.onnx import calibrate_onnx, export_onnx
    from pawprint.training.batches import balanced_weights

    labels, class_names = validation.labels, validation.class_names
    # Of all classes: they lie one after the other.
    compared = validation.pictures[:: -(-len(validation.pictures) // COMPARED)]
    # All take their places together, at the end: until then there are those of the last training.
    with replacing_file(files.model) as keras_file, replacing_file(files.onnx) as onnx_file:
        trained.model.save(keras_file)
        expected = export_onnx(
            trained.model, onnx_file, class_names, compared, config.resize, config.mirror
        )
        probabilities = Predictor(onnx_file).probabilities(validation.pictures)
        weights = None
        if config.class_weights == "balanced":
            weights = balanced_weights(labels, len(class_names))[labels]
        accuracy = float(np.average(probabilities.argmax(axis=1) == labels, weights=weights))
        temperature = calibrate_onnx(onnx_file, labels, probabilities, (compared, expected))
        result = trained.figures | trained.costs
        result |= {"exported_val_accuracy": accuracy, "temperature": temperature}
        run.log_metrics(result, step=len(trained.history))
        model_id = run.log_model(onnx_file, class_names, compared[0])
        write_history(files.history, trained.history)
    run.log_file(files.history)
    run.log_file(files.model)
    return {**result, "model_id": model_id, NETWORK_TAG: sha256_of(files.onnx)}


def check_prepared(config: Config, summary: Summary) -> None:
    """Refuse pictures that were prepared in another way than is configured.

    Raises:
        UserError: they were.
    """
    place = Paths(project_root()).pictures
    for key in PREPARED:
        wanted = getattr(config, key)
        prepared = getattr(summary, "given_splits" if key == "splits" else key)
        is_place = key in ("images", "unlabelled")
        if is_place and wanted is not None:
            wanted = without_credentials(wanted)
        # By an earlier pawprint, which did not say.
        if prepared is None and key not in ("splits", "unlabelled"):
            continue
        if is_place and None not in (wanted, prepared) and place(wanted) == place(prepared):
            continue
        if wanted != prepared:
            shown = [w if isinstance(w, str) else json.dumps(w) for w in (wanted, prepared)]
            value = json.dumps(wanted, separators=(",", ":")) if key == "splits" else shown[0]
            raise UserError(
                f"{key} is {shown[0]}, but the pictures were prepared with {shown[1]}; run "
                f"`pawprint prepare {shlex.quote(f'{key}={value}')}` first"
            )
