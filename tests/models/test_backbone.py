"""Networks that somebody saved, as backbones."""

import zipfile

import keras
import numpy as np
import pytest
from keras import layers
from keras.src.applications.convnext import LayerScale
from lively import lively

from pawprint.export.onnx import export_onnx
from pawprint.inference.predictor import Explainer, Predictor
from pawprint.models.backbone import PIXELS, Pixels, exportable, load_backbone, preprocessing
from pawprint.models.build import build_model
from pawprint.models.transfer import features_model, transfer, unfreeze
from pawprint.system.errors import UserError

LITE = {"pixels": "lite", "weights": "imagenet", "dense_units": 4, "dropout": 0.0}


def pictures(count, side=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def convolutions(size=None, dtype="float32"):
    """A small network from pictures to maps, as its input and its output."""
    given = keras.Input((size, size, 3), dtype=dtype)
    x = layers.Rescaling(1.0)(given) if dtype == "uint8" else given
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.BatchNormalization()(x)
    return given, layers.Conv2D(6, 3, strides=2, padding="same", activation="relu")(x)


def nested(model, **arguments):
    """The model in another one, as in Keras's guide to transfer learning."""
    given = keras.Input(model.input_shape[1:])
    return keras.Model(given, layers.Dense(5, name="top")(model(given, **arguments)))


def modern(size=32):
    """As ConvNeXt is built: a group per channel, layer norm, exact GELU, layer scale, residues."""
    given = keras.Input((size, size, 3))
    x = layers.Normalization(mean=[120.0, 110.0, 100.0], variance=[60.0, 50.0, 40.0])(given)
    stem = [layers.Conv2D(8, 4, strides=4), layers.LayerNormalization(epsilon=1e-6)]
    x = keras.Sequential(stem, name="stem")(x)
    for _ in range(2):
        y = layers.Conv2D(8, 7, padding="same", groups=8)(x)
        y = layers.LayerNormalization(epsilon=1e-6)(y)
        y = layers.Activation("gelu")(layers.Dense(32)(y))
        x = layers.Add()([x, LayerScale(0.5, 8)(layers.Dense(8)(y))])
    return keras.Model(given, layers.LayerNormalization(epsilon=1e-6)(x), name="modern")


def saved(model, folder, name="somebody.keras"):
    model.set_weights([lively(weights) for weights in model.get_weights()])
    model.save(folder / name)
    return str(folder / name)


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)


@pytest.mark.parametrize(
    "top",
    [
        lambda given, maps: keras.Model(given, maps),
        lambda given, maps: keras.Model(given, layers.GlobalAveragePooling2D()(maps)),
        lambda given, maps: keras.Model(
            given, layers.Dense(5)(layers.GlobalAveragePooling2D()(maps))
        ),
        lambda given, maps: keras.Sequential(
            [keras.Model(given, maps), layers.GlobalAveragePooling2D(), layers.Dense(5)]
        ),
        lambda given, maps: nested(
            keras.Model(given, layers.GlobalAveragePooling2D()(maps)), training=False
        ),
    ],
    ids=["maps", "pooled", "with its top", "sequential", "nested"],
)
def test_the_backbone_is_what_comes_before_the_pooling(top, tmp_path):
    given, maps = convolutions()
    whole = top(given, maps)
    file = saved(whole, tmp_path)
    model = transfer(32, 3, backbone=file, **LITE)
    expected = np.asarray(keras.Model(given, maps)((pictures(4) - 127.0) / 128)).mean((1, 2))
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(features_model(model)(pictures(4)), expected, atol=1e-5)


@pytest.mark.parametrize("top", [False, True])
def test_pooling_of_squeeze_and_excitation_is_not_the_end(top, tmp_path):
    given, x = convolutions()
    for keepdims in (False, True):
        y = layers.GlobalAveragePooling2D(keepdims=keepdims)(x)
        y = layers.Dense(6, activation="sigmoid")(layers.Reshape((1, 1, 6))(y))
        x = layers.Multiply()([x, y])
    whole = keras.Model(given, layers.GlobalAveragePooling2D(keepdims=True)(x) if top else x)
    file = saved(whole, tmp_path)
    features = features_model(transfer(32, 3, backbone=file, **LITE))(pictures(4))
    expected = np.asarray(keras.Model(given, x)((pictures(4) - 127.0) / 128)).mean((1, 2))
    np.testing.assert_allclose(features, expected, atol=1e-5)


