import warnings

import numpy as np
import pytest

from pawprint.evaluation.intervals import _Sample, bootstrap_intervals
from pawprint.evaluation.metrics import classification_metrics

NAMES = ["asps", "newts", "owls"]


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def answers(count, classes=3, seed=0, digits=None):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    logits = random.normal(0, 1, (count, classes))
    logits[np.arange(count), labels] += 1.5
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if digits:  # so that there are ties
        probabilities = np.round(probabilities, digits) + 1e-3
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    return labels, probabilities


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("digits", [None, 1])
def test_a_resample_has_the_figures_that_scikit_learn_has_for_it(classes, digits):
    labels, probabilities = answers(300, classes, digits=digits)
    names = NAMES[:classes]
    sample = _Sample(labels, probabilities, names)
    for seed in range(5):
        drawn = np.random.default_rng(seed).integers(0, 300, 300)
        counts = np.bincount(drawn, minlength=300)[np.newaxis].astype(np.float32)
        ours = {name: values[0] for name, values in sample.figures(counts)}
        expected = classification_metrics(labels[drawn], probabilities[drawn], names)
        assert ours == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
def test_every_figure_has_an_interval_around_it(classes):
    labels, probabilities = answers(400, classes)
    figures = classification_metrics(labels, probabilities, NAMES[:classes])
    intervals = bootstrap_intervals(labels, probabilities, NAMES[:classes])
    assert set(intervals) == set(figures)
    for name, (low, high) in intervals.items():
        assert low <= figures[name] <= high, name
        assert low < high, name


def test_intervals_cover_a_known_accuracy_as_often_as_they_promise():
    covered = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        labels = random.integers(0, 2, 500)
        answer = np.where(random.random(500) < 0.8, labels, 1 - labels)
        probabilities = np.where(answer[:, np.newaxis] == [0, 1], 0.8, 0.2)
        low, high = bootstrap_intervals(labels, probabilities, NAMES[:2], resamples=400)["accuracy"]
        covered += low <= 0.8 <= high
    assert 0.90 <= covered / 200 <= 0.99


def test_more_pictures_make_narrower_intervals():
    widths = []
    for count in (100, 1600):
        low, high = bootstrap_intervals(*answers(count), NAMES)["accuracy"]
        widths.append(high - low)
    assert widths[1] == pytest.approx(widths[0] / 4, rel=0.3)


def test_answers_that_are_all_right_are_not_said_to_be_certainly_so():
    labels = np.array([0, 1] * 20)
    probabilities = np.where(labels[:, np.newaxis] == [0, 1], 0.9, 0.1)
    intervals = bootstrap_intervals(labels, probabilities, NAMES[:2])
    # the chance of 40 of 40 is 2.5 % at 0.912
    assert intervals["accuracy"] == pytest.approx((0.025 ** (1 / 40), 1.0))
    assert intervals["recall_asps"] == pytest.approx((0.025 ** (1 / 20), 1.0))


def test_the_calibration_error_of_right_probabilities_may_be_nothing():
    random = np.random.default_rng(3)
    second = random.random(2000)
    labels = (random.random(2000) < second).astype(int)
    right = np.stack([1 - second, second], axis=1)
    low, high = bootstrap_intervals(labels, right, NAMES[:2])["expected_calibration_error"]
    assert low == 0
    assert high < 0.05
    bold = np.stack([second < 0.5, second >= 0.5], axis=1) * 0.98 + 0.01
    low, high = bootstrap_intervals(labels, bold, NAMES[:2])["expected_calibration_error"]
    assert low < 0.24 < high  # 0.99 is said, and 0.75 of them are right
    assert low > 0.2


def test_a_class_without_pictures_and_one_with_a_single_one_are_no_obstacle():
    labels = np.array([0, 0, 0, 1])
    probabilities = np.array([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.3, 0.6, 0.1]])
    intervals = bootstrap_intervals(labels, probabilities, NAMES)
    assert "recall_owls" not in intervals
    assert intervals["recall_newts"][1] == 1
    assert all(np.isfinite(interval).all() for interval in intervals.values())


def test_one_picture_has_intervals_too():
    intervals = bootstrap_intervals(np.array([1]), np.array([[0.3, 0.7]]), NAMES[:2])
    assert intervals["accuracy"] == pytest.approx((0.025, 1.0))


def test_intervals_are_the_same_every_time():
    assert bootstrap_intervals(*answers(50), NAMES) == bootstrap_intervals(*answers(50), NAMES)
