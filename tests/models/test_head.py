import keras
import numpy as np
import pytest

from pawprint.models.head import loss_for, probabilities_layer


@pytest.mark.parametrize(
    ("classes", "answers", "labels", "loss"),
    [
        (2, [[0.25], [0.5]], [0, 1], (-np.log(0.75) - np.log(0.5)) / 2),
        (3, [[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]], [2, 1], (-np.log(0.5) - np.log(0.3)) / 2),
    ],
)
def test_the_loss_is_the_cross_entropy_of_class_indices(classes, answers, labels, loss):
    function = keras.losses.get(loss_for(classes))
    shape = (2, 1) if classes == 2 else (2,)
    losses = function(np.array(labels).reshape(shape), np.array(answers, np.float32))
    assert float(np.mean(losses)) == pytest.approx(loss, abs=1e-5)


def test_the_one_unit_for_two_classes_is_the_probability_of_the_second():
    layer = probabilities_layer(2)
    layer.build((None, 1))
    layer.set_weights([np.array([[1.0]], np.float32), np.array([0.0], np.float32)])
    low, high = np.asarray(layer(np.array([[-9.0], [9.0]], np.float32))).ravel()
    assert low < 0.01
    assert high > 0.99
