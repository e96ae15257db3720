"""Tiny trainings: coloured pictures, and a function that trains a network on them."""

import colorsys
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import pytest

from pawprint.models.build import build_model
from pawprint.training.augmentation import Augmentation
from pawprint.training.batch_norm import with_fused_normalisation
from pawprint.training.batches import (
    TrainingBatches,
    ValidationBatches,
    balanced_weights,
    steps_in,
    targets_for,
)
from pawprint.training.devices import set_policy
from pawprint.training.loop import Fitted, Plan, TrainingLoop, seed_everything

SIDE = 8


def coloured(count, classes, seed=0):
    """Noisy pictures of one colour per class, and their labels."""
    labels = np.arange(count) % classes
    colours = np.array([colorsys.hsv_to_rgb(i / classes, 0.8, 0.8) for i in range(classes)]) * 255
    noise = np.random.default_rng(seed).normal(0, 20, (count, SIDE, SIDE, 3))
    return np.clip(colours[labels][:, None, None] + noise, 0, 255).astype(np.uint8), labels


@dataclass
class Trained:
    """A training that is over, or was stopped."""

    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    pictures: np.ndarray  # of validation
    targets: np.ndarray
    reports: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    fitted: Fitted | None = None

    def best(self):
        """The network with the weights that were kept."""
        network = keras.Model.from_config(self.model.get_config())
        network.set_weights(self.fitted.weights)
        return network

    def judged(self, network, rows=slice(None)):
        """Accuracy and loss of a network on validation pictures, without Keras."""
        answers = network.predict_on_batch(self.pictures[rows])
        targets = self.targets[rows]
        if answers.shape[1] == 1:
            answers = np.concatenate([1 - answers, answers], axis=1)
            targets = np.concatenate([1 - targets, targets], axis=1)
        right = (answers.argmax(axis=1) == targets.argmax(axis=1)).mean()
        return right, -np.log((answers * targets).sum(axis=1)).mean()


@pytest.fixture(scope="session")
def train():
    """A function that trains a tiny network on coloured pictures; returns a Trained."""
    return _train


def _train(
    *,
    classes=2,
    name="cnn",
    optimizer=lambda: keras.optimizers.Adam(0.03),
    counts=(24, 10),
    dropout=0.2,
    vary=None,
    soft_targets=None,
    balanced=False,
    labels=None,
    validation_labels=None,
    seed=0,
    precision="float32",
    epochs=2,
    sizes=None,
    steps=None,
    validation_steps=None,
    report=None,
    **arguments,
):
    seed_everything(seed)
    set_policy(precision)  # after the seeds, which forget it
    sizes = sizes or [SIDE] * epochs
    size = sizes[0] if len(set(sizes)) == 1 else None
    model = build_model(name, size, classes, depth=1, width=4, dense_units=8, dropout=dropout)
    model = with_fused_normalisation(model)
    pictures, given = coloured(counts[0], classes)
    labels = given if labels is None else labels
    shown, answers = coloured(counts[1], classes, seed=1)
    answers = answers if validation_labels is None else validation_labels
    targets = targets_for(answers, classes)
    weights, answer_weights = (
        balanced_weights(own, classes) if balanced else None for own in (labels, answers)
    )
    vary = vary or Augmentation()
    batches = TrainingBatches(
        pictures, labels, classes, 8, seed, vary, weights, soft_targets=soft_targets
    )
    trained = Trained(model, optimizer(), shown, targets)

    def tell(epoch, figures):
        trained.reports.append((epoch, figures))
        if report:
            report(trained, epoch)

    plan = {
        name: arguments.pop(name) for name in ("patience", "label_smoothing") & arguments.keys()
    }
    loop = TrainingLoop(
        model,
        trained.optimizer,
        batches,
        ValidationBatches(
            shown, targets, 8, steps_in(len(shown), 8, validation_steps), answer_weights
        ),
        Plan(sizes, steps_in(len(labels), 8, steps), **plan),
        **arguments,
    )
    trained.fitted = loop.run(tell)
    return trained


# Two devices: a process of its own, which works while other tests do

CASES = [
    f"{name}-{optimizer}"
    for name in ("article", "resnet")
    for optimizer in ("sgd", "adamw", "muon")
] + ["article-adadelta", "transfer-adamw", "fine_tune-sgd"]
_processes: list[subprocess.Popen] = []


def pytest_collection_finish(session):
    """Start the process first where its results will be asked for; elsewhere the fixture does."""
    wanted = any("two_devices" in getattr(item, "fixturenames", ()) for item in session.items)
    here = not hasattr(session.config, "workerinput") and not session.config.option.collectonly
    if wanted and here:
        _start()


def pytest_unconfigure():
    """End it where nobody asked."""
    for process in _processes:
        process.kill()


def _start():
    script = Path(__file__).with_name("two_devices.py")
    _processes.append(
        subprocess.Popen(
            [sys.executable, script, *CASES],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        )
    )


@pytest.fixture(scope="session")
def two_devices():
    """What came out of trainings on one device and on two: by case, then "one" and "two"."""
    if not _processes:
        _start()
    process = _processes.pop()
    out, err = process.communicate()
    assert process.returncode == 0, err
    return json.loads(out)
