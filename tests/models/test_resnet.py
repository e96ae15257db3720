import keras
import numpy as np
import pytest
from keras import layers

from pawprint.models.convolutional import resnet
from pawprint.system.errors import UserError

TINY = {"width": 4, "dropout": 0.0}


def pictures(count, side=16):
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def of_kind(network, kind):
    return [layer for layer in network.layers if isinstance(layer, kind)]


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_the_first_convolution_and_each_group_halve_the_side(depth):
    network = resnet(32, 2, depth=depth, **TINY)
    assert network.get_layer("stem").output.shape[1:] == (16, 16, 4)
    sums = of_kind(network, layers.Add)
    sides = [16 // 2**n for n in range(1, depth + 1)]
    assert [layer.output.shape[1] for layer in sums] == sides
    assert [layer.output.shape[-1] for layer in sums] == [4 * 2**n for n in range(depth)]


def test_a_group_is_a_pooled_convolution_and_a_residual_one():
    network = resnet(16, 2, depth=1, **TINY)
    convolution = [layers.Conv2D, layers.BatchNormalization]
    assert [type(layer) for layer in network.layers] == [
        *(layers.InputLayer, layers.Rescaling, layers.Rescaling, layers.Conv2D),
        *(layers.Conv2D, layers.MaxPooling2D, layers.BatchNormalization, layers.ReLU),
        *(*convolution, layers.Add, layers.ReLU),
        *(layers.GlobalAveragePooling2D, layers.Dropout, layers.Dense),
    ]


def test_the_residual_convolution_adds_to_what_it_is_given():
    network = resnet(16, 2, depth=1, **TINY)
    kernel = network.get_layer("residual_0")
    kernel.set_weights([np.zeros_like(weights) for weights in kernel.get_weights()])
    inside = keras.Model(
        network.inputs[0],
        [network.get_layer(f"{name}_0_relu").output for name in ("down", "residual")],
    )
    before, after = inside(pictures(3))
    assert np.ptp(before) > 0
    np.testing.assert_allclose(after, before, atol=1e-6)


def test_pixels_are_centred_to_minus_2_to_2():
    network = resnet(16, 2, depth=1, **TINY)
    inside = keras.Model(network.inputs[0], network.get_layer("centring").output)
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    np.testing.assert_allclose(inside(levels), levels / 255 * 4 - 2, atol=1e-5)


def test_only_convolutions_before_a_normalisation_are_without_bias():
    network = resnet(16, 2, depth=2, **TINY)
    found = {layer.name: layer.use_bias for layer in of_kind(network, layers.Conv2D)}
    assert found.pop("stem")
    assert not any(found.values())
    assert len(of_kind(network, layers.BatchNormalization)) == len(found) == 4


@pytest.mark.parametrize(
    ("classes", "units", "activation"), [(2, 1, "sigmoid"), (3, 3, "softmax"), (7, 7, "softmax")]
)
def test_two_classes_are_one_sigmoid_and_more_a_softmax_unit_each(classes, units, activation):
    last = resnet(16, classes, depth=1, **TINY).layers[-1]
    assert (last.units, last.activation.__name__) == (units, activation)


def test_dropout_is_the_share_that_was_given():
    network = resnet(16, 2, depth=1, width=4, dropout=0.35)
    assert [layer.rate for layer in of_kind(network, layers.Dropout)] == [0.35]


@pytest.mark.parametrize(("image_size", "deepest"), [(8, 2), (15, 2), (16, 3), (64, 5)])
def test_the_deepest_one_can_be_built_and_the_next_is_refused(image_size, deepest):
    network = resnet(image_size, 2, depth=deepest, width=1, dropout=0.0)
    assert min(network.get_layer("average").input.shape[1:3]) >= 1
    assert np.isfinite(network(pictures(1, image_size))).all()
    with pytest.raises(UserError, match="too deep") as caught:
        resnet(image_size, 2, depth=deepest + 1, width=1, dropout=0.0)
    assert f"pictures of {image_size} pixels with model=resnet" in str(caught.value)
    assert f"set depth to {deepest} at most" in str(caught.value)


@pytest.mark.parametrize("image_size", [8, 9, 15, 22])
def test_pictures_of_odd_sides_are_taken(image_size):
    network = resnet(image_size, 3, depth=2, **TINY)
    assert network(pictures(2, image_size)).shape == (2, 3)


def test_without_a_size_it_takes_pictures_of_any_and_has_the_same_weights():
    free, fixed = (resnet(size, 3, depth=2, **TINY) for size in (None, 16))
    free.set_weights(fixed.get_weights())
    np.testing.assert_allclose(free(pictures(2)), fixed(pictures(2)), atol=1e-6)
    assert free(pictures(2, 12)).shape == (2, 3)


def test_in_bfloat16_answers_are_still_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = resnet(16, 3, depth=1, **TINY)
    finally:
        keras.config.set_dtype_policy("float32")
    assert half.get_layer("down_0").compute_dtype == "bfloat16"
    answers = half(pictures(3))
    assert answers.dtype == "float32"
    exact = resnet(16, 3, depth=1, **TINY)
    exact.set_weights(half.get_weights())
    np.testing.assert_allclose(answers, exact(pictures(3)), atol=0.03)
