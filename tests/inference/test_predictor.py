import itertools
import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pawprint.data.decode import PictureError, read_picture
from pawprint.inference.predictor import Prediction, Predictor, pictures_at_a_time
from pawprint.system.errors import UserError

NAMES = ["cats", "dogs", "newts"]


@pytest.fixture
def files(tmp_path, paint_folder):
    paint_folder(tmp_path, {"cats": 3, "dogs": 3, "newts": 3}, suffix=".jpg", size=(40, 30))
    return sorted(tmp_path.rglob("*.jpg"))


def figures(prediction):
    return [prediction.probabilities[name] for name in NAMES]


# Answers


@pytest.fixture(scope="module")
def calibrated(network, tmp_path_factory):
    """The network's file, calibrated on pictures of which it gets most right."""
    from pawprint.export.onnx import calibrate_onnx

    path = tmp_path_factory.mktemp("calibrated") / "model.onnx"
    path.write_bytes(network.path.read_bytes())
    random = np.random.default_rng(1)
    brightness = random.uniform(0, 255, (300, 1, 1, 3))
    pictures = (random.random((300, 16, 16, 3)) * brightness).astype(np.uint8)
    raw = network.probabilities(pictures)
    wrong = random.random(300) > 0.8 * raw.max(axis=1) ** 0.25
    calibrate_onnx(path, np.where(wrong, (raw.argmax(axis=1) + 1) % 3, raw.argmax(axis=1)), raw)
    return path


