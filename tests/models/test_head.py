import numpy as np
import pytest

from pawprint.models.head import (
    accuracy_for,
    check_depth,
    loss_for,
    pictures_input,
    probabilities_layer,
)
from pawprint.system.errors import UserError

TWO = np.array([[0.25], [0.5]], np.float32)
THREE = np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]], np.float32)


@pytest.mark.parametrize(
    ("answers", "targets", "loss"),
    [
        (TWO, [[0], [1]], -np.log([0.75, 0.5])),
        (TWO, [[0.3], [1]], [-0.7 * np.log(0.75) - 0.3 * np.log(0.25), -np.log(0.5)]),
        (THREE, [[0, 0, 1], [0, 1, 0]], -np.log([0.5, 0.3])),
        (THREE, [[0, 0.4, 0.6], [0, 1, 0]], [-0.4 * np.log(0.3) - 0.6 * np.log(0.5), -np.log(0.3)]),
    ],
)
def test_the_loss_is_the_cross_entropy_also_of_mixed_targets(answers, targets, loss):
    function = loss_for(max(2, answers.shape[1]))
    seen = function(np.array(targets, np.float32), answers)
    assert float(seen) == pytest.approx(np.mean(loss), abs=1e-5)
    weighed = function(np.array(targets, np.float32), answers, sample_weight=np.array([3.0, 1.0]))
    assert float(weighed) == pytest.approx(np.dot([3, 1], loss) / 2, abs=1e-5)


@pytest.mark.parametrize(
    ("answers", "targets", "smoothed"),
    [
        (TWO, [[0], [1]], [[0.1], [0.9]]),
        (THREE, [[0, 0, 1], [0, 1, 0]], [[1 / 15, 1 / 15, 13 / 15], [1 / 15, 13 / 15, 1 / 15]]),
    ],
)
def test_label_smoothing_spreads_its_share_over_all_classes(answers, targets, smoothed):
    classes = max(2, answers.shape[1])
    seen = loss_for(classes, 0.2)(np.array(targets, np.float32), answers)
    expected = loss_for(classes)(np.array(smoothed, np.float32), answers)
    assert float(seen) == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize(
    ("answers", "targets", "right"),
    [
        ([[0.2], [0.6], [0.9], [0.4]], [[0], [0], [1], [1]], 0.5),
        ([[0.2], [0.6], [0.9], [0.4]], [[0.3], [0.3], [0.7], [0.7]], 0.5),  # mixed
        ([[0.2, 0.7, 0.1], [0.6, 0.3, 0.1]], [[0, 0.6, 0.4], [0.4, 0.6, 0]], 0.5),
        ([[0.2, 0.7, 0.1], [0.6, 0.3, 0.1]], [[0, 1, 0], [1, 0, 0]], 1.0),
    ],
)
def test_accuracy_counts_answers_for_the_larger_share_of_a_target(answers, targets, right):
    answers, targets = np.array(answers, np.float32), np.array(targets, np.float32)
    metric = accuracy_for(max(2, answers.shape[1]))
    assert metric.name == "accuracy"
    for one, two in zip(targets, answers, strict=True):  # as if in batches of one
        metric.update_state(one[None], two[None])
    assert float(metric.result()) == right


def test_the_one_unit_for_two_classes_is_the_probability_of_the_second():
    layer = probabilities_layer(2)
    layer.build((None, 1))
    layer.set_weights([np.array([[1.0]], np.float32), np.array([0.0], np.float32)])
    low, high = np.asarray(layer(np.array([[-9.0], [9.0]], np.float32))).ravel()
    assert low < 0.01
    assert high > 0.99


@pytest.mark.parametrize("image_size", [16, None])
def test_pictures_go_in_as_bytes_of_the_size_or_of_any(image_size):
    pictures, scaled = pictures_input(image_size)
    assert pictures.shape == scaled.shape == (None, image_size, image_size, 3)
    assert (pictures.dtype, scaled.dtype) == ("uint8", "float32")


@pytest.mark.parametrize("halvings", [0, 1])
def test_a_depth_that_a_size_does_not_halve_is_refused_with_the_one_that_fits(halvings):
    check_depth("cnn", 16, 4 - halvings, halvings=halvings)
    check_depth("cnn", 31, 4 - halvings, halvings=halvings)
    check_depth("cnn", None, 9, halvings=halvings)
    with pytest.raises(UserError, match=f"set depth to {4 - halvings} at most or raise image_size"):
        check_depth("cnn", 16, 5 - halvings, halvings=halvings)
