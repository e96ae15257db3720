"""The run that a stage's files belong to, opened anew where this store does not have it."""

import csv
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from pawprint.config.paths import TrainingFiles
from pawprint.inference.predictor import Predictor
from pawprint.system.errors import UserError
from pawprint.tracking.names import MODEL_ID_TAG, RESTORED_FROM_TAG
from pawprint.tracking.run import Run
from pawprint.tracking.store import Store

log = logging.getLogger(__name__)


def read_record(path: Path) -> dict[str, Any]:
    """What the train stage wrote about its run.

    Raises:
        UserError: the file is missing or broken.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        record["run_id"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"{path} is missing or broken; train first with `dvc repro train` or `pawprint train`"
        ) from None
    return record


def run_of(store: Store, files: TrainingFiles) -> Run:
    """The run of the trained network in ``files``, ready to take more.

    DVC can bring a network back from its cache into a project whose store never saw its run (a
    fresh clone, another tracking server). A run is then opened that carries what the files tell:
    parameters, curves and model, marked by the tag ``restored_from``.

    Raises:
        UserError: the training's files are missing or broken.
    """
    record = read_record(files.run)
    run = store.find(record["run_id"]) or store.find_restored(record["run_id"])
    if run is None:
        log.warning(
            "run %s of this network is not in %s (DVC restored its files); recording it anew",
            record["run_id"],
            store.uri,
        )
        run = store.open_run(f"{record['name']} (restored)")
        run.log_parameters(record["parameters"])
        run.set_tags(record["tags"] | {RESTORED_FROM_TAG: record["run_id"]})
        with files.history.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                epoch = int(row.pop("epoch"))
                run.log_metrics({name: float(value) for name, value in row.items()}, step=epoch)
        run.log_file(files.history)
        run.finish()
    if MODEL_ID_TAG not in run.tags:
        predictor = Predictor(files.onnx)
        example = np.zeros((predictor.image_size, predictor.image_size, 3), np.uint8)
        run.log_model(files.onnx, predictor.class_names, example)
    return run