def test_a_wanted_precision_makes_the_less_sure_pictures_not_sure(calibrated, files):
    always = Predictor(calibrated)
    point = always.sure_points[len(always.sure_points) // 2]
    careful = Predictor(calibrated, point.precision)
    assert careful.sure == point
    before, after = list(always.classify(files)), list(careful.classify(files))
    assert [p.probabilities for p in before] == [p.probabilities for p in after]
    assert {p.label for p in before} <= set(NAMES)
    for one, other in zip(before, after, strict=True):
        sure = one.probability >= point.threshold
        assert other.label == (one.label if sure else "not sure")


def test_below_the_threshold_there_is_no_answer_and_the_probabilities_stay():
    answer = {"cats": 0.75, "dogs": 0.25}
    assert Prediction("a.jpg", answer, threshold=0.75).label == "cats"
    unsure = Prediction("a.jpg", answer, threshold=0.76)
    assert (unsure.label, unsure.probability) == ("not sure", 0.75)


def test_a_precision_that_was_never_reached_is_one_sentence(calibrated, network):
    best = Predictor(calibrated).sure_points[-1].precision
    assert best < 1
    with pytest.raises(UserError, match=r"^sure_precision is 1, but .* reached 0\.\d{4} at most"):
        Predictor(calibrated, 1.0)
    with pytest.raises(UserError, match="was exported without thresholds; train again"):
        Predictor(network.path, 0.5)


def test_a_picture_has_the_same_probabilities_alone_and_in_a_folder(network, files):
    together = list(network.classify(files))
    alone = [next(iter(network.classify([path]))) for path in files]
    assert [p.path for p in together] == files
    np.testing.assert_allclose(
        [figures(p) for p in alone], [figures(p) for p in together], rtol=0, atol=1e-6
    )
    assert np.ptp([figures(p)[0] for p in together]) > 1e-3


def test_a_file_is_answered_as_its_decoded_pixels_are(network, files):
    pixels = np.stack([read_picture(path, 16) for path in files])
    answers = network.probabilities(pixels)
    seen = [figures(p) for p in network.classify(files)]
    np.testing.assert_allclose(seen, answers, rtol=0, atol=1e-6)


@pytest.fixture(params=["squash", "crop", "pad", None])
def resize_of(request, network, tmp_path):
    """The network as if it was exported with a way to a square, and that way; None: before any."""
    model = onnx.load(network.path)
    kept = [p for p in model.metadata_props if p.key != "resize"]
    properties = {p.key: p.value for p in kept}
    if request.param:
        properties["resize"] = request.param
    del model.metadata_props[:]
    helper.set_model_props(model, properties)
    onnx.save(model, tmp_path / "resized.onnx")
    return Predictor(tmp_path / "resized.onnx"), request.param or "squash"


def test_a_file_is_made_square_as_the_network_learned_to_see_it(resize_of, files):
    predictor, resize = resize_of
    assert predictor.resize == resize
    pixels = np.stack([read_picture(path, 16, resize) for path in files])
    for path, expected in zip(files, pixels, strict=True):
        assert np.array_equal(predictor.read(path), expected)
        assert np.array_equal(predictor.read(path.read_bytes()), expected)
    answers = predictor.probabilities(pixels)
    seen = [figures(p) for p in predictor.classify(files)]
    np.testing.assert_allclose(seen, answers, rtol=0, atol=1e-6)


def test_reading_a_file_that_is_no_picture_is_a_picture_error(network, files):
    files[0].write_text("hello")
    with pytest.raises(PictureError, match="is not a picture"):
        network.read(files[0])


def test_an_answer_has_every_class_its_label_and_a_sum_of_one(network, files):
    for prediction in network.classify(files):
        assert list(prediction.probabilities) == NAMES
        assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert prediction.probability == max(prediction.probabilities.values())
        assert prediction.probabilities[prediction.label] == prediction.probability
        assert prediction.problem is None


def test_a_file_that_is_no_picture_gets_a_problem_and_the_others_their_answers(network, files):
    clean = {p.path: figures(p) for p in network.classify(files)}
    files[2].write_text("hello")
    files[5].write_bytes(b"")
    files[7].unlink()
    seen = list(network.classify(files))
    assert [p.path for p in seen] == files
    assert {i: p.problem for i, p in enumerate(seen) if p.problem} == {
        2: "is not a picture",
        5: "is empty (0 bytes)",
        7: "cannot be read: No such file or directory",
    }
    for prediction in seen:
        if prediction.problem:
            assert (prediction.label, prediction.probability) == (None, None)
            assert prediction.probabilities == {}
        else:
            np.testing.assert_allclose(figures(prediction), clean[prediction.path], atol=1e-6)


def test_only_files_that_are_no_pictures_are_only_problems(network, files):
    for path in files:
        path.write_text("hello")
    assert {p.problem for p in network.classify(files)} == {"is not a picture"}


@pytest.mark.parametrize("batch_size", [1, 2, 9])
def test_answers_do_not_depend_on_how_many_pictures_go_in_at_once(
    network, files, monkeypatch, batch_size
):
    files[4].write_text("hello")
    expected = list(network.classify(files))
    monkeypatch.setattr(network, "batch_size", batch_size)
    for one, two in zip(network.classify(files), expected, strict=True):
        assert (one.path, one.problem, one.label) == (two.path, two.problem, two.label)
        np.testing.assert_allclose(
            list(one.probabilities.values()), list(two.probabilities.values()), atol=1e-6
        )


def test_answers_come_as_soon_as_a_batch_is_full(network, files, monkeypatch):
    monkeypatch.setattr(network, "batch_size", 3)
    asked = []

    def paths():
        for path in itertools.cycle(files):
            asked.append(path)
            yield path

    assert next(network.classify(paths())).path == files[0]
    assert len(asked) == 3


def test_no_pictures_are_no_answers(network):
    assert list(network.classify([])) == []
    assert network.probabilities(np.zeros((0, 16, 16, 3), np.uint8)).shape == (0, 3)


def test_more_pictures_than_a_batch_are_answered_in_order(network):
    count = network.batch_size + 5
    pictures = np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)
    answers = network.probabilities(pictures)
    assert (answers.shape, answers.dtype) == ((count, 3), np.float32)
    np.testing.assert_allclose(answers[-1:], network.probabilities(pictures[-1:]), atol=1e-6)


@pytest.mark.parametrize(("size", "count"), [(16, 256), (224, 32), (8192, 1)])
def test_fewer_pictures_go_in_at_once_where_they_are_large(size, count):
    assert pictures_at_a_time(size) == count


def test_pictures_in_any_memory_order_are_answered(network):
    pictures = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    expected = network.probabilities(pictures[:, :, ::-1].copy())
    np.testing.assert_allclose(network.probabilities(pictures[:, :, ::-1]), expected, atol=1e-6)