def test_layers_of_a_model_in_a_model_learn_one_by_one_whatever_they_are_called(tmp_path):
    inner = keras.Model(*convolutions())
    given = keras.Input((32, 32, 3))
    x = layers.Conv2D(4, 1, name=inner.layers[-1].name)(inner(given))
    model = transfer(32, 3, backbone=saved(keras.Model(given, x), tmp_path), **LITE)
    assert unfreeze(model, 0.5) == 2
    learning = [layer.name for layer in model.get_layer("backbone").layers if layer.trainable]
    assert learning[-2:] == [inner.layers[-1].name, f"{inner.layers[-1].name}_"]


@pytest.mark.parametrize("size", [32, None])
def test_a_network_for_another_size_is_built_for_this_one(size, tmp_path):
    given, maps = convolutions(64)
    file = saved(keras.Model(given, maps), tmp_path)
    body, _ = load_backbone(size, file, alpha=None, weights="imagenet")
    free = keras.Model(*convolutions())
    free.set_weights(keras.models.load_model(file).get_weights())
    pixels = pictures(2).astype(np.float32)
    np.testing.assert_allclose(body(pixels), free(pixels), atol=1e-5)


def test_random_weights_are_of_the_same_layers(tmp_path):
    file = saved(keras.Model(*convolutions()), tmp_path)
    body, other = (load_backbone(32, file, alpha=None, weights=w)[0] for w in ("imagenet", "none"))
    assert [w.shape for w in body.weights] == [w.shape for w in other.weights]
    assert not np.allclose(body.weights[0], other.weights[0])


@pytest.mark.parametrize("name", PIXELS)
def test_pixels_are_scaled_by_the_name_of_the_way(name, tmp_path):
    given = keras.Input((8, 8, 3), dtype="uint8")
    scaled = keras.Model(given, preprocessing(given, PIXELS[name]))
    pixels = pictures(2, 8)
    expected = {
        "as_they_are": pixels,
        "zero_to_one": pixels / 255,
        "minus_one_to_one": pixels / 127.5 - 1,
        "imagenet": (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225],
        "lite": (pixels - 127.0) / 128,
    }[name]
    np.testing.assert_allclose(scaled(pixels), expected, atol=1e-5)


def test_pixels_are_scaled_as_scale_and_offset_say():
    given = keras.Input((8, 8, 3), dtype="uint8")
    scaled = keras.Model(given, preprocessing(given, Pixels(0.5, -3)))
    np.testing.assert_allclose(scaled(pictures(2, 8)), pictures(2, 8) * 0.5 - 3, atol=1e-5)


def test_a_network_that_scales_pixels_itself_sees_them_as_they_are(tmp_path):
    file = saved(keras.Model(*convolutions(dtype="uint8")), tmp_path)
    model = transfer(32, 2, backbone=file, **LITE | {"pixels": None})
    maps = keras.models.load_model(file)(pictures(3))
    features = features_model(model)(pictures(3))
    np.testing.assert_allclose(features, np.asarray(maps).mean((1, 2)), atol=1e-5)


def test_a_network_of_ours_is_a_backbone(tmp_path):
    settings = {"depth": 2, "width": 4, "dropout": 0.1}
    file = saved(build_model("resnet", 32, 2, **settings), tmp_path)
    model = transfer(32, 3, backbone=file, **LITE | {"pixels": None})
    assert features_model(model)(pictures(2)).shape == (2, 8)


