import math
import warnings

import numpy as np
import pytest

from pawprint.evaluation.metrics import classification_metrics, confusion_matrix, roc_curves


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def pairs(*second):
    """Probabilities of two classes from those of the second."""
    return np.array([[1 - p, p] for p in second], np.float32)


# Two classes: cats 0, dogs 1

LABELS = np.array([0, 0, 0, 1, 1])
ANSWERS = pairs(0.1, 0.4, 0.8, 0.3, 0.9)  # right, right, wrong, wrong, right


def test_two_classes_by_hand():
    figures = classification_metrics(LABELS, ANSWERS, ["cats", "dogs"])
    assert figures.pop("log_loss") == pytest.approx(
        -(math.log(0.9) + math.log(0.6) + math.log(0.2) + math.log(0.3) + math.log(0.9)) / 5,
        rel=1e-6,
    )
    assert figures == pytest.approx(
        {
            "accuracy": 3 / 5,
            "balanced_accuracy": (2 / 3 + 1 / 2) / 2,
            "macro_f1": (2 / 3 + 1 / 2) / 2,
            # of 3 × 2 pairs of a cat and a dog, the dog has more in 4: 0.3 > 0.1, 0.9 > all
            "roc_auc": 4 / 6,
            # of dogs: the first and the fourth; of cats: the first, the third and the fourth
            "average_precision": ((1 + 2 / 4) / 2 + (1 + 2 / 3 + 3 / 4) / 3) / 2,
            "brier_score": (0.1**2 + 0.4**2 + 0.8**2 + 0.7**2 + 0.1**2) / 5,
            # both 0.9 are right, and 0.6; 0.8 and 0.7 are wrong
            "expected_calibration_error": (2 * 0.1 + 0.4 + 0.8 + 0.7) / 5,
            "precision_cats": 2 / 3,
            "recall_cats": 2 / 3,
            "f1_cats": 2 / 3,
            "precision_dogs": 1 / 2,
            "recall_dogs": 1 / 2,
            "f1_dogs": 1 / 2,
        }
    )


def test_three_classes_by_hand():
    labels = np.array([0, 0, 1, 2])
    answers = np.array(
        [[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.5, 0.1, 0.4]], np.float32
    )
    figures = classification_metrics(labels, answers, ["asps", "newts", "owls"])
    assert figures.pop("log_loss") == pytest.approx(
        -(math.log(0.7) + math.log(0.2) + math.log(0.8) + math.log(0.4)) / 4, rel=1e-6
    )
    assert figures == pytest.approx(
        {
            "accuracy": 2 / 4,
            "balanced_accuracy": (1 / 2 + 1 + 0) / 3,
            "macro_f1": (1 / 2 + 2 / 3 + 0) / 3,
            # asps: 0.7 and 0.2 against 0.1 and 0.5: 3 of 4; newts: 0.8 above all; owls: 0.4 too
            "roc_auc": (3 / 4 + 1 + 1) / 3,
            "average_precision": ((1 + 2 / 3) / 2 + 1 + 1) / 3,
            "brier_score": (0.14 + 1.14 + 0.06 + 0.62) / 4,
            # of two 0.7 one is right, 0.8 is right, 0.5 is wrong
            "expected_calibration_error": (2 * 0.2 + 0.2 + 0.5) / 4,
            "precision_asps": 1 / 2,
            "recall_asps": 1 / 2,
            "f1_asps": 1 / 2,
            "precision_newts": 1 / 2,
            "recall_newts": 1.0,
            "f1_newts": 2 / 3,
            "precision_owls": 0.0,  # never predicted
            "recall_owls": 0.0,
            "f1_owls": 0.0,
        }
    )


def test_figures_are_plain_floats():
    figures = classification_metrics(LABELS, ANSWERS, ["cats", "dogs"])
    assert {type(value) for value in figures.values()} == {float}


def test_a_perfect_classifier_has_the_best_of_everything():
    figures = classification_metrics(np.array([0, 1]), pairs(0.0, 1.0), ["cats", "dogs"])
    for least in ("log_loss", "brier_score", "expected_calibration_error"):
        assert figures.pop(least) == pytest.approx(0, abs=1e-6)
    assert set(figures.values()) == {1.0}


