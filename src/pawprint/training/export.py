"""The network as ONNX, for every use after training."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from pawprint.files import replacing_file
from pawprint.images.square import SQUASH
from pawprint.serving.predictor import Predictor

LARGEST_DIFFERENCE = 1e-4


def export_onnx(
    model: keras.Model,
    path: Path,
    class_names: list[str],
    pictures: np.ndarray,
    resize: str = SQUASH,
    mirror: bool = False,
) -> None:
    """Write the network as ONNX: uint8 pictures in, a probability per class out.

    Class names and the way to a square travel in the file's metadata, so that it answers alone.

    Args:
        model: from uint8 pictures (n, size, size, 3) to one sigmoid unit or a softmax.
        path: file to write.
        class_names: classes in the order of their indices.
        pictures: some uint8 pictures on which both networks must agree within 1e-4.
        resize: how pictures are made square. Defaults to "squash".
        mirror: whether the probabilities are the mean over a picture and its mirror image, which
            costs twice the time. Defaults to False.

    Raises:
        RuntimeError: they do not agree; nothing is written.
    """
    import onnx

    wrapped = _with_all_probabilities(_mirrored(model) if mirror else model)
    with _whole_float32():
        expected = keras.ops.convert_to_numpy(wrapped(pictures, training=False))
    with replacing_file(path) as temporary:
        _quietly_export(wrapped, temporary)
        network = onnx.load(temporary)
        _name_output(network, "probabilities")
        properties = {"class_names": json.dumps(class_names), "resize": resize}
        onnx.helper.set_model_props(network, properties)
        onnx.save(network, temporary)
        difference = np.abs(Predictor(temporary).probabilities(pictures) - expected).max()
        if not difference <= LARGEST_DIFFERENCE:
            raise RuntimeError(f"the exported network differs from Keras by {difference:.1e}")


@contextlib.contextmanager
def _whole_float32() -> Iterator[None]:
    """Without TensorFloat-32, to which a GPU may round what it multiplies."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def _mirrored(model: keras.Model) -> keras.Model:
    pictures = keras.Input(model.input_shape[1:], dtype="uint8", name="pictures")
    # By numbers of columns: ONNX has no operation that turns an axis round.
    columns = list(reversed(range(model.input_shape[2])))
    # One pass over twice as many pictures: the file holds the network once.
    mirrored = keras.ops.take(pictures, columns, axis=2)
    answers = model(keras.ops.concatenate([pictures, mirrored], axis=0))
    both = keras.ops.reshape(answers, (2, -1, answers.shape[-1]))
    return keras.Model(pictures, keras.ops.mean(both, axis=0), name=model.name)


def _with_all_probabilities(model: keras.Model) -> keras.Model:
    if model.output_shape[-1] > 1:
        return model
    second = model.outputs[0]
    both = keras.ops.concatenate([1 - second, second], axis=-1)
    return keras.Model(model.inputs[0], both, name=model.name)


def _quietly_export(model: keras.Model, path: Path) -> None:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore", FutureWarning)  # Keras asks NumPy for an old name
        logging.getLogger("tf2onnx").setLevel(logging.ERROR)
        model.export(path, format="onnx", verbose=False)


def _name_output(network: object, name: str) -> None:
    output = network.graph.output[0]
    for node in network.graph.node:
        for i, made in enumerate(node.output):
            if made == output.name:
                node.output[i] = name
    output.name = name
