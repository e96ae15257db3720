import json
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
from lively import lively

from pawprint.export.litert import export_litert, halved, load_model
from pawprint.export.litert_predictor import LiteRTPredictor
from pawprint.export.onnx import calibrate_onnx, export_onnx
from pawprint.inference.predictor import Predictor
from pawprint.models.build import build_model
from pawprint.system.errors import UserError
from pawprint.training.loop import seed_everything

pytest.importorskip("ai_edge_litert", reason="takes pawprint-classifier[litert]")

NAMES = ["cats", "dogs", "Ñandúes\nof both kinds"]


def pictures(count, seed=0, side=16):
    """Noise, each picture of its own brightness."""
    random = np.random.default_rng(seed)
    brightness = random.uniform(0, 255, (count, 1, 1, 3))
    return (random.random((count, side, side, 3)) * brightness).astype(np.uint8)


def build(name, classes, side=16):
    """A network whose answers differ from picture to picture."""
    seed_everything(0)
    own = {"backbone": "MobileNet", "alpha": 0.25, "weights": "none"} if name == "transfer" else {}
    sizes = {"depth": 2, "width": 8, "dense_units": 8, "dropout": 0.2}
    model = build_model(name, side, classes, **sizes, **own)
    if name == "transfer":  # else the signal fades on its way through so many layers
        backbone = model.get_layer("backbone")
        backbone.set_weights([lively(weights) for weights in backbone.get_weights()])
    last = model.get_layer("probabilities")
    kernel, bias = last.get_weights()
    last.set_weights([kernel * (1 if name == "resnet" else 3), bias])
    return model


def export(folder, name, classes, *, mirror):
    """A network's ONNX file, calibrated, and what was written for phones from the same network."""
    side = 32 if name == "transfer" else 16
    model = build(name, classes, side)
    path = folder / "model.onnx"
    export_onnx(model, path, NAMES[:classes], pictures(8, side=side), mirror=mirror)
    raw = Predictor(path).probabilities(pictures(60, side=side))
    labels = (np.arange(60) * 7 % 10 < 6) * raw.argmax(axis=1)
    assert abs(calibrate_onnx(path, labels, raw) - 1) > 0.1
    onnx = Predictor(path)
    shown, compared = pictures(40, 1, side), pictures(50, 2, side)
    settings = {"mirror": mirror, "run_id": "0123"}
    return onnx, export_litert(model, folder, onnx, shown, compared, **settings)


@pytest.fixture(
    scope="module",
    params=[
        ("article", 2, False),
        ("cnn", 2, True),
        ("resnet", 3, True),
        ("transfer", 3, False),
    ],
    ids=lambda p: f"{p[0]}-{p[1]}-{'mirror' if p[2] else 'plain'}",
)
def exported(request, tmp_path_factory):
    """The folder, the ONNX network and what was written for phones."""
    name, classes, mirror = request.param
    folder = tmp_path_factory.mktemp("phone")
    return folder, *export(folder, name, classes, mirror=mirror)


@pytest.mark.parametrize("count", [1, 3, 70])
def test_float16_answers_as_the_onnx_network_does_on_batches_of_any_size(exported, count):
    _, onnx, written = exported
    given = pictures(count, 5, onnx.image_size)
    answers, expected = (one.probabilities(given) for one in (written["float16"], onnx))
    assert (answers.shape, answers.dtype) == ((count, len(onnx.class_names)), np.float32)
    np.testing.assert_allclose(answers, expected, atol=1e-2)
    assert count < 70 or np.ptp(expected[:, 0]) > 0.05


def test_int8_answers_with_probabilities_that_follow_the_picture(exported):
    _, onnx, written = exported
    given = pictures(70, 5, onnx.image_size)
    answers, expected = (one.probabilities(given) for one in (written["int8"], onnx))
    assert (answers.shape, answers.dtype) == ((70, len(onnx.class_names)), np.float32)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=0.02)
    assert np.abs(answers - expected).mean() < 0.1
    assert np.corrcoef(answers[:, 0], expected[:, 0])[0, 1] > 0.8


def test_pictures_go_in_as_bytes_and_no_further_library_is_needed(exported):
    for path in exported[0].glob("*.tflite"):
        one = LiteRTPredictor(path)
        (given,) = one._interpreter.get_input_details()
        assert given["dtype"] == np.uint8
        assert given["shape"].tolist() == [1, one.image_size, one.image_size, 3]
        operations = {o["op_name"] for o in one._interpreter._get_ops_details()}
        assert not [name for name in operations if name.startswith("Flex") or name == "CUSTOM"]
        assert not operations & {"VAR_HANDLE", "READ_VARIABLE"}