def test_groups_become_convolutions_of_their_own_and_normalization_a_scaling():
    given = keras.Input((16, 16, 4))
    x = layers.Conv2D(8, 3, groups=4, strides=2, activation="relu")(given)
    plain = keras.Model(given, x)
    own = exportable(plain)
    assert isinstance(own.layers[-1], layers.DepthwiseConv2D)
    x = np.random.default_rng(0).normal(size=(2, 16, 16, 4)).astype(np.float32)
    np.testing.assert_allclose(own(x), plain(x), atol=1e-5)
    plain = keras.Model(given, layers.Conv2D(8, 3, groups=2, activation="relu")(given))
    np.testing.assert_allclose(exportable(plain)(x), plain(x), atol=1e-5)
    adapted = keras.Sequential([keras.Input((8, 8, 3)), layers.Normalization()])
    adapted.layers[0].adapt(pictures(4, 8).astype(np.float32))
    plain = keras.Model(adapted.inputs, adapted.outputs)
    pixels = pictures(2, 8).astype(np.float32)
    np.testing.assert_allclose(exportable(plain)(pixels), plain(pixels), atol=1e-5)


def test_a_modern_network_learns_is_exported_and_explained(tmp_path):
    settings = {"backbone": saved(modern(), tmp_path), **LITE, "pixels": None}
    model = build_model("transfer", 32, 3, **settings)
    assert unfreeze(model, 1) > 5
    before = model.get_weights()
    model.compile(keras.optimizers.SGD(0.1), "categorical_crossentropy", jit_compile=False)
    model.train_on_batch(pictures(6), np.eye(3)[[0, 1, 2, 0, 1, 2]])
    moved = [not np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True)]
    assert sum(moved) > 20
    expected = export_onnx(model, tmp_path / "model.onnx", ["a", "b", "c"], pictures(4))
    answers = Predictor(tmp_path / "model.onnx").probabilities(pictures(4))
    np.testing.assert_allclose(answers, expected, atol=1e-4)
    maps = Explainer(tmp_path / "model.onnx").maps(pictures(2))
    assert maps.shape == (2, 8, 8)
    assert np.ptp(maps) > 0


def unlike_a_network(folder, kind):
    file = folder / "broken.keras"
    if kind == "text":
        file.write_text("no network")
    elif kind == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("notes.txt", "no network")
    elif kind == "truncated":
        whole = folder / saved(keras.Model(*convolutions()), folder, "whole.keras")
        file.write_bytes(whole.read_bytes()[:2000])
    elif kind == "own layer":
        given, maps = convolutions()

        class Own(layers.Layer):
            def call(self, x):
                return x

        keras.Model(given, Own()(maps)).save(file)
    elif kind == "flat":
        given, maps = convolutions(32)
        keras.Model(given, layers.Dense(3)(layers.Flatten()(maps))).save(file)
    elif kind == "words":
        given = keras.Input((7,))
        keras.Model(given, layers.Dense(3)(given)).save(file)
    elif kind == "not a number":
        model = keras.Model(*convolutions())
        model.set_weights([weights * np.nan for weights in model.get_weights()])
        model.save(file)
    elif kind == "one size":
        given, maps = convolutions(64)
        x = layers.Reshape((256, 6))(maps)
        keras.Model(given, layers.Reshape((16, 16, 6))(x)).save(file)
    return str(file)


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("missing", "which is not a file; set it to a .keras file that is there"),
        ("text", "is no network as Keras saves it"),
        ("zip", "is no network as Keras saves it"),
        ("truncated", "is no network as Keras saves it"),
        ("own layer", "cannot be read .*; it must be of Keras's own layers"),
        ("flat", "without GlobalAveragePooling2D, .* save it without its top"),
        ("words", "not pictures"),
        ("not a number", "has weights that are no numbers"),
        ("one size", "made for pictures of 64 × 64 pixels .* set image_size=64"),
    ],
)
def test_what_is_no_backbone_is_one_sentence(kind, sentence, tmp_path):
    with pytest.raises(UserError, match=sentence) as caught:
        transfer(32, 2, backbone=unlike_a_network(tmp_path, kind), **LITE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"pixels": None}, "does not say how it wants to see pixels; set model.pixels to as_they"),
        ({"alpha": 0.5}, "model.alpha is 0.5, but the width of .* is its own"),
    ],
)
def test_a_setting_that_does_not_fit_a_file_is_one_sentence(changes, sentence, tmp_path):
    file = saved(keras.Model(*convolutions()), tmp_path)
    with pytest.raises(UserError, match=sentence):
        transfer(32, 2, backbone=file, **LITE | changes)
