"""Whether a training that is killed again and again ends as if it had never been disturbed.

    python benchmarks/resume.py

A residual network learns drawn pictures, with all that has a state: averaged weights, Muon,
growing pictures, mixtures, dropout. It learns undisturbed twice, and once more in another copy of
the project, where SIGKILL hits it at random moments of its life, a quarter of them between the
start of the process and the first step, the others up to the end of the training, and the same
command starts it again each time. What is left of the trainings is compared bit for bit; the exit
code is 1 where anything differs.

EXPECTED: everything identical, no step recorded twice; 4 minutes on 2 cores.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import random
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tables
from project import Copy, copied
from trained import Curves, Trained, curves, run_count, train

SETTINGS = ("depth=4", "width=32", "image_size=64", "ema=0.1", "images=data/sample")
KILLED = "--killed"
EARLY = 0.25  # share of the moments that are while it starts
EPOCH = re.compile(r"^epoch (\d+)/", re.MULTILINE)


@dataclass(frozen=True)
class Left:
    """What a training left: digests of its arrays, its history, and what is recorded of it.

    The exporter names and orders the initialisers differently each time: they are compared as a
    sorted list, and where they belong by the network's answers to the validation pictures.
    """

    weights: list[str]
    initialisers: list[str]
    answers: list[str]
    history: bytes
    curves: Curves
    runs: int


SEEN: dict[str, Callable[[Left], Any]] = {
    "weights in model.keras": lambda left: left.weights,
    "initialisers in model.onnx": lambda left: left.initialisers,
    "answers of model.onnx": lambda left: left.answers,
    "bytes of history.csv": lambda left: left.history,
    "recorded points of its curves": lambda left: [p for c in left.curves.items() for p in c[1]],
}


def main() -> None:
    """Train three times, compare, print tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    given = parser.parse_args()
    settings = (*SETTINGS, f"epochs={given.epochs}")
    with copied() as copy:
        _draw(copy)
        undisturbed = train(copy, *settings)
        first = _left(copy)
        train(copy, *settings)
        again = _left(copy)
    with copied() as copy:
        _draw(copy)
        kills = _disturbed(copy, settings, undisturbed, given.kills, given.seed)
        killed = _left(copy)
    sys.exit(not _same(first, {"undisturbed again": again, f"killed {kills} times": killed}))


def _draw(copy: Copy) -> None:
    copy.stage("sample")
    copy.stage("prepare", *SETTINGS)


def _disturbed(
    copy: Copy, settings: tuple[str, ...], undisturbed: Trained, kills: int, seed: int
) -> int:
    """Train, killed at random moments; returns how often.

    Moments of the training are drawn as epochs and a part of one, and waited for in what it prints:
    so they are met however fast the machine is at that time.
    """
    start = undisturbed.metrics["start_up_seconds"]
    epochs = [seconds for _, seconds in undisturbed.curves["seconds"]]
    draw = random.Random(seed)
    early = [draw.random() < EARLY for _ in range(kills)]
    places = iter(sorted(draw.uniform(0, len(epochs)) for _ in range(kills - sum(early))))
    done = 0
    tables.head("killed", "epochs finished until then")
    for count, starting in enumerate(early):
        if starting:
            mark, wait = "", draw.uniform(0, start)
            said = f"{wait:.1f} s after the process began"
        else:
            place = next(places)
            epoch = int(place)
            # An epoch that an earlier process has finished is not told of again.
            mark = f"epoch {epoch}/" if epoch > done else "training "
            wait = (place - epoch) * epochs[epoch]
            said = f"{wait:.2f} s after it said {mark!r}"
        program = str(Path(__file__).resolve())
        outcome = json.loads(copy.run("python", program, KILLED, mark, str(wait), *settings))
        if not outcome["killed"]:  # it was over before
            return count
        done = max(done, outcome["epochs"])
        tables.row(said, done)
    print()
    train(copy, *settings)
    return kills


def _train_until(mark: str, seconds: float, settings: list[str]) -> None:
    """In a copied project: train, kill it, and print how far it was.

    Args:
        mark: begin of a line of it from which the time counts; empty to count from its start.
        seconds: that it lives from then on.
        settings: of the training.
    """
    training = subprocess.Popen(
        ["python", "-m", "pawprint", "train", *settings],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    timer = threading.Timer(seconds, training.kill)
    if not mark:
        timer.start()
    printed = ""
    for line in training.stdout:
        printed += line
        if mark and line.startswith(mark):
            timer.start()
            mark = ""
    code = training.wait()
    timer.cancel()
    if code and code != -signal.SIGKILL:
        raise SystemExit(f"training failed:\n{printed}")
    last = max(map(int, EPOCH.findall(printed)), default=0)
    print(json.dumps({"killed": bool(code), "epochs": last}))


def _left(copy: Copy) -> Left:
    from pawprint.data.store import load_split
    from pawprint.inference.predictor import Predictor
    from pawprint.training.tensorflow_runtime import start_tensorflow

    start_tensorflow()
    import keras
    import onnx

    models = copy.root / "models"
    history = (models / "history.csv").read_bytes()
    names = set(next(csv.reader(history.decode().splitlines()))) - {"epoch"}
    found = curves(copy, copy.json("models/run.json")["run_id"])
    network = keras.models.load_model(models / "model.keras", compile=False)
    pictures = load_split(copy.root / "data" / "prepared", "validation").pictures
    constants = onnx.load(models / "model.onnx").graph.initializer
    return Left(
        [_digest(weight) for weight in network.get_weights()],
        sorted(_digest(onnx.numpy_helper.to_array(constant)) for constant in constants),
        [_digest(answer) for answer in Predictor(models / "model.onnx").probabilities(pictures)],
        history,
        {name: found.get(name, []) for name in sorted(names)},
        run_count(copy),
    )


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(f"{array.dtype} {array.shape} ".encode() + array.tobytes()).hexdigest()


def _same(first: Left, others: dict[str, Left]) -> bool:
    """Print what is as in the first training; False where anything is not."""
    same = True
    tables.head("compared with undisturbed", "how many", *others)
    for what, see in SEEN.items():
        equal = [see(first) == see(left) for left in others.values()]
        same &= all(equal)
        tables.row(what, len(see(first)), *("identical" if e else "DIFFERENT" for e in equal))
    twice = [_twice(left.curves) for left in (first, *others.values())]
    tables.row("steps recorded twice", *twice)
    runs = [left.runs for left in (first, *others.values())]
    tables.row("runs in the tracking store", *runs)
    trainings = [1, 2, 1]  # both undisturbed ones share a project
    return same and not any(twice) and runs == trainings


def _twice(curves: Curves) -> int:
    return sum(len(curve) - len({step for step, _ in curve}) for curve in curves.values())


if __name__ == "__main__":
    if sys.argv[1:2] == [KILLED]:
        _train_until(sys.argv[2], float(sys.argv[3]), sys.argv[4:])
    else:
        main()
