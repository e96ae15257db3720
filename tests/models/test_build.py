import inspect

import keras
import numpy as np
import pytest
import yaml
from keras import layers
from lively import lively

from pawprint.config.compose import project_root
from pawprint.config.schema import UNREAD
from pawprint.export.onnx import export_onnx
from pawprint.inference.predictor import Predictor
from pawprint.models import build
from pawprint.models.build import ANY_SIZE, NETWORKS, build_model
from pawprint.models.head import pictures_input, probabilities_layer
from pawprint.system.errors import UserError

SETTINGS = {"depth": 1, "width": 2, "dense_units": 5, "dropout": 0.0}
TRANSFER = {"backbone": "MobileNet", "alpha": 0.25, "weights": "none"}
NAMES = sorted(path.stem for path in (project_root() / "conf" / "model").glob("*.yaml"))
OWN = ("article", "cnn", "resnet")


def pictures(count):
    return np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", NAMES)
def test_every_choice_of_conf_is_built_under_its_name(name):
    content = yaml.safe_load((project_root() / "conf" / "model" / f"{name}.yaml").read_text())
    given = {k: v for k, v in content.items() if k in ("width", "depth", "backbone", "alpha")}
    model = build_model(content["name"], 32, 2, **SETTINGS | given, weights="none")
    assert model.name == name
    assert model.output_shape == (None, 1)


@pytest.mark.parametrize("name", NAMES)
def test_the_keys_that_a_network_does_not_read_are_told(name):
    read = inspect.signature(NETWORKS[name]).parameters
    assert UNREAD.get(name, ()) == tuple(k for k in SETTINGS if k not in read)


def test_the_registry_and_the_files_of_conf_have_the_same_networks():
    assert sorted(NETWORKS) == NAMES
    with pytest.raises(TypeError):
        NETWORKS["vgg"] = NETWORKS["cnn"]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_exported_with_its_answers(name, tmp_path):
    model = build_model(name, 32, 3, **SETTINGS | {"width": 4}, **TRANSFER)
    model.set_weights([lively(weights) for weights in model.get_weights()])
    shown = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    export_onnx(model, tmp_path / "model.onnx", ["a", "b", "c"], shown)
    answers = Predictor(tmp_path / "model.onnx").probabilities(shown)
    np.testing.assert_allclose(answers, model(shown), atol=1e-4)


@pytest.mark.parametrize(("name", "key"), [("cnn", "width"), ("transfer", "backbone")])
def test_a_network_without_what_it_needs_is_refused(name, key):
    with pytest.raises(UserError, match=f"model.{key} has no value, which model={name} needs"):
        build_model(name, 32, 2, **{**SETTINGS, **TRANSFER, key: None})


def without_end(image_size, classes):
    pictures, x = pictures_input(image_size)
    return keras.Model(
        pictures, probabilities_layer(classes)(layers.GlobalMaxPooling2D()(x)), name="new"
    )


def with_gelu(image_size, classes):
    pictures, x = pictures_input(image_size)
    x = layers.Dense(4, activation="gelu", name="hidden")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(pictures, probabilities_layer(classes)(x), name="new")


def with_logits(image_size, classes):
    pictures, x = pictures_input(image_size)
    x = layers.Dense(classes, name="logits")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(pictures, x, name="new")


@pytest.mark.parametrize("image_size", [16, None])
@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (without_end, "new has 0 layers that end its pictures, not one"),
        (with_gelu, r"the gradient of hidden \(Dense\) is not written out"),
        (with_logits, "logits is neither one sigmoid unit nor a softmax over the classes"),
    ],
)
def test_a_network_that_could_not_be_exported_is_refused_before_it_is_trained(
    monkeypatch, function, reason, image_size
):
    monkeypatch.setattr(build, "NETWORKS", {"new": function})
    with pytest.raises(UserError, match=f"^model=new cannot be exported, .*: {reason}; change"):
        build_model("new", image_size, 2, **SETTINGS)


def test_building_draws_the_random_numbers_of_the_networks_weights_and_no_others():
    keras.utils.set_random_seed(0)
    expected = NETWORKS["cnn"](16, 2, depth=1, width=2, dropout=0.0).get_weights()
    after = keras.random.normal((3,))
    keras.utils.set_random_seed(0)
    weights = build_model("cnn", 16, 2, **SETTINGS).get_weights()
    for one, two in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(keras.random.normal((3,)), after)


def test_dense_units_reach_the_articles_network():
    assert build_model("article", 16, 2, **SETTINGS).get_layer("dense").units == 5


def test_an_unknown_name_is_refused_with_those_there_are():
    with pytest.raises(
        UserError, match="'no network', but the networks are article, cnn, "
    ) as caught:
        build_model("no network", 16, 2, **SETTINGS)
    assert all(name in str(caught.value) for name in NETWORKS)


@pytest.mark.parametrize("name", OWN)
def test_pictures_go_in_as_bytes_and_are_rescaled_inside(name):
    model = build_model(name, 16, 2, **SETTINGS)
    assert model.inputs[0].dtype == "uint8"
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    inside = np.asarray(model.get_layer("rescaling")(levels))
    np.testing.assert_allclose(inside, levels / 255, atol=1e-6)
    assert (inside.min(), inside.max()) == (0.0, 1.0)


@pytest.mark.parametrize("name", OWN)
def test_a_picture_is_answered_the_same_alone_and_among_others(name):
    model = build_model(name, 16, 3, **SETTINGS)
    together = model(pictures(5))
    alone = np.concatenate([model(pictures(5)[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(alone, together, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in OWN if name in ANY_SIZE])
def test_networks_for_any_size_are_built_without_one(name):
    model = build_model(name, None, 2, **SETTINGS)
    assert [model(pictures(2)[:, :side, :side]).shape for side in (16, 12)] == [(2, 1)] * 2


def test_one_that_is_not_for_any_size_is_not_called_so():
    assert set(OWN) - set(ANY_SIZE) == {"article"}
