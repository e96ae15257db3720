"""The network as LiteRT, for phones: large weights in float16, or all of it in int8."""

import json
import logging
import warnings
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pawprint.export.litert_predictor import LABELS, METADATA, LiteRTPredictor
from pawprint.inference.calibration import LEAST
from pawprint.inference.predictor import PROBABILITIES, Pictures, Predictor
from pawprint.models.attention_maps import with_maps
from pawprint.system.errors import UserError, first_line
from pawprint.system.machine import undisturbed
from pawprint.training.tensorflow_runtime import held_back_stderr

log = logging.getLogger(__name__)

FLOAT16, INT8 = "float16", "int8"
LARGEST_DIFFERENCE = 1e-2  # of a probability, in float16
# Share of the numbers that stay float32: those of the smallest tensors. They are biases and
# depthwise kernels, whose rounding errors are most of what comes out wrong in the answers.
KEPT = 0.1


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
    pictures: Pictures,
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
    whole = with_maps(model, mirror=mirror)  # the maps, which nobody asks for here, stay behind
    logits = keras.ops.log(keras.ops.maximum(whole.outputs[0], LEAST))
    probabilities = keras.ops.softmax(logits / onnx.temperature)
    network = keras.Model(whole.inputs, {PROBABILITIES: probabilities})
    metadata = {
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
        _add_metadata(path, metadata)
        with held_back_stderr():  # it tells by what it computes
            written[kind] = LiteRTPredictor(path)
        if kind == FLOAT16:
            expected = onnx.probabilities(pictures)
            difference = np.abs(written[kind].probabilities(pictures) - expected).max()
            if not difference <= LARGEST_DIFFERENCE:
                raise RuntimeError(
                    f"the network in float16 differs from the ONNX one by {difference:.1e}"
                )
    return written


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


def _add_metadata(path: Path, metadata: dict[str, Any]) -> None:
    lines = (" ".join(name.splitlines()) + "\n" for name in metadata["class_names"])
    with zipfile.ZipFile(path, "a") as parts:
        # Without the time of day: the same network gives the same file.
        parts.writestr(zipfile.ZipInfo(METADATA), json.dumps(metadata))
        parts.writestr(zipfile.ZipInfo(LABELS), "".join(lines).encode(errors="backslashreplace"))


def halved(content: bytes) -> bytes:
    """A float32 network with its large tensors stored as float16; it still computes in float32.

    LiteRT's own conversion to float16 rounds every tensor, which moves single probabilities of a
    MobileNet by more than 0.02.

    Args:
        content: of a .tflite file.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    network = schema.ModelT.InitFromPackedBuf(content, 0)
    (graph,) = network.subgraphs
    opcode = schema.OperatorCodeT()
    opcode.builtinCode = opcode.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    opcode.version = 3  # the first that takes float16
    network.operatorCodes.append(opcode)
    numbers = _large(network, graph, schema.TensorType.FLOAT32)
    for number in numbers:
        wide = np.asarray(network.buffers[number].data, np.uint8).view(np.float32)
        network.buffers[number].data = wide.astype(np.float16).view(np.uint8)
    for place, stored in enumerate(list(graph.tensors)):
        if stored.buffer not in numbers:
            continue
        whole = schema.TensorT()
        whole.name, whole.shape = stored.name + b"_float32", stored.shape
        whole.type, whole.buffer = schema.TensorType.FLOAT32, 0  # the buffer of what is computed
        stored.type = schema.TensorType.FLOAT16
        graph.tensors.append(whole)
        for operator in graph.operators:
            inputs = np.array(operator.inputs)
            operator.inputs = np.where(inputs == place, len(graph.tensors) - 1, inputs)
        widens = schema.OperatorT()
        widens.opcodeIndex = len(network.operatorCodes) - 1
        widens.inputs, widens.outputs = [place], [len(graph.tensors) - 1]
        graph.operators.insert(0, widens)
    builder = flatbuffers.Builder(len(content))
    builder.Finish(network.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _large(network: Any, graph: Any, float32: int) -> set[int]:
    """Which buffers, that equal tensors share, to halve."""
    sizes = {
        tensor.buffer: len(data) // 4
        for tensor in graph.tensors
        if tensor.type == float32
        and (data := network.buffers[tensor.buffer].data) is not None
        and len(data)
    }
    kept, chosen = 0, sorted(sizes, key=sizes.__getitem__, reverse=True)
    while chosen and (kept := kept + sizes[chosen[-1]]) <= KEPT * sum(sizes.values()):
        chosen.pop()
    return set(chosen)
