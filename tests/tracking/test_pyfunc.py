import base64
import json

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from pawprint.inference.predictor import Predictor
from pawprint.system.errors import UserError
from pawprint.tracking.pyfunc import PyfuncModel, _load_pyfunc

NAMES = ["cats", "label", "newts"]  # of which one is also a column's


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model's folder: its network tells colours apart, and is sure from 0.4 on."""
    constants = {"axes": np.array([1, 2], np.int64), "by": np.array(1 / 64, np.float32)}
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["pictures"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["floats", "axes"], ["colour"], keepdims=0),
            helper.make_node("Mul", ["colour", "by"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "colours",
        [helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["n", 16, 16, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    points = json.dumps([[0.0, 0.7, 1.0], [0.4, 0.9, 0.6]])
    known = {"class_names": json.dumps(NAMES), "temperature": "1", "sure_points": points}
    helper.set_model_props(network, known)
    path = tmp_path_factory.mktemp("model")
    onnx.save(network, path / "model.onnx")
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory, paint_textures):
    root = paint_textures(tmp_path_factory.mktemp("pictures"), {"a": 3, "b": 3}, size=(40, 30))
    return sorted(root.rglob("*.jpg"))


@pytest.fixture(scope="module")
def contents(files):
    return [path.read_bytes() for path in files]


@pytest.fixture(scope="module")
def model(folder):
    return _load_pyfunc(str(folder))


@pytest.fixture(scope="module")
def expected(folder, contents):
    """What the network itself answers, as the table's figures."""
    predictor = Predictor(folder / "model.onnx")
    answers = predictor.probabilities(np.stack([predictor.read(c) for c in contents]))
    assert np.ptp(answers[:, 0]) > 0.1
    return np.column_stack([answers.max(axis=1), answers]).astype(np.float64)


FIGURES = ["probability", "cats", "label (class)", "newts"]
COLUMNS = ["label", *FIGURES, "problem"]


def text(content):
    return base64.b64encode(content).decode()


CELLS = {
    "bytes": lambda path: path.read_bytes(),
    "bytearray": lambda path: bytearray(path.read_bytes()),
    "base64": lambda path: text(path.read_bytes()),
    "URL-safe base64": lambda path: base64.urlsafe_b64encode(path.read_bytes()).decode(),
    "base64 in lines": lambda path: base64.encodebytes(path.read_bytes()).decode(),
    "data URL": lambda path: f"data:image/jpeg;base64,{text(path.read_bytes())}",
    "path": str,
    "Pillow image": Image.open,
    "array": lambda path: np.asarray(Image.open(path)),
}
FORMS = {
    "a table": lambda cells: pd.DataFrame({"image": cells}),
    "a table of another name and more columns": lambda cells: pd.DataFrame({"x": cells, "y": 1}),
    "a series": pd.Series,
    "a list": list,
    "an array": lambda cells: np.array(cells, object),
}


@pytest.mark.parametrize("cell", CELLS)
def test_bytes_text_and_paths_are_answered_as_the_network_answers(model, files, expected, cell):
    cells = pd.Series([CELLS[cell](path) for path in files], dtype=object)
    answers = model.predict(pd.DataFrame({"image": cells}))
    assert list(answers) == COLUMNS
    assert np.array_equal(answers[FIGURES].to_numpy(), expected)
    assert list(answers["label"]) == [NAMES[i] for i in expected[:, 1:].argmax(axis=1)]
    assert list(answers["problem"]) == [""] * 6


@pytest.mark.parametrize("form", FORMS)
def test_a_column_is_taken_in_any_form(model, contents, expected, form):
    answers = model.predict(FORMS[form](contents))
    assert np.array_equal(answers[FIGURES].to_numpy(), expected)


PIXELS = {
    "a list of arrays": list,
    "a list of Pillow images": lambda pixels: [Image.fromarray(one) for one in pixels],
    "an array of all": lambda pixels: pixels,
    "an array of one": lambda pixels: pixels[0],
    "a Pillow image": lambda pixels: Image.fromarray(pixels[0]),
}


@pytest.mark.parametrize("form", PIXELS)
def test_pixels_are_answered_as_their_file(model, files, expected, form):
    pixels = np.stack([np.asarray(Image.open(path)) for path in files])
    answers = model.predict(PIXELS[form](pixels))
    assert list(answers["problem"]) == [""] * len(answers)
    assert np.array_equal(answers[FIGURES].to_numpy(), expected[: len(answers)])


def test_answers_stand_under_the_index_of_their_pictures(model, contents):
    index = list("zyxwvu")
    assert list(model.predict(pd.Series(contents, index)).index) == index


BAD = {
    None: "is neither bytes, text, a Pillow image nor an array, but of type NoneType",
    7: "is neither bytes, text, a Pillow image nor an array, but of type int",
    b"": "is empty (0 bytes)",
    b"hello": "is not a picture",
    "": "is empty (0 bytes)",
    "aGVsbG8=": "is not a picture",
    "data:image/png,x": "is a data: URL without base64",
    "data:image/png;base64,?": "is a data: URL without base64",
    "/nowhere/cat.jpg": "is neither base64 nor the path of a file",
    "/\0": "is neither base64 nor the path of a file",
    "/": "is neither base64 nor the path of a file",
    "\udcff": "is neither base64 nor the path of a file",
    "?" * 100_000: "is neither base64 nor the path of a file",
}


def test_what_is_no_picture_has_its_problem_and_the_others_their_answers(model, contents, expected):
    cells = [contents[0], *BAD, contents[1]]
    answers = model.predict(pd.DataFrame({"image": pd.Series(cells, dtype=object)}))
    bad = answers[1:-1]
    assert dict(zip(BAD, bad["problem"], strict=True)) == BAD
    assert bad[FIGURES].isna().all(axis=None)
    assert set(bad["label"]) == {""}
    good = answers.iloc[[0, -1]]
    assert np.array_equal(good[FIGURES].to_numpy(float), expected[:2])
    assert list(good["problem"]) == ["", ""]


def test_a_table_with_problems_is_sound_json(model, contents):
    rows = model.predict([contents[0], b"hello"]).to_dict(orient="records")
    assert json.loads(json.dumps(rows, allow_nan=False))[1] == dict.fromkeys(FIGURES) | {
        "label": "",
        "problem": "is not a picture",
    }


def test_only_problems_and_nothing_at_all_are_tables_of_the_same_columns(model):
    for cells in ([b"hello", None], []):
        answers = model.predict(pd.DataFrame({"image": pd.Series(cells, dtype=object)}))
        assert list(answers) == COLUMNS
        assert len(answers) == len(cells)


def test_more_pictures_than_the_network_takes_at_once_are_answered(model, contents, expected):
    cells = contents * 50  # the network takes 256
    cells[270] = b"hello"
    answers = model.predict(pd.DataFrame({"image": cells}))
    good = answers["problem"] == ""
    assert list(np.flatnonzero(~good)) == [270]
    wanted = np.tile(expected, (50, 1))[good]
    np.testing.assert_allclose(answers[good][FIGURES].to_numpy(float), wanted, rtol=0, atol=1e-6)


def test_below_a_wanted_precision_the_answer_is_not_sure(model, contents, expected):
    sure = expected[:, 0] >= 0.4
    assert 0 < sure.sum() < len(sure)
    always = model.predict(contents, {"sure_precision": None})
    assert always.equals(model.predict(contents, {"sure_precision": 0.0}))
    careful = model.predict(contents, {"sure_precision": 0.9})
    assert list(careful["label"] == "not sure") == list(~sure)
    assert list(careful["label"][sure]) == list(always["label"][sure])
    assert careful[FIGURES].equals(always[FIGURES])
    with pytest.raises(
        UserError, match=r"^sure_precision is 0\.95, but .* reached 0\.9000 at most"
    ):
        model.predict(contents, {"sure_precision": 0.95})


def test_below_a_threshold_the_answer_is_not_sure(model, contents, expected):
    threshold = float(np.median(expected[:, 0]))
    careful = model.predict(contents, {"threshold": threshold, "sure_precision": 0.9})
    assert list(careful["label"] == "not sure") == list(expected[:, 0] < np.float32(threshold))
    for name in ("threshold", "sure_precision"):
        with pytest.raises(UserError, match=rf"^{name} is -1; give a number from 0 to 1"):
            model.predict(contents, {name: -1})


def problem_with_a_path(model, files):
    return model.predict([str(files[0])])["problem"][0]


def test_paths_are_not_read_where_that_is_switched_off(folder, files, contents):
    told = "is not base64 (paths are not read here)"
    closed = _load_pyfunc(str(folder), {"paths": False})
    assert problem_with_a_path(closed, files) == told
    assert problem_with_a_path(PyfuncModel(folder / "model.onnx", paths=False), files) == told
    assert closed.predict([text(contents[0])])["problem"][0] == ""


def test_a_scoring_server_reads_paths_only_if_told_to(folder, files, monkeypatch):
    monkeypatch.setenv("__pyfunc_model_path__", str(folder))
    for config in (None, {"paths": None}):
        assert "not read here" in problem_with_a_path(_load_pyfunc(str(folder), config), files)
    assert problem_with_a_path(_load_pyfunc(str(folder), {"paths": True}), files) == ""
