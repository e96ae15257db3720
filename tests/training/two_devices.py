"""Train on one device and on two; print what came out. Run as a process of its own."""

import json
import sys
import tempfile
from pathlib import Path

import tensorflow as tf

# Before TensorFlow starts: afterwards it takes no more devices.
_CPU = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(_CPU, [tf.config.LogicalDeviceConfiguration()] * 2)

import numpy as np  # noqa: E402

from pawprint.models.build import build_model  # noqa: E402
from pawprint.models.transfer import features_model, head_model, unfreeze  # noqa: E402
from pawprint.training.augmentation import Augmentation, mirrored_features  # noqa: E402
from pawprint.training.batch_norm import with_fused_normalisation  # noqa: E402
from pawprint.training.batches import (  # noqa: E402
    TrainingBatches,
    ValidationBatches,
    targets_for,
)
from pawprint.training.checkpoint import Checkpoint  # noqa: E402
from pawprint.training.devices import strategy_for  # noqa: E402
from pawprint.training.features import compute_features  # noqa: E402
from pawprint.training.loop import Plan, TrainingLoop, seed_everything  # noqa: E402
from pawprint.training.optimizers import build_optimizer, build_schedule  # noqa: E402

DEVICES = {"one": ["CPU:0"], "two": ["CPU:0", "CPU:1"]}
SETTINGS = {
    "sgd": (0.1, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    "adadelta": (30.0, {}),
    "adamw": (0.02, {"weight_decay": 0.1}),
    "muon": (0.05, {"weight_decay": 0.1}),
}
COUNT, STEPS, EPOCHS = 25, 4, 2  # one picture is left for the last batch
BACKBONE = {"backbone": "MobileNet", "alpha": 0.25, "weights": "none"}


def trained(name: str, optimizer: str, devices: list[str]) -> dict:
    """What a few steps in batches of eight end with.

    Of `transfer` the head alone learns, as `fine_tune` the last layers too.
    """
    pretrained = name in ("transfer", "fine_tune")
    side = 32 if pretrained else 8
    pictures = np.random.default_rng(0).integers(0, 256, (COUNT, side, side, 3), dtype=np.uint8)
    vary = Augmentation(horizontal_flip=True)
    labels = np.arange(COUNT) % 3
    seed_everything(0)
    rate, arguments = SETTINGS[optimizer]
    schedule = "constant" if optimizer == "adamw" else "one_cycle"
    rate = build_schedule(schedule, rate, STEPS * EPOCHS, warmup_fraction=0.25, final_fraction=0.0)
    with strategy_for(devices).scope():
        sizes = {"depth": 1, "width": 4, "dense_units": 8, "dropout": 0.0}
        model = build_model("transfer" if pretrained else name, side, 3, **sizes, **BACKBONE)
        if name != "transfer":
            model = with_fused_normalisation(model)
        if name == "fine_tune":
            unfreeze(model, 0.1)
        built = build_optimizer(optimizer, rate, arguments, averaging_steps=4)
    if name == "transfer":
        seen = compute_features(features_model(model), pictures, show=False)
        pictures, vary = np.concatenate(list(seen)), mirrored_features
        with model.distribute_strategy.scope():
            model = head_model(model)
    start = flat(model.get_weights())
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoint(Path(folder), {})
        loop = TrainingLoop(
            model,
            built,
            # For both, so that they see the same.
            TrainingBatches(pictures, labels, 3, 8, 0, vary, multiple=2),
            ValidationBatches(pictures, targets_for(labels, 3), 8, STEPS),
            Plan([side] * EPOCHS, STEPS),
            checkpoint=checkpoint,
        )
        fitted = loop.run(lambda epoch, figures: None)
        saved = checkpoint.load()
    np.testing.assert_array_equal(flat(saved.arrays["best"]), flat(fitted.weights))
    return {
        "devices": model.distribute_strategy.num_replicas_in_sync,
        "history": fitted.history,
        "start": start,
        "weights": flat(saved.arrays["weights"]) + flat(fitted.weights),
    }


def flat(arrays: list[np.ndarray]) -> list[float]:
    """All numbers of some arrays."""
    return np.concatenate([array.ravel() for array in arrays]).tolist()


if __name__ == "__main__":
    results = {
        case: {number: trained(*case.split("-"), devices) for number, devices in DEVICES.items()}
        for case in sys.argv[1:]
    }
    json.dump(results, sys.stdout)