def test_of_equal_probabilities_the_first_class_is_the_label(tmp_path):
    prediction = Prediction(tmp_path, {"cats": 0.5, "dogs": 0.5})
    assert (prediction.label, prediction.probability) == ("cats", 0.5)


# Files that are no such network


def save_other_network(path, properties):
    """A sound ONNX file that pawprint did not export."""
    value = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2])
        for name in ("in", "out")
    }
    node = helper.make_node("Identity", ["in"], ["out"])
    graph = helper.make_graph([node], "other", [value["in"]], [value["out"]])
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    helper.set_model_props(network, properties)
    onnx.save(network, path)


def refused(path):
    with pytest.raises(UserError, match="is not a network that pawprint exported") as caught:
        Predictor(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("content", [b"", b"hello", b"\x08\x07" * 50])
def test_a_file_that_is_not_onnx_is_refused(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    refused(path)


def test_a_missing_file_is_refused(tmp_path):
    refused(tmp_path / "model.onnx")


def test_a_folder_is_refused(tmp_path):
    refused(tmp_path)


@pytest.mark.parametrize(
    "properties", [{}, {"class_names": "cats, dogs"}], ids=["no names", "names that are no list"]
)
def test_an_onnx_file_of_somebody_else_is_refused(tmp_path, properties):
    save_other_network(tmp_path / "model.onnx", properties)
    refused(tmp_path / "model.onnx")


def test_a_network_that_takes_other_pictures_is_refused(tmp_path):
    shapes = {"pictures": [None, 16, 16, 3], "probabilities": [None, 16, 16, 3]}
    value = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    }
    node = helper.make_node("Identity", ["pictures"], ["probabilities"])
    graph = helper.make_graph([node], "x", [value["pictures"]], [value["probabilities"]])
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    helper.set_model_props(network, {"class_names": '["cats", "dogs"]'})
    onnx.save(network, tmp_path / "model.onnx")
    assert "does not take uint8 pictures" in refused(tmp_path / "model.onnx")


def bias(value):
    """What lets every answer of the network become that value."""

    def change(model):
        last = next(node for node in model.graph.node if "probabilities" in node.output)
        last.output[0] = "before"
        added = numpy_helper.from_array(np.array(value, np.float32), "bias")
        model.graph.initializer.append(added)
        model.graph.node.append(helper.make_node("Add", ["before", "bias"], ["probabilities"]))

    return change


def with_shape(*shape):
    def change(model):
        dimensions = model.graph.input[0].type.tensor_type.shape.dim
        for dimension, size in zip(dimensions, shape, strict=False):
            if size:
                dimension.dim_value = size

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"class_names": ["cats", "dogs"]}, "its class_names are 2, but it gives 3 probabilities"),
        ({"class_names": ["cats", "dogs", "cats"]}, "its class_names name a class twice"),
        ({"class_names": {"cats": 0, "dogs": 1, "newts": 2}}, "its class_names are no list"),
        ({"resize": "stretch"}, "its resize is stretch, none of squash, crop, pad"),
        ({"temperature": "nan"}, "its temperature is nan"),
        ({"sure_points": [[0.5]]}, "SurePoint"),
        (bias(np.nan), "what it answers to a black picture are no probabilities"),
        (bias(-0.5), "what it answers to a black picture are no probabilities"),
        (bias(1), "what it answers to a black picture are no probabilities"),
        (lambda model: model.graph.output.append(model.graph.output[0]), ""),
        (with_shape(None, 16, 12), "not RGB squares of one size"),
        (with_shape(4), "it takes 4 pictures at a time"),
    ],
)
def test_a_network_of_which_the_parts_do_not_fit_is_refused(network, tmp_path, change, reason):
    model = onnx.load(network.path)
    if isinstance(change, dict):
        properties = {entry.key: entry.value for entry in model.metadata_props}
        words = {k: v if isinstance(v, str) else json.dumps(v) for k, v in change.items()}
        del model.metadata_props[:]
        helper.set_model_props(model, properties | words)
    else:
        change(model)
    onnx.save(model, tmp_path / "model.onnx")
    assert reason in refused(tmp_path / "model.onnx")
