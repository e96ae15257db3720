"""Trainings in a copied project: how long they took and what was recorded of them."""

from __future__ import annotations

import contextlib
import sqlite3
import statistics
import time
from dataclasses import dataclass
from typing import Any

from project import Copy

Curves = dict[str, list[tuple[int, float]]]


@dataclass(frozen=True)
class Trained:
    """One training.

    Attributes:
        seconds: of the whole command.
        learned: seconds until the last epoch was trained, validated and recorded; what comes
            afterwards is export, registration of files and the end of the process.
        run: what `models/run.json` says.
        curves: all that was recorded.
    """

    seconds: float
    learned: float
    run: dict[str, Any]
    curves: Curves

    @property
    def metrics(self) -> dict[str, float]:
        """The last of each recorded metric."""
        return {name: curve[-1][1] for name, curve in self.curves.items()}


def train(copy: Copy, *settings: str) -> Trained:
    """Run the train stage."""
    began, begin = time.time(), time.monotonic()
    copy.stage("train", *settings)
    seconds = time.monotonic() - begin
    run = copy.json("models/run.json")
    with contextlib.closing(sqlite3.connect(copy.root / "mlflow.db")) as store:
        question = "SELECT max(timestamp) FROM metrics WHERE run_uuid = ? AND key = 'val_accuracy'"
        ((milliseconds,),) = store.execute(question, [run["run_id"]])
    return Trained(seconds, milliseconds / 1000 - began, run, curves(copy, run["run_id"]))


def curves(copy: Copy, run_id: str) -> Curves:
    """Every recorded point (step, value) of every metric of a run, in the order of the steps."""
    question = "SELECT key, step, value FROM metrics WHERE run_uuid = ? ORDER BY key, step"
    found: Curves = {}
    with contextlib.closing(sqlite3.connect(copy.root / "mlflow.db")) as store:
        for key, step, value in store.execute(question, [run_id]):
            found.setdefault(key, []).append((step, value))
    return found


def run_count(copy: Copy) -> int:
    """How many runs the tracking store has."""
    with contextlib.closing(sqlite3.connect(copy.root / "mlflow.db")) as store:
        ((count,),) = store.execute("SELECT count(*) FROM runs")
    return count


def import_seconds(copy: Copy) -> float:
    """What a process takes that only imports what the train stage does; the median of three."""
    program = (
        "import atexit, gc; gc.set_threshold(50_000, 20, 100); atexit.register(gc.freeze); "
        "from pawprint.training.tensorflow_runtime import start_tensorflow; start_tensorflow(); "
        "import pawprint.training.trainer, pawprint.export.onnx, hydra, onnxruntime, tf2onnx, "
        "mlflow.pyfunc, mlflow.store.tracking.sqlalchemy_store"
    )
    seconds = []
    for _ in range(3):
        begin = time.monotonic()
        copy.run("python", "-c", program)
        seconds.append(time.monotonic() - begin)
    return statistics.median(seconds)


def test_accuracy(copy: Copy) -> float:
    """Let the evaluate stage score what was trained on the test pictures."""
    return test_metrics(copy)["test_accuracy"]


def test_metrics(copy: Copy) -> dict[str, float]:
    """All that the evaluate stage finds out about what was trained."""
    copy.stage("evaluate")
    return copy.json("reports/evaluate/evaluated.json")["metrics"]
