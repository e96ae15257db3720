"""Networks that get exactly the painted pictures right that a test wants, as if trained."""

import hashlib
import json
import secrets

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pawprint.data.store import load_split, load_summary
from pawprint.inference.predictor import Predictor

# What red, green, blue and a constant count for cats; painted cats are red, dogs are not.
CATS = {"right": (1, 0, -1, 0), "wrong": (-1, 0, 1, 0), "cats": (0, 0, 0, 1)}


def train(project, kind, run_id=None):
    """Let the project's files be those of a training that ended in a ``kind`` network.

    It is another training, or the one that the run ``run_id`` records.
    """
    prepared = project.root / "data/prepared"
    summary, test = load_summary(prepared), load_split(prepared, "test")
    path = project.root / "models/model.onnx"
    path.unlink()
    onnx.save(_network(CATS[kind], summary), path)
    network = {"network_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    record = project.json("models/run.json") | {"run_id": run_id or secrets.token_hex(16)} | network
    (project.root / "models/run.json").write_text(json.dumps(record))
    names = np.array(test.class_names)
    truth = names[test.labels]
    predicted = names[Predictor(path).probabilities(test.pictures).argmax(axis=1)]
    rows = [",".join(row) for row in zip(test.paths, truth, predicted, strict=True)]
    folder = project.root / "reports/evaluate"
    (folder / "predictions.csv").write_text("\n".join(["path,label,predicted", *rows, ""]))
    metrics = {"test_accuracy": float((truth == predicted).mean()), "test_log_loss": 0.5}
    evaluated = {"run_id": record["run_id"], "test_digest": summary.splits["test"].digest}
    evaluated |= network | {"metrics": metrics}
    (folder / "evaluated.json").write_text(json.dumps(evaluated))


def _network(weights, summary):
    side = summary.image_size
    column = np.array([[w / 64, 0] for w in weights[:3]], np.float32)
    constants = {
        "axes": np.array([1, 2], np.int64),
        "weights": column,
        "bias": np.array([weights[3], 0], np.float32),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["pictures"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["floats", "axes"], ["colour"], keepdims=0),
            helper.make_node("MatMul", ["colour", "weights"], ["product"]),
            helper.make_node("Add", ["product", "bias"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "crafted",
        [helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["n", side, side, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    properties = {"class_names": json.dumps(summary.class_names), "resize": summary.resize}
    helper.set_model_props(model, properties)
    return model
