import logging
import socket
import urllib.request
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from lively import lively

from pawprint.config.compose import project_root
from pawprint.export.onnx import export_onnx
from pawprint.inference.predictor import Predictor
from pawprint.models.backbone import exportable, pixels_of, preprocessing, statistics
from pawprint.models.transfer import (
    features_model,
    head_model,
    rate_factors,
    transfer,
    unfreeze,
)
from pawprint.system.errors import UserError

SMALL = {
    "backbone": "MobileNet",
    "alpha": 0.25,
    "weights": "none",
    "dense_units": 8,
    "dropout": 0.2,
}
IMAGENET = project_root() / "../shared/weights/mobilenet_2_5_224_tf_no_top.h5"


def build(image_size=32, classes=2, **changes):
    """A small one; the same weights each time."""
    keras.utils.set_random_seed(0)
    model = transfer(image_size, classes, **{**SMALL, **changes})
    backbone = model.get_layer("backbone")
    if {**SMALL, **changes}["weights"] == "none":
        backbone.set_weights([lively(weights) for weights in backbone.get_weights()])
    return model


def pictures(count, seed=0, side=32):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def learn(model, x, y, steps=1):
    loss = "binary_crossentropy" if model.output_shape[-1] == 1 else "mean_squared_error"
    model.compile(keras.optimizers.SGD(0.1), loss=loss, jit_compile=False)
    for _ in range(steps):
        model.train_on_batch(x, y)


