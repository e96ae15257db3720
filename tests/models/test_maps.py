import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from pawprint.models.build import build_model
from pawprint.models.maps import with_maps
from pawprint.training.fit import seed_everything

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


def logits_of(model, features):
    """What the layers behind the pictures of features make of them, before the probabilities."""
    place = next(
        i
        for i, layer in enumerate(model.layers)
        if isinstance(layer, layers.GlobalAveragePooling2D | layers.Flatten)
    )
    x = features
    for layer in model.layers[place:-1]:
        x = layer(x, training=False) if isinstance(layer, layers.BatchNormalization) else layer(x)
    last = model.layers[-1]
    return x @ last.kernel + last.bias


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", SHAPES)
def test_maps_are_features_times_the_gradient_that_tensorflow_finds(name, classes):
    model, pictures = build(name, classes), noise(3)
    pooling = next(
        layer
        for layer in model.layers
        if isinstance(layer, layers.GlobalAveragePooling2D | layers.Flatten)
    )
    features = tf.cast(keras.Model(model.inputs[0], pooling.input)(pictures), "float32")
    expected = []
    for index in range(classes):
        with tf.GradientTape() as tape:
            tape.watch(features)
            logits = logits_of(model, features)
            if classes == 2:
                chosen = logits[:, 0] * (1 if index else -1)
            else:
                chosen = logits[:, index] - tf.reduce_mean(logits, axis=1)
        expected.append(tf.reduce_sum(features * tape.gradient(chosen, features), axis=-1))
    _, maps = with_maps(model)(pictures)
    np.testing.assert_allclose(maps, tf.stack(expected, axis=-1), rtol=1e-3, atol=1e-6)
    assert np.ptp(maps) > 1e-4


def test_under_average_pooling_a_map_sums_up_to_the_logit_without_its_bias():
    model, pictures = build("cnn", 3), noise(4)
    _, maps = with_maps(model)(pictures)
    before = keras.Model(model.inputs[0], model.layers[-2].output)(pictures)
    logits = np.asarray(before @ model.layers[-1].kernel)
    expected = logits - logits.mean(axis=1, keepdims=True)
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
