import numpy as np
import pytest

from pawprint.inference.calibration import (
    choose,
    expected_calibration_error,
    fit_temperature,
    reliability,
    scale,
    sure_points,
)


def answers(count, temperature, classes=3, seed=0):
    """Labels, and probabilities that are right at the inverse of ``temperature``."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (count, classes))
    truth = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (truth.cumsum(axis=1) > random.random((count, 1))).argmax(axis=1)
    return labels, scale(truth, 1 / temperature).astype(np.float32)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
@pytest.mark.parametrize("classes", [2, 5])
def test_the_temperature_of_answers_that_are_too_sure_or_not_sure_enough_is_found(
    temperature, classes
):
    labels, probabilities = answers(20_000, temperature, classes)
    assert fit_temperature(labels, probabilities) == pytest.approx(temperature, rel=0.05)


def test_scaling_by_the_found_temperature_makes_probabilities_mean_what_they_say():
    labels, probabilities = answers(20_000, 2.5)
    before = expected_calibration_error(labels, probabilities)
    scaled = scale(probabilities, fit_temperature(labels, probabilities))
    assert before > 0.1
    assert expected_calibration_error(labels, scaled) < 0.02
    np.testing.assert_array_equal(scaled.argmax(axis=1), probabilities.argmax(axis=1))
    np.testing.assert_allclose(scaled.sum(axis=1), 1)


def test_scaling_back_by_the_inverse_gives_what_was():
    _, probabilities = answers(500, 1.0)
    np.testing.assert_allclose(scale(scale(probabilities, 0.3), 1 / 0.3), probabilities, rtol=1e-5)


def test_few_pictures_that_are_all_right_do_not_make_the_network_certain():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.85, 0.15]])
    temperature = fit_temperature(np.array([0, 1, 0]), probabilities)
    assert 0.2 < temperature < 1


def test_probabilities_of_none_and_of_all_are_scaled_to_numbers():
    scaled = scale(np.array([[1.0, 0.0], [0.0, 1.0]]), 0.05)
    assert np.isfinite(scaled).all()
    assert scaled.argmax(axis=1).tolist() == [0, 1]


# Reliability


def test_the_calibration_error_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.35, 0.65]])
    labels = np.array([0, 1, 1, 0])
    # 0.9 is in bin 14 of 15: one of two right; 0.7 in bin 11: right; 0.65 in bin 10: wrong
    expected = (2 * abs(0.9 - 0.5) + abs(0.7 - 1) + abs(0.65 - 0)) / 4
    assert expected_calibration_error(labels, probabilities) == pytest.approx(expected)


def test_bins_hold_each_answer_once_and_none_is_empty():
    labels, probabilities = answers(1000, 1.3)
    bins = reliability(labels, probabilities)
    assert sum(one.pictures for one in bins) == 1000
    assert all(one.pictures and one.low <= one.probability <= one.high for one in bins)
    certain = reliability(np.array([0, 1]), np.array([[1.0, 0.0], [1.0, 0.0]]))
    assert [(one.high, one.pictures, one.accuracy) for one in certain] == [(1.0, 2, 0.5)]


# Thresholds


def test_the_chosen_threshold_answers_most_pictures_at_the_wanted_precision():
    labels, probabilities = answers(400, 1.0)
    confidences = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    point = choose(sure_points(labels, probabilities), 0.85)
    answered = confidences >= point.threshold
    assert right[answered].mean() == pytest.approx(point.precision)
    assert answered.mean() == pytest.approx(point.coverage)
    assert point.precision >= 0.85
    for lower in np.unique(confidences[confidences < point.threshold]):
        assert right[confidences >= lower].mean() < 0.85


def test_a_precision_that_all_answers_have_needs_no_threshold_above_the_least_sure_one():
    labels, probabilities = answers(500, 1.0)
    accuracy = (probabilities.argmax(axis=1) == labels).mean()
    point = choose(sure_points(labels, probabilities), accuracy)
    assert point.coverage == 1
    assert point.threshold == probabilities.max(axis=1).min()


def test_a_precision_that_is_never_reached_has_no_threshold():
    labels = np.zeros(100, dtype=int)
    probabilities = np.tile([0.4, 0.6], (100, 1))
    assert choose(sure_points(labels, probabilities), 0.5) is None


@pytest.mark.parametrize("count", [0, 1, 29])
def test_too_few_pictures_give_no_thresholds(count):
    labels, probabilities = answers(count, 1.0)
    assert sure_points(labels, probabilities) == []


def test_answers_of_the_same_probability_stand_or_fall_together():
    probabilities = np.tile([[0.8, 0.2]], (60, 1))
    labels = np.array([0] * 45 + [1] * 15)
    (point,) = sure_points(labels, probabilities)
    assert (point.precision, point.coverage) == (0.75, 1.0)


def test_there_are_never_more_than_two_hundred_thresholds():
    labels, probabilities = answers(20_000, 1.0, classes=10)
    points = sure_points(labels, probabilities)
    assert 100 < len(points) <= 200
    assert [p.precision for p in points] == sorted(p.precision for p in points)
    assert [p.threshold for p in points] == sorted(p.threshold for p in points)
