"""A network that tells colours apart, as a file."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

NAMES = ["red", "green", "blue"]


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    """The file of a network of three classes that takes pictures of 16 pixels and has maps."""
    constants = {
        "axes": np.array([1, 2], np.int64),
        "last": np.array([3], np.int64),
        "by": np.array(1 / 64, np.float32),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["pictures"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["floats", "axes"], ["colour"], keepdims=0),
            helper.make_node("Mul", ["colour", "by"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
            helper.make_node("ReduceMean", ["floats", "last"], ["maps"], keepdims=0),
        ],
        "colours",
        [helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["n", 16, 16, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {"class_names": json.dumps(NAMES)})
    path = tmp_path_factory.mktemp("network") / "model.onnx"
    onnx.save(model, path)
    return path