@pytest.fixture(scope="module")
def model():
    """Frozen; no test may change it."""
    model = build(classes=3)
    unfreeze(model, 0)
    return model


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A backbone of keras.applications and the files that its weights are in."""
    keras.utils.set_random_seed(1)
    backbone = keras.applications.MobileNet(
        include_top=False, weights=None, alpha=0.25, input_shape=(32, 32, 3)
    )
    backbone.set_weights([lively(weights) for weights in backbone.get_weights()])
    folder = tmp_path_factory.mktemp("weights")
    logging.getLogger("absl").setLevel(logging.ERROR)  # which warns that .h5 is old
    backbone.save(folder / "old.h5")
    backbone.save_weights(folder / "new.weights.h5")
    return backbone, folder


def test_its_parts_have_their_names_in_this_order(model):
    body = ["pictures", "preprocessing", "backbone", "average"]
    head = ["normalisation", "dropout_before", "dense", "dropout_after", "probabilities"]
    assert [layer.name for layer in model.layers] == body + head
    assert model.name == "transfer"
    assert model.inputs[0].dtype == "uint8"
    assert model.input_shape == (None, 32, 32, 3)
    assert model.get_layer("dropout_before").rate == 0.2
    assert model.get_layer("dropout_after").rate == 0.2


def test_two_classes_are_one_unit_and_more_a_unit_each(model):
    for network, units in ((build(), 1), (model, 3)):
        answers = np.asarray(network(pictures(3)))
        assert (answers.shape, answers.dtype) == ((3, units), np.float32)
        assert ((answers > 0) & (answers < 1)).all()


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("MobileNet", "mobilenet"),  # -1 to 1
        ("ResNet50", "resnet"),  # blue, green, red, minus the mean
        ("DenseNet121", "densenet"),  # mean and deviation
        ("EfficientNetV2B0", "efficientnet_v2"),  # its own first layers do it
    ],
)
def test_pixels_are_preprocessed_as_keras_applications_does(name, module, texture):
    pixels = np.stack([np.asarray(texture(seed, (24, 24))) for seed in range(3)])
    given = keras.Input((24, 24, 3), dtype="uint8")
    answers = np.asarray(keras.Model(given, preprocessing(given, pixels_of(name)))(pixels))
    expected = getattr(keras.applications, module).preprocess_input(pixels.astype(np.float32))
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers, expected, atol=2e-5)


@pytest.mark.parametrize("name", ["old.h5", "new.weights.h5"])
def test_the_backbone_is_the_one_of_keras_applications_with_the_weights_of_a_file(saved, name):
    backbone, folder = saved
    own = build(weights=str(folder / name))
    for one, two in zip(own.get_layer("backbone").weights, backbone.weights, strict=True):
        np.testing.assert_array_equal(one, two)
    pixels = pictures(4)
    seen = backbone(keras.applications.mobilenet.preprocess_input(pixels.astype(np.float32)))
    expected = np.asarray(seen).mean(axis=(1, 2))
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(features_model(own)(pixels), expected, atol=1e-4)


@pytest.mark.skipif(not IMAGENET.is_file(), reason=f"{IMAGENET} is not there")
def test_imagenets_weights_fit():
    backbone = build(weights=str(IMAGENET)).get_layer("backbone")
    assert np.ptp(backbone.get_layer("conv1_bn").moving_variance) > 0  # random ones are all 1


def test_the_head_on_features_answers_as_the_whole_model(model):
    features = features_model(model)(pictures(5))
    assert features.dtype == "float32"
    assert features.shape == (5, 256)
    np.testing.assert_array_equal(head_model(model)(features), model(pictures(5)))


def test_training_the_head_trains_the_model_and_no_feature():
    model, x, y = build(), pictures(8), np.arange(8).reshape(8, 1) % 2
    before, extractor = np.asarray(model(x)), features_model(model)
    features = np.asarray(extractor(x))
    head = head_model(model)
    learn(head, features, y)
    assert np.abs(np.asarray(model(x)) - before).max() > 1e-4
    np.testing.assert_array_equal(head(features), model(x))
    np.testing.assert_array_equal(extractor(x), features)


def test_the_last_share_of_the_backbones_layers_learns(model, tmp_path):
    model.save(tmp_path / "model.keras")
    for own in (build(), keras.saving.load_model(tmp_path / "model.keras")):
        backbone, head = own.get_layer("backbone"), own.get_layer("probabilities")
        weighty = [layer for layer in backbone.layers if layer.weights]
        assert len(weighty) == 54
        for share, number in ((0.25, 14), (1, 54), (0.001, 1), (0.5, 27), (0, 0)):
            assert unfreeze(own, share) == number
            learn = {id(variable) for variable in own.trainable_variables}
            found = [any(id(v) in learn for v in layer.variables) for layer in weighty]
            assert found == [False] * (54 - number) + [True] * number
            assert {id(v) for v in head.trainable_variables} <= learn


def test_learning_rates_rise_by_equal_ratios_from_the_first_layer_to_the_head():
    model = build()
    unfreeze(model, 1)
    factors = rate_factors(model, 0.1)
    assert factors[0] == pytest.approx(0.1)
    assert factors == sorted(factors)
    layer_by_layer = sorted(set(factors))
    assert len(layer_by_layer) == 55  # layers with weights, and the head
    assert np.divide(layer_by_layer[1:], layer_by_layer[:-1]) == pytest.approx(10 ** (1 / 54))
    assert factors[-6:] == [1.0] * 6
    unfreeze(model, 0.02)
    assert rate_factors(model, 0.1)[0] == pytest.approx(0.1)


def test_without_a_size_it_takes_pictures_of_any(model):
    free = build(None, classes=3)
    free.set_weights(model.get_weights())
    np.testing.assert_allclose(free(pictures(3)), model(pictures(3)), atol=1e-6)
    assert free(pictures(2, side=40)).shape == (2, 3)


def test_the_backbone_is_frozen_at_first(model):
    assert model.trainable_variables == head_model(model).trainable_variables
    assert len(model.trainable_variables) == 6  # scale and offset, two layers' kernels and biases


def test_fine_tuning_changes_what_is_unfrozen_statistics_too_and_nothing_else():
    model = build()
    unfreeze(model, 0.5)
    backbone = model.get_layer("backbone")
    before = [np.asarray(variable) for variable in backbone.variables]
    learn(model, pictures(8), np.arange(8).reshape(8, 1) % 2)
    changed = {
        variable.path
        for variable, old in zip(backbone.variables, before, strict=True)
        if (np.asarray(variable) != old).any()
    }
    learning = {v.path for layer in backbone.layers if layer.trainable for v in layer.variables}
    assert changed <= learning
    statistics = {"moving_mean", "moving_variance"}
    assert {p.rsplit("/")[-1] for p in changed} == {"kernel", "gamma", "beta", *statistics}
    assert "conv1/kernel" not in changed


def test_statistics_that_move_do_so_within_some_tens_of_steps():
    model = build()
    unfreeze(model, 1)
    normalisation = model.get_layer("backbone").get_layer("conv1_bn")
    assert normalisation.momentum == 0.9


@pytest.mark.parametrize(
    ("backbone", "alpha"),
    [("MobileNet", 0.25), ("EfficientNetB0", None)],  # the second would drop whole branches
)
def test_nothing_of_a_learning_backbone_is_dropped_at_random(backbone, alpha):
    model = build(backbone=backbone, alpha=alpha)
    unfreeze(model, 1)
    extractor = features_model(model)
    seen = [np.asarray(extractor(pictures(4), training=True)) for _ in range(2)]
    np.testing.assert_array_equal(*seen)


def test_a_frozen_backbone_sees_the_same_while_the_head_learns(model):
    extractor = features_model(model)
    seen = [np.asarray(extractor(pictures(4), training=training)) for training in (True, False)]
    np.testing.assert_array_equal(*seen)


def test_it_is_saved_and_loaded_in_safe_mode(model, tmp_path):
    head_model(model)  # shares layers, and is not saved with it
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(again(pictures(3)), model(pictures(3)))
    features = features_model(again)(pictures(3))
    np.testing.assert_array_equal(features, features_model(model)(pictures(3)))
    np.testing.assert_array_equal(head_model(again)(features), model(pictures(3)))


def test_its_onnx_export_agrees(tmp_path):
    model = build()
    export_onnx(model, tmp_path / "model.onnx", ["cats", "dogs"], pictures(4))
    answers = Predictor(tmp_path / "model.onnx").probabilities(pictures(6, seed=1))
    np.testing.assert_allclose(answers[:, 1:], model(pictures(6, seed=1)), atol=1e-4)
    assert np.ptp(answers) > 0.01


def normalising(**arguments):
    """A tiny backbone that normalises its pixels, as those of EfficientNet do."""
    pixels = keras.Input((8, 8, 3), name="pixels")
    x = layers.Rescaling(1 / 255)(pixels)
    x = layers.Normalization(name="normalisation", **arguments)(x)
    return keras.Model(pixels, layers.Conv2D(4, 3, name="convolution")(x))


def test_channel_order_and_normalisation_reach_the_exported_network(tmp_path):
    given = keras.Input((8, 8, 3), dtype="uint8", name="pictures")
    tiny = normalising(mean=[0.1, 0.2, 0.3], variance=[0.5, 0.6, 0.7])
    plain = exportable(tiny)
    x = layers.GlobalAveragePooling2D()(plain(preprocessing(given, pixels_of("ResNet50"))))
    model = keras.Model(given, layers.Dense(3, activation="softmax")(x))
    export_onnx(model, tmp_path / "model.onnx", ["a", "b", "c"], pictures(4, side=8))
    answers = Predictor(tmp_path / "model.onnx").probabilities(pictures(4, side=8))
    assert np.ptp(answers, axis=0).max() > 0.001
    np.testing.assert_allclose(answers, model(pictures(4, side=8)), atol=1e-5)


def test_a_backbone_without_normalization_layers_answers_the_same():
    tiny = normalising(mean=[0.1, 0.2, 0.3], variance=[0.5, 1, 2])
    plain = exportable(tiny)
    assert not any(isinstance(layer, layers.Normalization) for layer in plain.layers)
    pixels = {"pixels": pictures(4, side=8).astype(np.float32)}
    np.testing.assert_allclose(plain(pixels), tiny(pixels), atol=1e-5)


@pytest.mark.parametrize(("weights", "power"), [("none", 1.0), ("imagenet", 0.5)])
@pytest.mark.parametrize("empty", [False, True])
def test_efficientnets_normalise_by_imagenet_whatever_their_weights(weights, power, empty):
    tiny, mean, deviation = normalising(), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    if not empty:  # deviations for variances, as in ImageNet's file
        stored = [np.array(mean), np.array(deviation), np.array(0)]
        tiny.get_layer("normalisation").set_weights(stored)
    plain = exportable(tiny, statistics(weights))
    assert len(plain.weights) == 2  # those of the convolution
    pixels = pictures(2, side=8).astype(np.float32)
    seen = keras.Model(plain.inputs[0], plain.get_layer("normalisation").output)(pixels)
    expected = (pixels / 255 - mean) / np.power(deviation, power)
    np.testing.assert_allclose(seen, expected, atol=1e-4)


def test_in_bfloat16_features_and_answers_are_still_float32(model):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = build(classes=3)
    finally:
        keras.config.set_dtype_policy("float32")
    assert half.get_layer("backbone").output.dtype == "bfloat16"
    assert half.get_layer("average").compute_dtype == "float32"
    for one, two in ((half, model), (features_model(half), features_model(model))):
        answers, exact = np.asarray(one(pictures(4))), np.asarray(two(pictures(4)))
        assert answers.dtype == np.float32
        np.testing.assert_allclose(answers, exact, atol=0.1 * np.abs(exact).max())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "mobilenet_v2"}, "'mobilenet_v2', which .* did you mean MobileNetV2"),
        ({"backbone": "zzz"}, "choose one of ConvNeXtBase, .*MobileNet, .*a .keras file"),
        ({"backbone": "imagenet_utils"}, "which keras.applications does not have"),
        ({"backbone": "ResNet50"}, "model.alpha is 0.25, but ResNet50 has no alpha"),
        ({"image_size": 16}, "image_size is 16, .* MobileNet needs pictures of at least 32"),
        ({"alpha": 0.001}, "image_size 32, model.alpha 0.001 and model.weights none .*filters"),
        ({"alpha": 0.3, "weights": "imagenet"}, "model.weights imagenet .*alpha can be one of"),
        ({"weights": "nowhere.h5"}, "model.weights is nowhere.h5, which is not a file"),
        ({"weights": "Imagenet"}, "set it to imagenet, none or a .h5 file"),
    ],
)
def test_a_mistake_is_one_sentence(changes, message):
    with pytest.raises(UserError, match=message) as caught:
        build(**changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("old.h5", {"alpha": 0.5}),
        ("new.weights.h5", {"alpha": 0.5}),
        ("truncated.h5", {}),
        ("truncated.weights.h5", {}),
        ("text.txt", {}),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_file_that_does_not_fit_is_named(saved, tmp_path, name, changes):
    folder = saved[1]
    path = folder / name
    if not path.exists():
        path = tmp_path / name
        whole = {"truncated.h5": "old.h5", "truncated.weights.h5": "new.weights.h5"}.get(name)
        path.write_bytes((folder / whole).read_bytes()[:300_000] if whole else b"no weights" * 99)
    with pytest.raises(UserError, match=r"does not fit model\.backbone MobileNet") as caught:
        build(weights=str(path), **changes)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_with_weights_that_are_no_numbers_is_named(saved, tmp_path):
    spoilt = keras.models.clone_model(saved[0])
    spoilt.set_weights([weights * np.nan for weights in saved[0].get_weights()])
    path = tmp_path / "spoilt.weights.h5"
    spoilt.save_weights(path)
    with pytest.raises(UserError, match="has weights that are no numbers") as caught:
        build(weights=str(path))
    assert str(path) in str(caught.value)


@pytest.mark.skipif(
    (Path.home() / ".keras/models/mobilenet_5_0_160_tf_no_top.h5").exists(),
    reason="Keras has these weights already",
)
def test_a_failed_download_says_so_and_what_to_do(monkeypatch, capsys):
    with socket.socket() as free:  # a port where nobody answers
        free.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{free.getsockname()[1]}"
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"https": proxy}))
    monkeypatch.setattr(urllib.request, "_opener", opener)
    with pytest.raises(UserError, match="could not be downloaded") as caught:
        build(160, alpha=0.5, weights="imagenet")
    assert "weights of MobileNet" in str(caught.value)
    assert "set model.weights to a .h5 file" in str(caught.value)
