"""The network as ONNX, for every use after training."""

import contextlib
import io
import json
import logging
import warnings
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pawprint.data.resize import SQUASH
from pawprint.inference.calibration import LEAST, fit_temperature, scale, sure_points
from pawprint.inference.predictor import MAPS, PROBABILITIES, Predictor, load_runtime
from pawprint.models.attention_maps import with_maps
from pawprint.system.errors import UserError
from pawprint.system.files import replacing_file
from pawprint.system.machine import undisturbed

LARGEST_DIFFERENCE = 1e-4
_UNCALIBRATED = "uncalibrated"
_FOR_XLA = "_XlaMustCompile"


def export_onnx(
    model: keras.Model,
    path: Path,
    class_names: list[str],
    pictures: np.ndarray,
    resize: str = SQUASH,
    mirror: bool = False,
) -> np.ndarray:
    """Write the network as ONNX: uint8 pictures in, a probability per class out.

    Class names and the way to a square travel in the file's metadata, so that it answers alone.
    What each place of a picture says for the answer is computed in the file too, but only for
    who asks for it: it is no output (see ``Explainer``).

    Args:
        model: from uint8 pictures (n, size, size, 3) to one sigmoid unit or a softmax, as by
            ``pawprint.models``.
        path: file to write.
        class_names: classes in the order of their indices.
        pictures: some uint8 pictures on which both networks must agree within 1e-4.
        resize: how pictures are made square. Defaults to "squash".
        mirror: whether the probabilities are the mean over a picture and its mirror image, which
            costs twice the time. Defaults to False.

    Returns:
        What Keras answers to ``pictures``, float32 (n, classes).

    Raises:
        RuntimeError: they do not agree, or are not finite; nothing is written.
    """
    import onnx

    _teach_erfc()
    wrapped = with_maps(model, mirror=mirror)
    rounds = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)  # to which a GPU may round
    try:
        expected = keras.ops.convert_to_numpy(wrapped(pictures, training=False)[0])
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(rounds)
    if not np.isfinite(expected).all():
        raise RuntimeError("the network answers with what is no number")
    with replacing_file(path) as temporary:
        with undisturbed(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore", FutureWarning)  # Keras asks NumPy for an old name
            logging.getLogger("tf2onnx").setLevel(logging.ERROR)
            wrapped.export(temporary, format="onnx", verbose=False)
        network = onnx.load(temporary)
        for output, name in zip(list(network.graph.output), (PROBABILITIES, MAPS), strict=True):
            _name_output(network, output, name)
        del network.graph.output[1]
        properties = {"class_names": json.dumps(class_names), "resize": resize}
        onnx.helper.set_model_props(network, properties)
        onnx.save(network, temporary)
        answers = Predictor(temporary).probabilities(pictures)
        _compare("the exported network differs from Keras", answers, expected)
    return expected


def check_exportable(model: keras.Model, what: str) -> None:
    """Refuse a network that could not be exported: told after a training it would cost that.

    Args:
        model: from uint8 pictures. Nothing is computed.
        what: how a sentence calls it.

    Raises:
        UserError: names the operations of TensorFlow that cannot be written as ONNX.
    """
    _teach_erfc()
    import tf2onnx.tfonnx  # noqa: F401 - tells its registry what there is
    from tf2onnx.constants import ONNX_DOMAIN
    from tf2onnx.handler import tf_op

    signature = [tf.TensorSpec(model.input_shape, tf.uint8)]
    call = tf.function(lambda pictures: model(pictures, training=False), input_signature=signature)
    graph = call.get_concrete_function().graph.as_graph_def()
    functions = graph.library.function
    used = {node.op for node in graph.node}
    used |= {node.op for function in functions for node in function.node_def}
    known = {name for names in tf_op.get_opsets()[ONNX_DOMAIN] for name in names}
    gone = {"ReadVariableOp", "PartitionedCall", "StatefulPartitionedCall"}  # before it is written
    # But what is for XLA alone, as a grouped convolution on a CPU, stays a call.
    names = [function.signature.name for function in functions if function.attr[_FOR_XLA].b]
    kept = {"a convolution in groups" if "_conv_xla_" in name else name for name in names}
    if names := sorted({*(used - known - gone), *kept}):
        raise UserError(
            f"{what} cannot be exported to ONNX (it computes {', '.join(names)}); choose another"
        )


def calibrate_onnx(
    path: Path,
    labels: np.ndarray,
    probabilities: np.ndarray,
    known: tuple[np.ndarray, np.ndarray] | None = None,
) -> float:
    """Make an exported network's probabilities mean what they say, by validation pictures.

    The temperature becomes part of the network; it and the thresholds to choose from for a wanted
    precision stand in the metadata.

    Args:
        path: an exported network that is not calibrated yet.
        labels: class indices (n,) of pictures that it did not learn from.
        probabilities: its answers to them, float32 (n, classes).
        known: some uint8 pictures and what Keras answers to them, not calibrated, with which the
            file must agree within 1e-4. Defaults to none.

    Returns:
        The temperature.

    Raises:
        RuntimeError: they do not agree, or the calibration in the file is another than that of
            ``scale``; the file stays as it was.
    """
    import onnx
    from onnx import helper, numpy_helper

    temperature = fit_temperature(labels, probabilities)
    points = [
        # The file computes in float32: its answers may be a hair below these.
        replace(point, threshold=max(0.0, point.threshold - 1e-6))
        for point in sure_points(labels, scale(probabilities, temperature))
    ]
    network = onnx.load(path)
    _name_output(network, network.graph.output[0], _UNCALIBRATED)
    constants = {"least_probability": LEAST, "inverse_temperature": 1 / temperature}
    network.graph.initializer.extend(
        numpy_helper.from_array(np.array(value, np.float32), name)
        for name, value in constants.items()
    )
    network.graph.node.extend(
        [
            helper.make_node("Max", [_UNCALIBRATED, "least_probability"], ["possible"]),
            helper.make_node("Log", ["possible"], ["logits"]),
            helper.make_node("Mul", ["logits", "inverse_temperature"], ["scaled"]),
            helper.make_node("Softmax", ["scaled"], [PROBABILITIES], axis=-1),
        ]
    )
    network.graph.output[0].name = PROBABILITIES
    properties = {entry.key: entry.value for entry in network.metadata_props}
    properties["temperature"] = repr(temperature)
    properties["sure_points"] = json.dumps([list(astuple(point)) for point in points])
    helper.set_model_props(network, properties)
    if known is not None:
        _check_calibration(network, known, temperature)
    with replacing_file(path) as temporary:
        onnx.save(network, temporary)
    return temperature


def _teach_erfc() -> None:
    """Tell tf2onnx how to write the operation in which TensorFlow computes the exact GELU."""
    from tf2onnx.constants import ONNX_DOMAIN
    from tf2onnx.handler import tf_op

    known = tf_op.get_opsets().get(ONNX_DOMAIN, [])
    if any("Erfc" in operations for operations in known):
        return

    @tf_op("Erfc")
    class Erfc:
        @classmethod
        def version_9(cls, ctx: Any, node: Any, **_: Any) -> None:
            """1 - Erf, which ONNX has since its operator set 9."""
            (given,), (output,) = node.input, node.output
            (kind,), (shape,) = node.output_dtypes, node.output_shapes
            ctx.remove_node(node.name)
            one = ctx.make_const(f"{node.name}_one", np.array(1, np.float32)).output[0]
            erf = ctx.make_node("Erf", [given], dtypes=[kind], shapes=[shape])
            ctx.make_node(
                "Sub",
                [one, erf.output[0]],
                outputs=[output],
                name=node.name,
                dtypes=[kind],
                shapes=[shape],
            )


def _check_calibration(
    network: Any, known: tuple[np.ndarray, np.ndarray], temperature: float
) -> None:
    """Compare the answers before calibration with Keras, and those after it with ``scale``.

    Calibrated answers are not compared with Keras: of one near 0 or 1 the last bit, in which both
    may differ, decides its logarithm. Before and after are of one run, so they share that bit.
    """
    import onnx

    both = onnx.ModelProto()
    both.CopyFrom(network)
    both.graph.output.append(
        onnx.helper.make_tensor_value_info(_UNCALIBRATED, onnx.TensorProto.FLOAT, (None, None))
    )
    session = load_runtime().InferenceSession(both.SerializeToString())
    pictures, expected = known
    given = {session.get_inputs()[0].name: np.ascontiguousarray(pictures)}
    before, after = session.run([_UNCALIBRATED, PROBABILITIES], given)
    _compare("the exported network differs from Keras", before, expected)
    _compare("the calibration in the network is wrong", after, scale(before, temperature))


def _compare(problem: str, answers: np.ndarray, expected: np.ndarray) -> None:
    difference = np.abs(answers - expected).max()
    if not difference <= LARGEST_DIFFERENCE:
        raise RuntimeError(f"{problem} by {difference:.1e}")


def _name_output(network: Any, output: Any, name: str) -> None:
    for node in network.graph.node:
        for names in (node.input, node.output):
            for place, own in enumerate(names):
                if own == output.name:
                    names[place] = name
    output.name = name
