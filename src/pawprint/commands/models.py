"""`pawprint models`: the networks to choose from, and whether their weights are at hand."""

import json
import os
import re
from argparse import Namespace
from pathlib import Path
from typing import Any

from pawprint.config.overrides import suggest
from pawprint.config.paths import is_path
from pawprint.models.applications import APPLICATIONS
from pawprint.system.errors import UserError
from pawprint.system.terminal import print_table

# The networks that learn from nothing, and the keys that say how large they are.
OWN = {"article": "dense_units", "cnn": "depth, width", "resnet": "depth, width"}
HEADER = ("name", "weights", "input", "features", "from", "at hand")


def models(given: Namespace) -> int:
    """Print a row per network, or the one that is named; returns 0.

    Raises:
        UserError: there is none of that name, or the file is no network for pictures.
    """
    if given.operands and is_path("model.backbone", given.operands[0]):
        rows = [_of_file(given.operands[0])]
    else:
        rows = [*_own(), *_of_applications()]
        if given.operands:
            names = [row["name"] for row in rows]
            if given.operands[0] not in names:
                hint = suggest(given.operands[0], names, "networks")
                raise UserError(f"there is no network {given.operands[0]!r}; {hint}")
            rows = [row for row in rows if row["name"] == given.operands[0]]
    if given.json:
        print(json.dumps(rows, indent=2))
        return 0
    cells = [[_written(row[name]) for name in HEADER] for row in rows]
    print_table("networks: model=NAME, or model=transfer model.backbone=NAME", [*HEADER], cells)
    return 0


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value or "")


def _own() -> list[dict[str, Any]]:
    rest = {"input": "image_size", "features": None, "from": "learned here", "at hand": None}
    return [{"name": name, "weights": f"by {keys}"} | rest for name, keys in OWN.items()]


def _of_applications() -> list[dict[str, Any]]:
    cache = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "models"
    files = [path.name for path in cache.iterdir()] if cache.is_dir() else []
    there = {_application_of(file) for file in files}
    return [
        {
            "name": name,
            "weights": weights,
            "input": f"image_size, learned at {side}",
            "features": features,
            "from": "keras.applications, ImageNet",
            "at hand": name in there,
        }
        for name, (weights, side, features) in APPLICATIONS.items()
    ]


def _application_of(file: str) -> str | None:
    """Whose weights without top a file in Keras's cache has, by its name; None for others."""
    plain = re.sub(r"[^a-z0-9]", "", file.lower()).removeprefix("weights")
    if "notop" not in plain:
        return None
    fitting = [name for name in APPLICATIONS if plain.startswith(name.lower())]
    return max(fitting, key=len, default=None)


def _of_file(name: str) -> dict[str, Any]:
    """Of a network that somebody saved; TensorFlow is loaded to read it."""
    from pawprint.training.tensorflow_runtime import start_tensorflow

    start_tensorflow()
    from pawprint.models.backbone import read_network

    model = read_network(Path(name).expanduser())
    height, width = model.input_shape[1:3]
    return {
        "name": name,
        "weights": model.count_params(),
        "input": f"{height} × {width}" if height else "image_size",
        "features": model.output_shape[-1],
        "from": "the file",
        "at hand": True,
    }
