import numpy as np
import pytest

from pawprint.inference.predictor import Predictor

NAMES = ["cats", "dogs", "newts"]


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """An exported network of three classes."""
    from pawprint.export.onnx import export_onnx
    from pawprint.models.build import build_model
    from pawprint.training.loop import seed_everything

    seed_everything(1)
    model = build_model("cnn", 16, 3, depth=2, width=4, dense_units=8, dropout=0.2)
    last = model.get_layer("probabilities")
    kernel, bias = last.get_weights()
    last.set_weights([kernel * 10, bias])
    path = tmp_path_factory.mktemp("models") / "model.onnx"
    pictures = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    export_onnx(model, path, NAMES, pictures)
    return Predictor(path)
