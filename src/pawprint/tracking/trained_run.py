"""The run that a stage's files belong to, opened anew where this store does not have it."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pawprint.config.paths import Paths
from pawprint.inference.predictor import Predictor
from pawprint.system.errors import UserError
from pawprint.system.files import sha256_of
from pawprint.tracking.names import (
    ERROR_TAG,
    MODEL_ID_TAG,
    NETWORK_TAG,
    RESTORED_FROM_TAG,
)
from pawprint.tracking.run import Run
from pawprint.tracking.store import Store

log = logging.getLogger(__name__)

_NEEDED = ("run_id", NETWORK_TAG, "config", "class_names", "datasets", "epochs")
_OF_THE_STORE = (MODEL_ID_TAG, NETWORK_TAG, ERROR_TAG)  # tags that mean nothing in another one


def read_record(path: Path) -> dict[str, Any]:
    """What the train stage wrote about its run and its network.

    Raises:
        UserError: the file is missing or broken, or was written by an earlier pawprint.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        for key in _NEEDED:
            record[key]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"{path} is missing, broken or of an earlier version; train first with "
            "`dvc repro train` or `pawprint train`"
        ) from None
    return record


def read_trained(paths: Paths) -> dict[str, Any]:
    """As ``read_record``, of a network whose file is that of the record.

    Raises:
        UserError: it is another file, or one of them is missing or broken.
    """
    files = paths.training
    record = read_record(files.run)
    try:
        found = sha256_of(files.onnx)
    except OSError as error:
        raise UserError(
            f"{files.onnx} cannot be read ({error.strerror}); train again with `dvc repro train`"
        ) from None
    if found != record[NETWORK_TAG]:
        raise UserError(
            f"{files.onnx} is not the network that {files.run} tells of, but another file; "
            "`dvc repro train` brings back its own"
        )
    return record


def describe(run: Run, record: Mapping[str, Any]) -> None:
    """Record in a run what its training is of.

    Args:
        run: of the training, or one restored.
        record: with ``parameters``, ``tags``, the whole ``config``, the ``class_names`` and the
            ``datasets``, each with what ``Run.log_dataset`` takes.
    """
    run.log_parameters(record["parameters"])
    run.set_tags(record["tags"])
    # Whole, because MLflow cuts long parameters and tags.
    run.log_text(yaml.safe_dump(record["config"], sort_keys=False), "config.yaml")
    run.log_text(json.dumps(record["class_names"], ensure_ascii=False), "class_names.json")
    for dataset in record["datasets"]:
        run.log_dataset(**dataset)


def run_of(store: Store, paths: Paths) -> Run:
    """The run of the project's trained network, ready to take more; it has the network itself.

    DVC can bring a network back from its cache into a project whose store never saw its run (a
    fresh clone, another tracking server), or has another network in it. A run is then opened that
    carries what the files tell: all that was recorded but the drawings of training, marked by the
    tag ``restored_from``.

    Raises:
        UserError: the training's files are missing, broken or do not belong together.
    """
    record, files = read_trained(paths), paths.training
    network = record[NETWORK_TAG]
    run = store.find_of_network(record["run_id"], network)
    if run is None:
        log.warning(
            "run %s of this network is not in %s (DVC restored its files); recording it anew",
            record["run_id"],
            store.uri,
        )
        run = store.open_run(f"{record['name']} (restored)")
        restored = {RESTORED_FROM_TAG: record["run_id"], NETWORK_TAG: network}
        tags = {k: v for k, v in record["tags"].items() if k not in _OF_THE_STORE}
        describe(run, {**record, "tags": tags | restored})
        for epoch, figures in enumerate(record["epochs"], start=1):
            run.log_metrics(figures, step=epoch)
        figures = {k: v for k, v in record.items() if isinstance(v, int | float)}
        run.log_metrics(figures, step=len(record["epochs"]))
        for path, folder in (
            (files.history, None),
            (files.model, None),
            *((file, "prepare") for file in paths.audit_files()),
        ):
            if path.is_file():
                run.log_file(path, folder)
        run.finish()
    if MODEL_ID_TAG not in run.tags:
        predictor = Predictor(files.onnx)
        example = np.zeros((predictor.image_size, predictor.image_size, 3), np.uint8)
        run.log_model(files.onnx, predictor.class_names, example)
    return run
