import keras
import numpy as np
import pytest
from keras import layers

from pawprint.models.convolutional import article
from pawprint.system.errors import UserError

TO_THE_LETTER = {"depth": 2, "width": 32, "dense_units": 128, "dropout": 0.2}
TINY = {"width": 2, "dense_units": 3, "dropout": 0.0}


@pytest.fixture(scope="module")
def network():
    return article(64, 2, **TO_THE_LETTER)


def test_its_layers_are_the_articles_in_the_articles_order(network):
    assert [type(layer) for layer in network.layers] == [
        *(layers.InputLayer, layers.Rescaling),
        *(layers.Conv2D, layers.MaxPooling2D, layers.Conv2D, layers.MaxPooling2D),
        *(layers.Flatten, layers.Dense, layers.Dropout, layers.Dense),
    ]


def test_its_shapes_are_the_articles(network):
    assert network.input_shape == (None, 64, 64, 3)
    assert [layer.output.shape[1:] for layer in network.layers[2:]] == [
        *((62, 62, 32), (31, 31, 32), (29, 29, 64), (14, 14, 64)),
        *((12544,), (128,), (128,), (1,)),
    ]


def test_its_convolutions_are_3_by_3_with_valid_padding_and_relu(network):
    found = [layer for layer in network.layers if isinstance(layer, layers.Conv2D)]
    for layer in found:
        assert (layer.kernel_size, layer.padding, layer.strides) == ((3, 3), "valid", (1, 1))
        assert layer.activation is keras.activations.relu
        assert layer.use_bias
    assert [layer.pool_size for layer in network.layers if isinstance(layer, layers.MaxPooling2D)]


def test_it_ends_in_128_relu_units_dropout_and_one_sigmoid(network):
    dense, dropout, last = network.layers[-3:]
    assert (dense.units, dense.activation) == (128, keras.activations.relu)
    assert dropout.rate == 0.2
    assert (last.units, last.activation) == (1, keras.activations.sigmoid)


def test_it_has_as_many_weights_as_the_articles(network):
    assert network.count_params() == 1_625_281


def test_width_is_the_filters_of_the_first_block_and_doubles_in_each_further_one():
    network = article(64, 2, depth=3, width=5, dense_units=3, dropout=0.0)
    found = [layer.filters for layer in network.layers if isinstance(layer, layers.Conv2D)]
    assert found == [5, 10, 20]


def test_three_classes_end_in_a_softmax_that_sums_to_one():
    network = article(16, 3, depth=1, **TINY)
    assert network.layers[-1].activation is keras.activations.softmax
    pictures = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    answers = network.predict_on_batch(pictures)
    assert answers.shape == (4, 3)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(("image_size", "deepest"), [(64, 4), (22, 3), (16, 2), (8, 1)])
def test_the_deepest_one_can_be_built_and_the_next_is_refused(image_size, deepest):
    assert article(image_size, 2, depth=deepest, **TINY).count_params() > 0
    with pytest.raises(UserError, match="too deep") as caught:
        article(image_size, 2, depth=deepest + 1, **TINY)
    message = str(caught.value)
    assert f"model.depth={deepest + 1}" in message
    assert f"pictures of {image_size} pixels with model=article" in message
    assert f"set model.depth to {deepest} at most" in message