def test_a_sure_mistake_has_a_finite_log_loss():
    figures = classification_metrics(np.array([0, 1]), pairs(0.0, 0.0), ["cats", "dogs"])
    assert 5 < figures["log_loss"] < math.inf


def test_rounding_of_float32_probabilities_is_no_matter():
    random = np.random.default_rng(0).random((200, 7)).astype(np.float32)
    answers = random / random.sum(axis=1, keepdims=True)
    labels = np.arange(200) % 7
    exact = -np.log(answers.astype(float)[np.arange(200), labels]).mean()
    figures = classification_metrics(labels, answers, list("abcdefg"))
    assert figures["log_loss"] == pytest.approx(exact, abs=1e-5)


@pytest.mark.parametrize(
    ("labels", "second", "left"),
    [([0, 0, 0], (0.1, 0.2, 0.9), "cats"), ([1, 1], (0.9, 0.2), "dogs")],
)
def test_of_two_classes_one_without_pictures_is_left_out(labels, second, left):
    figures = classification_metrics(np.array(labels), pairs(*second), ["cats", "dogs"])
    assert set(figures) == {
        *("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "brier_score"),
        "expected_calibration_error",
        *(f"{name}_{left}" for name in ("precision", "recall", "f1")),
    }
    assert figures["balanced_accuracy"] == figures["accuracy"] == figures[f"recall_{left}"]


def test_of_three_classes_one_without_pictures_is_left_out_of_the_means():
    labels = np.array([0, 0, 2, 2])
    answers = np.eye(3, dtype=np.float32)[[0, 1, 2, 2]]
    figures = classification_metrics(labels, answers, ["asps", "newts", "owls"])
    assert figures["accuracy"] == 3 / 4
    assert figures["balanced_accuracy"] == (1 / 2 + 1) / 2
    assert "roc_auc" not in figures
    assert not [name for name in figures if name.endswith("newts")]
    assert figures["precision_asps"] == figures["recall_owls"] == 1.0


# The confusion matrix


def test_the_confusion_matrix_has_true_classes_down_and_predicted_ones_across():
    counts = confusion_matrix(np.array([0, 0, 0, 1, 2]), np.array([0, 1, 1, 1, 0]), 3)
    assert counts.tolist() == [[1, 2, 0], [0, 1, 0], [1, 0, 0]]


@pytest.mark.parametrize("label", [0, 1])
def test_the_confusion_matrix_is_whole_where_there_is_only_one_class(label):
    counts = confusion_matrix(np.array([label] * 3), np.array([label] * 3), 2)
    assert counts.tolist() == np.diag([3 * (label == 0), 3 * (label == 1)]).tolist()


# ROC curves


def test_of_two_classes_only_the_second_has_a_curve():
    curves = roc_curves(LABELS, ANSWERS, ["cats", "dogs"])
    assert list(curves) == ["dogs"]
    false_rate, true_rate = curves["dogs"]
    # from the surest: 0.9 a dog, 0.8 a cat, 0.4 a cat, 0.3 a dog, 0.1 a cat
    points = set(zip(false_rate.tolist(), true_rate.tolist(), strict=True))
    assert {(0.0, 0.0), (0.0, 0.5), (2 / 3, 0.5), (2 / 3, 1.0), (1.0, 1.0)} <= points
    assert np.trapezoid(true_rate, false_rate) == pytest.approx(4 / 6)


def test_of_three_classes_each_that_some_pictures_have_has_a_curve():
    answers = np.full((4, 3), 1 / 3, np.float32)
    names = ["asps", "newts", "owls"]
    assert list(roc_curves(np.array([0, 1, 2, 2]), answers, names)) == names
    assert list(roc_curves(np.array([0, 0, 2, 2]), answers, names)) == ["asps", "owls"]
    assert roc_curves(np.array([1, 1, 1, 1]), answers, names) == {}
