import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from pawprint.models.build import build_model
from pawprint.training.batch_norm import FusedBatchNormalization, with_fused_normalisation

ARGUMENTS = {"momentum": 0.8, "epsilon": 1e-3}


def pictures(shape=(6, 5, 5, 3)):
    return np.random.default_rng(0).normal(3, 2, shape).astype(np.float32)


def learned(kind, x, precision="float32", **arguments):
    """Output, gradients and moving statistics of a step."""
    layer = kind(dtype=keras.DTypePolicy(precision), **ARGUMENTS, **arguments)
    layer.build(x.shape)
    for weight, value in zip(layer.trainable_weights, ([2.0, 0.5, 1.0], [0.1, 0, -1]), strict=True):
        weight.assign(value)
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
        total = tf.reduce_sum(tf.cast(y, tf.float32) ** 3)
    gradients = tape.gradient(total, [x, *[w.value for w in layer.trainable_weights]])
    moving = [w.numpy() for w in layer.non_trainable_weights]
    return [np.asarray(tf.cast(part, tf.float32)) for part in (y, *gradients, *moving)]


def test_a_step_is_that_of_keras():
    ours, theirs = (
        learned(kind, pictures()) for kind in (FusedBatchNormalization, layers.BatchNormalization)
    )
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


def test_scale_and_offset_may_be_missing_as_in_inception():
    x = pictures()
    outputs = []
    for kind in (FusedBatchNormalization, layers.BatchNormalization):
        layer = kind(scale=False, center=False, **ARGUMENTS)
        outputs.append(layer(x, training=True))
    np.testing.assert_allclose(*outputs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_keeps_statistics_in_float32(precision):
    ours, exact = (
        learned(FusedBatchNormalization, pictures(), precision),
        learned(layers.BatchNormalization, pictures()),
    )
    np.testing.assert_allclose(ours[0], exact[0], rtol=0.02, atol=0.05)
    for one, other in zip(ours[-2:], exact[-2:], strict=True):
        np.testing.assert_allclose(one, other, rtol=5e-3)


def test_it_is_really_one_operation():
    layer = FusedBatchNormalization()
    layer.build((None, 4, 4, 3))
    call = tf.function(lambda x: layer(x, training=True))
    graph = call.get_concrete_function(tf.TensorSpec((None, 4, 4, 3))).graph
    assert "FusedBatchNormV3" in {op.type for op in graph.get_operations()}


@pytest.mark.parametrize(("shape", "axis"), [((6, 3), -1), ((6, 3, 5, 5), 1)])
def test_what_is_no_picture_with_its_channels_last_goes_the_way_of_keras(shape, axis):
    ours, theirs = (
        learned(kind, pictures(shape), axis=axis)
        for kind in (FusedBatchNormalization, layers.BatchNormalization)
    )
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_frozen_one_keeps_its_statistics():
    layer = FusedBatchNormalization(**ARGUMENTS)
    layer.build((None, 5, 5, 3))
    layer.trainable = False
    y = layer(pictures(), training=True)
    np.testing.assert_allclose(y, pictures(), rtol=1e-3)
    np.testing.assert_array_equal(layer.moving_mean, np.zeros(3))


@pytest.mark.parametrize("name", ["cnn", "resnet"])
def test_a_network_with_fused_normalisation_is_the_same_network(name):
    model = build_model(name, 16, 3, depth=2, width=4, dense_units=8, dropout=0.2)
    fused = with_fused_normalisation(model)
    kinds = [type(layer) for layer in fused.layers]
    assert FusedBatchNormalization in kinds
    assert layers.BatchNormalization not in kinds
    assert [w.path for w in fused.weights] == [w.path for w in model.weights]
    shown = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    np.testing.assert_array_equal(fused(shown, training=False), model(shown, training=False))


def test_the_copy_drops_what_the_network_would_have_dropped():
    model = build_model("cnn", 16, 3, depth=1, width=64, dense_units=8, dropout=0.5)
    features = [
        keras.Model(network.inputs[0], network.get_layer("dropout").output)
        for network in (model, with_fused_normalisation(model))
    ]
    shown = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    one, other = (np.asarray(network(shown, training=True)) == 0 for network in features)
    np.testing.assert_array_equal(one, other)
    assert one.any()


def test_networks_inside_a_network_have_it_too():
    arguments = {"backbone": "MobileNet", "alpha": 0.25, "weights": "none"}
    sizes = {"depth": 1, "width": 4, "dense_units": 8, "dropout": 0.2}
    model = build_model("transfer", 32, 2, **sizes, **arguments)
    fused = with_fused_normalisation(model)
    kinds = {type(layer) for layer in fused.get_layer("backbone").layers}
    assert FusedBatchNormalization in kinds
    assert layers.BatchNormalization not in kinds
    shown = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(fused(shown, training=False), model(shown, training=False))
    assert fused.trainable_variables == [
        v for layer in fused.layers[3:] for v in layer.trainable_variables
    ]
