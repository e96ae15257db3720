import json
import warnings

import keras
import numpy as np
import onnx
import pytest

from pawprint.export.onnx import calibrate_onnx, check_exportable, export_onnx
from pawprint.inference.calibration import fit_temperature, scale, sure_points
from pawprint.inference.predictor import Explainer, Predictor
from pawprint.models.attention_maps import with_maps
from pawprint.models.build import build_model
from pawprint.system.errors import UserError
from pawprint.training.loop import seed_everything

NAMES = ["cats", "dogs", "Ñandúes"]


def pictures(count, seed=0):
    """Noise, each picture of its own brightness."""
    random = np.random.default_rng(seed)
    brightness = random.uniform(0, 255, (count, 1, 1, 3))
    return (random.random((count, 16, 16, 3)) * brightness).astype(np.uint8)


def build(name, classes):
    """A network whose answers differ from picture to picture."""
    seed_everything(0)
    model = build_model(name, 16, classes, depth=2, width=4, dense_units=8, dropout=0.2)
    last = model.get_layer("probabilities")
    kernel, bias = last.get_weights()
    last.set_weights([kernel * (1 if name == "resnet" else 3), bias])
    return model


@pytest.fixture(scope="module", params=[("article", 2), ("resnet", 3)])
def exported(request, tmp_path_factory):
    """A Keras network, its exported file and its class names."""
    name, classes = request.param
    model = build(name, classes)
    path = tmp_path_factory.mktemp("models") / "model.onnx"
    export_onnx(model, path, NAMES[:classes], pictures(8))
    return model, path, NAMES[:classes]


@pytest.mark.parametrize("count", [1, 3, 8, 300])
def test_the_exported_network_agrees_with_keras_on_batches_of_any_size(exported, count):
    model, path, class_names = exported
    expected = model.predict(pictures(count, seed=1), verbose=0)
    if len(class_names) == 2:
        expected = np.concatenate([1 - expected, expected], axis=1)
    answers = Predictor(path).probabilities(pictures(count, seed=1))
    assert (answers.shape, answers.dtype) == ((count, len(class_names)), np.float32)
    np.testing.assert_allclose(answers, expected, atol=1e-4)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    assert count < 8 or np.ptp(answers[:, 0]) > 0.01


def test_class_names_and_size_travel_inside_the_file(exported):
    _, path, class_names = exported
    predictor = Predictor(path)
    assert predictor.class_names == class_names
    assert predictor.image_size == 16
    (stored,) = (p.value for p in onnx.load(path).metadata_props if p.key == "class_names")
    assert json.loads(stored) == class_names


def test_the_way_to_a_square_travels_inside_the_file(exported, tmp_path):
    model, path, class_names = exported
    assert Predictor(path).resize == "squash"
    if class_names == NAMES[:2]:
        export_onnx(model, tmp_path / "model.onnx", class_names, pictures(2), "crop")
        assert Predictor(tmp_path / "model.onnx").resize == "crop"


@pytest.mark.parametrize(("name", "classes"), [("article", 2), ("resnet", 3)])
def test_a_mirrored_network_answers_the_mean_over_a_picture_and_its_mirror_image(
    tmp_path, name, classes
):
    model, given = build(name, classes), pictures(9, seed=1)
    path = tmp_path / "model.onnx"
    export_onnx(model, path, NAMES[:classes], pictures(8), mirror=True)
    one, other = (model.predict(x, verbose=0) for x in (given, given[:, :, ::-1]))
    assert np.abs(one - other).max() > 1e-3
    expected = (one + other) / 2
    if classes == 2:
        expected = np.concatenate([1 - expected, expected], axis=1)
    answers = Predictor(path).probabilities(given)
    np.testing.assert_allclose(answers, expected, atol=1e-5)
    np.testing.assert_array_equal(Predictor(path).probabilities(given[:, :, ::-1]), answers)
    network = onnx.load(path)
    onnx.checker.check_model(network, full_check=True)
    assert [value.name for value in network.graph.input] == ["pictures"]
    assert [value.name for value in network.graph.output] == ["probabilities"]
    assert Predictor(path).image_size == 16


