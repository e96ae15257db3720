import keras
import numpy as np
import pytest
from keras import layers

from pawprint.models.convolutional import cnn
from pawprint.system.errors import UserError


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_depth_is_the_number_of_blocks_each_halving_the_side(depth):
    network = cnn(32, 2, depth=depth, width=4, dropout=0.2)
    kinds = [type(layer) for layer in network.layers]
    block = [layers.Conv2D, layers.MaxPooling2D, layers.BatchNormalization, layers.ReLU]
    tail = [layers.GlobalAveragePooling2D, layers.Dropout, layers.Dense]
    assert kinds == [layers.InputLayer, layers.Rescaling, *block * depth, *tail]
    pooled = [layer for layer in network.layers if isinstance(layer, layers.MaxPooling2D)]
    assert [layer.output.shape[1] for layer in pooled] == [32 // 2**n for n in range(1, depth + 1)]


def test_width_doubles_with_each_block():
    network = cnn(32, 2, depth=3, width=4, dropout=0.0)
    found = [layer.filters for layer in network.layers if isinstance(layer, layers.Conv2D)]
    assert found == [4, 8, 16]


@pytest.mark.parametrize(
    ("classes", "units", "activation"),
    [(2, 1, "sigmoid"), (3, 3, "softmax"), (7, 7, "softmax")],
)
def test_two_classes_are_one_sigmoid_and_more_a_softmax_unit_each(classes, units, activation):
    last = cnn(16, classes, depth=1, width=2, dropout=0.0).layers[-1]
    assert (last.units, last.activation.__name__) == (units, activation)


def test_dropout_is_the_share_that_was_given():
    network = cnn(16, 2, depth=1, width=2, dropout=0.35)
    assert [x.rate for x in network.layers if isinstance(x, layers.Dropout)] == [0.35]


@pytest.mark.parametrize(("image_size", "deepest"), [(8, 3), (15, 3), (16, 4), (64, 6)])
def test_the_deepest_one_can_be_built_and_the_next_is_refused(image_size, deepest):
    network = cnn(image_size, 2, depth=deepest, width=1, dropout=0.0)
    assert network.get_layer("average").input.shape[1:3] == (1, 1)
    with pytest.raises(UserError, match="too deep") as caught:
        cnn(image_size, 2, depth=deepest + 1, width=1, dropout=0.0)
    assert f"set depth to {deepest} at most" in str(caught.value)


def test_without_a_size_it_takes_pictures_of_any_and_has_the_same_weights():
    free, fixed = (cnn(size, 3, depth=2, width=2, dropout=0.0) for size in (None, 16))
    free.set_weights(fixed.get_weights())
    pictures = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    np.testing.assert_allclose(free(pictures), fixed(pictures), atol=1e-6)
    assert free(pictures[:, :12, :12]).shape == (2, 3)


def test_the_same_seed_gives_the_same_weights():
    def weights(seed):
        keras.utils.set_random_seed(seed)
        return cnn(16, 2, depth=2, width=2, dropout=0.0).get_weights()

    first, again, other = weights(1), weights(1), weights(2)
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert any((one != two).any() for one, two in zip(first, other, strict=True))
