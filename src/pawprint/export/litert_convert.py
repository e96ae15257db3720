"""From a trained network to LiteRT files: large weights in float16, or all of it in int8."""

from __future__ import annotations

import json
import logging
import warnings
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pawprint.export.litert_halved import halved
from pawprint.export.litert_predictor import ABOUT, LABELS, LiteRTPredictor
from pawprint.inference.calibration import LEAST
from pawprint.inference.predictor import PROBABILITIES, Predictor
from pawprint.models.attention_maps import with_maps
from pawprint.system.errors import UserError, first_line
from pawprint.system.signals import undisturbed
from pawprint.training.tensorflow_runtime import held_back_stderr

log = logging.getLogger(__name__)

FLOAT16, INT8 = "float16", "int8"
LARGEST_DIFFERENCE = 1e-2  # of a probability, in float16


def load_model(path: Path) -> keras.Model:
    """The network as the train stage saved it for Keras.

    Raises:
        UserError: the file is missing or broken.
    """
    try:
        return keras.models.load_model(path, compile=False)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path} is not a network that Keras can read ({first_line(error)}); train again with "
            "`dvc repro train`"
        ) from None


def export_litert(
    model: keras.Model,
    folder: Path,
    onnx: Predictor,
    shown: np.ndarray,
    pictures: Any,
    *,
    mirror: bool = False,
    run_id: str = "",
) -> dict[str, LiteRTPredictor]:
    """Write a network as `model_float16.tflite` and `model_int8.tflite`.

    Both take uint8 pictures (n, size, size, 3) and answer with float32 probabilities (n, classes),
    mirrored and calibrated as the ONNX network is; n is 1 unless the tensor is resized. Either
    file is a ZIP archive too, as those with LiteRT's own metadata are: `labels.txt` in it has the
    class names, a line each, `network.json` all that `LiteRTPredictor` tells.

    Args:
        model: from uint8 pictures to one sigmoid unit or a softmax.
        folder: where the files go.
        onnx: the same network as the train stage exported it.
        shown: uint8 (m, size, size, 3), training pictures; int8 computes in the ranges that
            they need.
        pictures: uint8 (k, size, size, 3), on which float16 must agree with ``onnx``.
        mirror: whether an answer is the mean over a picture and its mirror image. Defaults to
            False.
        run_id: the run that trained it. Defaults to none.

    Returns:
        What answers from each file, by "float16" and "int8".

    Raises:
        RuntimeError: in float16 a probability differs by more than 1e-2.
    """
    network = _phone_network(model, onnx.temperature, mirror=mirror)
    about = {
        "class_names": onnx.class_names,
        "resize": onnx.resize,
        "temperature": onnx.temperature,
        "run_id": run_id,
    }
    written = {}
    for kind in (FLOAT16, INT8):
        log.info("converting to %s", kind)
        path = folder / f"model_{kind}.tflite"
        _convert(network, path, kind, shown)
        _tell_about(path, about)
        with held_back_stderr():  # it tells by what it computes
            written[kind] = LiteRTPredictor(path)
        if kind == FLOAT16:
            _check_parity(written[kind], onnx, pictures)
    return written


def _check_parity(network: LiteRTPredictor, onnx: Predictor, pictures: Any) -> None:
    difference = np.abs(network.probabilities(pictures) - onnx.probabilities(pictures)).max()
    if not difference <= LARGEST_DIFFERENCE:
        raise RuntimeError(f"the network in float16 differs from the ONNX one by {difference:.1e}")


def _phone_network(model: keras.Model, temperature: float, *, mirror: bool) -> keras.Model:
    """The network with mirroring and calibration, from `pictures` to `probabilities`."""
    whole = with_maps(model, mirror=mirror)  # the maps, which nobody asks for here, stay behind
    logits = keras.ops.log(keras.ops.maximum(whole.outputs[0], LEAST))
    return keras.Model(whole.inputs, {PROBABILITIES: keras.ops.softmax(logits / temperature)})


def _convert(network: keras.Model, path: Path, kind: str, shown: np.ndarray) -> None:
    # Operations that a phone knows without further libraries.
    settings: dict[str, Any] = {"target_spec": {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}}
    if kind == INT8:
        settings["optimizations"] = [tf.lite.Optimize.DEFAULT]
        settings["representative_dataset"] = lambda: ([picture[None]] for picture in shown)
    with undisturbed(), held_back_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        logging.getLogger("tensorflow").setLevel(logging.WARNING)
        network.export(path, format="litert", verbose=False, **settings)
    if kind == FLOAT16:
        path.write_bytes(halved(path.read_bytes()))


def _tell_about(path: Path, about: dict[str, Any]) -> None:
    lines = (" ".join(name.splitlines()) + "\n" for name in about["class_names"])
    with zipfile.ZipFile(path, "a") as parts:
        # Without the time of day: the same network gives the same file.
        parts.writestr(zipfile.ZipInfo(ABOUT), json.dumps(about))
        parts.writestr(zipfile.ZipInfo(LABELS), "".join(lines).encode(errors="backslashreplace"))
