import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from pawprint.models.attention_maps import with_maps
from pawprint.models.build import build_model
from pawprint.training.loop import seed_everything

SIDE = 32
SHAPES = {
    "article": {"depth": 2, "width": 8},
    "cnn": {"depth": 3, "width": 8},
    "resnet": {"depth": 2, "width": 8},
    "transfer": {"depth": 1, "width": None, "backbone": "MobileNet", "alpha": 0.25},
}


def build(name, classes, side=SIDE):
    seed_everything(0)
    more = {"weights": "none"} if name == "transfer" else {}
    model = build_model(name, side, classes, dense_units=16, dropout=0.2, **SHAPES[name], **more)
    random = np.random.default_rng(0)
    if name == "transfer":  # random weights would leave nothing of a picture
        for layer in model.get_layer("backbone").layers:
            if isinstance(layer, layers.BatchNormalization):
                layer.moving_variance.assign(random.uniform(0.02, 0.06, layer.gamma.shape))
    for layer in model.layers:  # moving statistics as after some training
        if isinstance(layer, layers.BatchNormalization):
            layer.moving_variance.assign(random.uniform(0.5, 2, layer.moving_variance.shape))
            layer.moving_mean.assign(random.normal(0, 0.1, layer.moving_mean.shape))
    return model


def noise(count, side=SIDE):
    return np.random.default_rng(1).integers(0, 256, (count, side, side, 3)).astype(np.uint8)


def expected_maps(model, layer, pictures):
    """Features that come out of a layer times the gradient that TensorFlow finds for them."""
    place = model.layers.index(layer) + 1
    output = model.layers[place].input  # a model inside the model has an output of its own
    features = tf.cast(keras.Model(model.inputs[0], output)(pictures), "float32")
    values = {id(output): keras.Input(output.shape[1:])}
    for later in model.layers[place:-1]:
        given = later.input if isinstance(later.input, list) else [later.input]
        given = [values[id(tensor)] for tensor in given]
        values[id(later.output)] = later(given if len(given) > 1 else given[0])
    rest = keras.Model(values[id(output)], values[id(model.layers[-2].output)])
    last = model.layers[-1]
    with tf.GradientTape() as tape:
        tape.watch(features)
        logits = rest(features, training=False) @ last.kernel + last.bias
        if logits.shape[-1] == 1:
            chosen = tf.abs(logits)
        else:
            chosen = tf.reduce_max(logits, axis=1) - tf.reduce_mean(logits, axis=1)
    return tf.reduce_sum(features * tape.gradient(chosen, features), axis=-1).numpy()


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    ("name", "side", "layer", "places"),
    [
        ("article", 32, "convolution_1", 13),  # pooled they are 6
        ("article", 48, "pooling_1", 10),
        ("cnn", 32, "relu_1", 8),
        ("cnn", 39, "relu_1", 9),  # pooling leaves a row and a column out
        ("resnet", 32, "residual_0_relu", 8),
        ("transfer", 64, "backbone", 2),
    ],
)
def test_maps_are_features_times_the_gradient_that_tensorflow_finds(
    name, side, layer, places, classes
):
    model, pictures = build(name, classes, side), noise(3, side)
    expected = expected_maps(model, model.get_layer(layer), pictures)
    _, maps = with_maps(model)(pictures)
    assert maps.shape == (3, places, places)
    largest = np.abs(expected).max()
    np.testing.assert_allclose(maps, expected, rtol=1e-3, atol=1e-4 * largest)
    assert largest > 1e-6


@pytest.mark.parametrize("classes", [2, 3])
def test_the_map_of_a_mirrored_answer_is_the_mean_of_both_turned_back(classes):
    model, pictures = build("cnn", classes), noise(6)
    answers, maps = with_maps(model, mirror=True)(pictures)
    one, here = with_maps(model)(pictures)
    other, there = with_maps(model)(pictures[:, :, ::-1])
    np.testing.assert_allclose(answers, (one + other) / 2, atol=1e-6)
    same = np.argmax(one, axis=1) == np.argmax(other, axis=1)
    assert same.any()  # else each of the two speaks for another class
    mean = (np.asarray(here) + np.asarray(there)[:, :, ::-1]) / 2
    np.testing.assert_allclose(np.asarray(maps)[same], mean[same], atol=1e-5)


def test_under_average_pooling_the_last_features_map_sums_up_to_the_logit_without_its_bias():
    model, pictures = build("cnn", 3, side=64), noise(4, side=64)
    _, maps = with_maps(model)(pictures)
    before = keras.Model(model.inputs[0], model.layers[-2].output)(pictures)
    logits = np.asarray(before @ model.layers[-1].kernel)
    answers = np.asarray(model(pictures)).argmax(axis=1)
    expected = logits[np.arange(4), answers] - logits.mean(axis=1)
    np.testing.assert_allclose(np.asarray(maps).sum(axis=(1, 2)), expected, atol=1e-4)


def test_probabilities_are_those_of_the_network_one_for_each_class():
    model, pictures = build("resnet", 2), noise(4)
    probabilities, _ = with_maps(model)(pictures)
    second = model(pictures)
    expected = np.concatenate([1 - second, second], axis=1)
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)


def test_a_head_whose_gradient_is_not_known_is_refused():
    pictures = keras.Input((8, 8, 3), dtype="uint8")
    x = layers.GlobalAveragePooling2D()(layers.Rescaling(1 / 255)(pictures))
    x = layers.Dense(4, activation="gelu")(x)
    model = keras.Model(pictures, layers.Dense(2, activation="softmax")(x))
    with pytest.raises(ValueError, match="gradient of dense"):
        with_maps(model)