def test_the_file_is_sound_and_says_what_goes_in_and_out(exported):
    network = onnx.load(exported[1])
    onnx.checker.check_model(network, full_check=True)
    assert [value.name for value in network.graph.input] == ["pictures"]
    assert [value.name for value in network.graph.output] == ["probabilities"]
    assert network.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8


@pytest.mark.parametrize("classes", [2, 3])
def test_an_export_prints_nothing_and_leaves_only_its_file(tmp_path, capfd, classes):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        export_onnx(build("cnn", classes), tmp_path / "model.onnx", NAMES[:classes], pictures(2))
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert capfd.readouterr().out == ""


def test_an_export_does_not_change_the_network(tmp_path):
    model = build("cnn", 2)
    before = model.predict_on_batch(pictures(4))
    export_onnx(model, tmp_path / "model.onnx", NAMES[:2], pictures(2))
    np.testing.assert_array_equal(model.predict_on_batch(pictures(4)), before)
    assert model.output_shape == (None, 1)


def test_a_failed_export_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"the earlier network")
    model = build("cnn", 2)
    model.set_weights([np.full_like(weights, np.nan) for weights in model.get_weights()])
    with pytest.raises(RuntimeError, match="answers with what is no number"):
        export_onnx(model, path, NAMES[:2], pictures(2))
    assert path.read_bytes() == b"the earlier network"
    assert [found.name for found in tmp_path.iterdir()] == ["model.onnx"]


# Calibration


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    """A file before and after calibration, labels that it was done by, and the temperature."""
    path = tmp_path_factory.mktemp("calibrated") / "model.onnx"
    export_onnx(build("resnet", 3), path, NAMES, pictures(8), "crop")
    raw = Predictor(path).probabilities(pictures(200))
    labels = (raw.cumsum(axis=1) ** 0.5 > np.random.default_rng(0).random((200, 1))).argmax(axis=1)
    temperature = calibrate_onnx(path, labels, raw)
    return path, raw, labels, temperature


def test_the_calibrated_file_is_compared_with_keras_too(tmp_path):
    path = tmp_path / "model.onnx"
    expected = export_onnx(build("resnet", 3), path, NAMES, pictures(8))
    raw = Predictor(path).probabilities(pictures(40))
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="differs from Keras"):
        calibrate_onnx(path, np.arange(40) % 3, raw, (pictures(8), np.roll(expected, 1, axis=0)))
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["model.onnx"]
    temperature = calibrate_onnx(path, np.arange(40) % 3, raw, (pictures(8), expected))
    answers = Predictor(path).probabilities(pictures(8))
    np.testing.assert_allclose(answers, scale(expected, temperature), atol=1e-4)


@pytest.mark.parametrize("names", [NAMES[:2], NAMES])
def test_answers_near_certainty_whose_last_bit_differs_are_calibrated(tmp_path, names):
    model = build("article" if len(names) == 2 else "resnet", len(names))
    last = model.get_layer("probabilities")
    kernel, bias = last.get_weights()
    last.set_weights([kernel * 60, bias])
    path, given = tmp_path / "model.onnx", pictures(64)
    expected = export_onnx(model, path, names, given)
    raw = Predictor(path).probabilities(given)
    assert (raw.max(axis=1) > 1 - 1e-6).any()  # in the last bits of float32
    # As another order of the same sums would have it.
    keras = np.where(expected > 0.5, np.nextafter(expected, np.float32(0)), expected + 1e-7)
    labels = np.where(np.arange(64) % 4 == 0, (raw.argmax(axis=1) + 1) % len(names), raw.argmax(1))
    temperature = calibrate_onnx(path, labels, raw, (given, keras))
    assert temperature > 3
    assert np.abs(scale(keras, temperature) - scale(raw, temperature)).max() > 1e-2
    answers = Predictor(path).probabilities(given)
    np.testing.assert_allclose(answers, scale(raw, temperature), atol=1e-4)


