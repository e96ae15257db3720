import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from pawprint.export.litert_halved import halved

SIDE = 6


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A float32 LiteRT file: two large kernels that are equal, and small tensors."""
    random = np.random.default_rng(0)
    kernel = random.normal(0, 0.1, (64, 64)).astype(np.float32)
    given = keras.Input((SIDE, SIDE, 4), name="pictures")
    x = keras.layers.DepthwiseConv2D(3, name="small")(given)
    x = keras.layers.Flatten()(x)
    for name in ("first", "second"):
        dense = keras.layers.Dense(64, activation="relu", name=name)
        x = dense(x)
        dense.set_weights([kernel, random.normal(0, 1, 64)])
    path = tmp_path_factory.mktemp("halved") / "model.tflite"
    keras.Model(given, x).export(path, format="litert", verbose=False)
    return path.read_bytes()


def answers(content, given):
    interpreter = Interpreter(model_content=content)
    (place,) = interpreter.get_input_details()
    interpreter.resize_tensor_input(place["index"], given.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(place["index"], given)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def constants(content):
    """The constant float tensors as (type, how many numbers, buffer)."""
    network = schema.ModelT.InitFromPackedBuf(content, 0)
    widths = {schema.TensorType.FLOAT16: 2, schema.TensorType.FLOAT32: 4}
    return [
        (8 * widths[tensor.type], len(data) // widths[tensor.type], tensor.buffer)
        for tensor in network.subgraphs[0].tensors
        if tensor.type in widths and (data := network.buffers[tensor.buffer].data) is not None
    ]


def test_large_tensors_are_float16_and_small_ones_stay_float32(network):
    kept = [(bits, count) for bits, count, _ in constants(halved(network))]
    assert {count for bits, count in kept if bits == 16} == {64 * 64}
    assert {count for bits, count in kept if bits == 32} >= {64, 3 * 3 * 4}
    assert all(bits == 32 for bits, _, _ in constants(network))
    assert len(halved(network)) < len(network)


def test_the_answers_are_those_of_rounded_kernels(network):
    given = np.random.default_rng(1).normal(0, 1, (5, SIDE, SIDE, 4)).astype(np.float32)
    before, after = answers(network, given), answers(halved(network), given)
    difference = np.abs(before - after).max()
    assert 0 < difference < 2e-3 * np.abs(before).max()


def test_equal_tensors_that_share_their_numbers_are_halved_once(network):
    large = [number for _, count, number in constants(network) if count == 64 * 64]
    assert len(set(large)) == 1
    kept = [(bits, count) for bits, count, _ in constants(halved(network)) if count >= 2048]
    assert kept == [(16, 64 * 64)] * len(large)
