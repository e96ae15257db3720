"""The winner of a sweep, judged on the test pictures and taken to the gate."""

from __future__ import annotations

import csv
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from pawprint.config.paths import Paths
from pawprint.data.store import load_split
from pawprint.stages.evaluate import evaluate
from pawprint.stages.register import register
from pawprint.sweep.planner import Order
from pawprint.system.files import write_json

if TYPE_CHECKING:
    from pawprint.tracking.store import Store
    from pawprint.tracking.trials import TrialRun

log = logging.getLogger(__name__)

FOLDER = "winner"


def promote(winner: TrialRun, order: Order, paths: Paths, store: Store) -> None:
    """Export the winner, evaluate it once, and register it; it may become the champion.

    The project's own network and figures stay as they are.

    Raises:
        UserError: the trial's files are gone, or the store does not answer.
    """
    run = store.find(winner.id)
    if version := run.tags.get("registered_version"):
        log.info("the winner, %s, is version %s already", winner.name, version)
        return
    log.info("promoting the winner, %s", winner.name)
    from pawprint.training.tensorflow_runtime import start_tensorflow

    start_tensorflow()
    import keras

    from pawprint.stages.train import export
    from pawprint.training.trainer import TrainedNetwork

    here = replace(paths, own=order.folder / FOLDER)
    files = here.training
    for path in (files.model, files.history):
        run.fetch(path.name, path)
    model = keras.models.load_model(files.model)
    with files.history.open(newline="") as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    history = [{**row, "epoch": int(row["epoch"])} for row in rows]
    names = ("best_epoch", "best_val_accuracy", "best_val_loss", "best_accuracy", "weights")
    figures = {name: winner.figures[name] for name in names}
    config = order.resolve(winner.overrides)
    run.reopen()
    try:
        result = export(
            config,
            TrainedNetwork(model, history, figures, {}),
            load_split(paths.prepared, "validation"),
            files,
            run,
        )
        record = {
            "run_id": run.id,
            "name": winner.name,
            "store": store.uri,
            "parameters": dict(winner.parameters),
            "tags": run.tags,
            **result,
        }
        write_json(files.run, record)
        evaluate(config, here)
        register(config, here)
    finally:
        run.finish()