def test_the_temperature_is_part_of_the_network(calibrated):
    path, raw, labels, temperature = calibrated
    assert temperature == pytest.approx(fit_temperature(labels, raw))
    assert abs(temperature - 1) > 0.1
    answers = Predictor(path).probabilities(pictures(200))
    np.testing.assert_allclose(answers, scale(raw, temperature), atol=1e-6)
    np.testing.assert_allclose(scale(answers, 1 / temperature), raw, atol=1e-5)


def test_a_calibrated_file_is_sound_and_says_all_that_it_said(calibrated):
    path, raw, labels, temperature = calibrated
    network = onnx.load(path)
    onnx.checker.check_model(network, full_check=True)
    assert [value.name for value in network.graph.output] == ["probabilities"]
    predictor = Predictor(path)
    assert (predictor.class_names, predictor.resize) == (NAMES, "crop")
    assert predictor.temperature == temperature
    points = sure_points(labels, scale(raw, temperature))
    assert len(points) == len(predictor.sure_points) > 3
    answers = predictor.probabilities(pictures(200))
    for point, expected in zip(predictor.sure_points, points, strict=True):
        assert (point.precision, point.coverage) == (expected.precision, expected.coverage)
        answered = answers.max(axis=1) >= point.threshold
        assert answered.mean() == expected.coverage  # to the last picture


def test_certain_answers_are_calibrated_to_numbers(tmp_path):
    model = build("cnn", 2)
    kernel, _ = model.get_layer("probabilities").get_weights()
    model.get_layer("probabilities").set_weights([kernel * 0, np.array([200.0])])
    path = tmp_path / "model.onnx"
    export_onnx(model, path, NAMES[:2], pictures(2))
    calibrate_onnx(path, np.ones(40, int), Predictor(path).probabilities(pictures(40)))
    np.testing.assert_allclose(Predictor(path).probabilities(pictures(2)), [[0, 1]] * 2, atol=1e-9)


# Maps


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize(("name", "classes"), [("article", 2), ("resnet", 3), ("cnn", 2)])
def test_an_exported_network_tells_where_it_looks(tmp_path, name, classes, mirror):
    model, given = build(name, classes), pictures(5, seed=2)
    path = tmp_path / "model.onnx"
    export_onnx(model, path, NAMES[:classes], pictures(8), mirror=mirror)
    calibrate_onnx(path, np.zeros(8, int), Predictor(path).probabilities(pictures(8)))
    _, expected = with_maps(model, mirror=mirror)(given)
    maps = Explainer(path).maps(given)
    np.testing.assert_allclose(maps, expected, atol=1e-4)
    assert np.ptp(maps) > 0.01


def test_maps_cost_those_nothing_who_do_not_ask_for_them(exported):
    (output,) = onnx.load(exported[1]).graph.output
    assert output.name == "probabilities"


def test_a_file_without_maps_is_told(exported, tmp_path):
    network = onnx.load(exported[1])
    for node in network.graph.node:
        for place, output in enumerate(node.output):
            if output == "maps":
                node.output[place] = "something"
    onnx.save(network, tmp_path / "old.onnx")
    with pytest.raises(UserError, match=r"old\.onnx was exported without maps; train again"):
        Explainer(tmp_path / "old.onnx")


def test_operations_that_the_export_cannot_write_are_told_before_a_training():
    given = keras.Input((16, 16, 3), dtype="uint8")
    x = keras.layers.Conv2D(4, 3)(keras.layers.Rescaling(1 / 255)(given))
    check_exportable(keras.Model(given, keras.activations.gelu(x)), "it")
    model = keras.Model(given, keras.ops.erfinv(keras.layers.Conv2D(4, 3, groups=2)(x)))
    with pytest.raises(UserError, match=r"\(it computes Erfinv, a convolution in groups\)"):
        check_exportable(model, "it")