def test_int8_takes_less_room_than_float16_and_float16_less_than_onnx(exported):
    folder, _, _ = exported
    sizes = [(folder / f"model{end}").stat().st_size for end in ("_int8.tflite", "_float16.tflite")]
    # Of these tiny networks most of a file is what names its parts.
    assert sizes[0] < sizes[1] * 1.1
    assert sizes[1] < (folder / "model.onnx").stat().st_size


def test_what_is_known_of_the_network_travels_inside_the_file(exported):
    folder, onnx, written = exported
    for kind in ("float16", "int8"):
        path = folder / f"model_{kind}.tflite"
        again = LiteRTPredictor(path)
        for one in (again, written[kind]):
            assert one.class_names == onnx.class_names
            assert (one.image_size, one.resize) == (onnx.image_size, "squash")
            assert (one.temperature, one.run_id) == (onnx.temperature, "0123")
        with zipfile.ZipFile(path) as parts:
            lines = parts.read("labels.txt").decode().split("\n")
        names = ["cats", "dogs", "Ñandúes of both kinds"][: len(onnx.class_names)]
        assert lines == [*names, ""]


def test_the_file_answers_without_tensorflow(exported):
    folder, onnx, _ = exported
    program = (
        "import json, pathlib, sys, numpy as np\n"
        "from pawprint.export.litert_predictor import LiteRTPredictor\n"
        "network = LiteRTPredictor(pathlib.Path(sys.argv[1]))\n"
        "side = network.image_size\n"
        "picture = np.full((1, side, side, 3), 99, np.uint8)\n"
        "print(json.dumps(network.probabilities(picture).tolist()))\n"
        "assert not {'tensorflow', 'keras', 'mlflow'} & set(sys.modules)\n"
    )
    words = [sys.executable, "-c", program, str(folder / "model_float16.tflite")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    side = onnx.image_size
    expected = onnx.probabilities(np.full((1, side, side, 3), 99, np.uint8))
    np.testing.assert_allclose(json.loads(done.stdout), expected, atol=1e-2)


@pytest.mark.parametrize("exported", [("cnn", 2, True), ("article", 2, False)], indirect=True)
def test_a_mirrored_network_answers_the_same_for_a_picture_and_its_mirror_image(exported, request):
    given = pictures(9, 5)
    network = exported[2]["float16"]
    one, other = (network.probabilities(x) for x in (given, given[:, :, ::-1]))
    mirrored = request.node.callspec.params["exported"][2]
    assert (np.abs(one - other).max() < 1e-6) == mirrored


@pytest.mark.parametrize("exported", [("cnn", 2, True)], indirect=True)
def test_once_more_an_export_prints_nothing_and_writes_the_same_two_files(
    exported, tmp_path, capfd
):
    export(tmp_path, "cnn", 2, mirror=True)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"model.onnx", "model_float16.tflite", "model_int8.tflite"}
    assert capfd.readouterr().out == ""
    for name in names - {"model.onnx"}:
        assert (tmp_path / name).read_bytes() == (exported[0] / name).read_bytes()


@pytest.mark.parametrize("exported", [("cnn", 2, True)], indirect=True)
def test_a_network_that_is_not_the_onnx_one_is_refused(exported, tmp_path):
    other = build("cnn", 2)
    last = other.get_layer("probabilities")
    last.set_weights([-part for part in last.get_weights()])
    with pytest.raises(RuntimeError, match=r"in float16 differs from the ONNX one by \d\.\de"):
        export_litert(other, tmp_path, exported[1], pictures(8), pictures(20), mirror=True)


@pytest.mark.parametrize("content", [None, b"", b"no network", "a ZIP archive"])
def test_a_file_that_is_no_network_is_one_sentence(tmp_path, content):
    path = tmp_path / "model_int8.tflite"
    if content == "a ZIP archive":
        with zipfile.ZipFile(path, "w") as parts:
            parts.writestr("network.json", "{}")
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match="is not a network that pawprint exported") as caught:
        LiteRTPredictor(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"no network"])
def test_a_keras_file_that_is_no_network_is_one_sentence(tmp_path, content):
    path = tmp_path / "model.keras"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"model\.keras is not a network that Keras can") as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


def test_without_litert_one_sentence_names_what_to_install(tmp_path):
    program = (
        "import pathlib, sys\n"
        "sys.modules['ai_edge_litert'] = None\n"
        "from pawprint.export.litert_predictor import LiteRTPredictor\n"
        "LiteRTPredictor(pathlib.Path('model.tflite'))\n"
    )
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == (
        "pawprint.system.errors.UserError: LiteRT is not installed; add it with "
        "`pip install 'pawprint-classifier[litert]'`"
    )


# Large tensors in float16

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
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    (place,) = interpreter.get_input_details()
    interpreter.resize_tensor_input(place["index"], given.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(place["index"], given)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def constants(content):
    """The constant float tensors as (type, how many numbers, buffer)."""
    from ai_edge_litert import schema_py_generated as schema

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
