import warnings

import numpy as np
import pytest

from pawprint.suspects.find import find_suspects


def simulated(count, classes, flips, *, sure=8.0, seed=0):
    """Labels with some flipped, and the probabilities of a network that mostly sees the truth."""
    rng = np.random.default_rng(seed)
    truth = np.arange(count) % classes
    logits = rng.normal(0, 1, (count, classes))
    logits[np.arange(count), truth] += sure
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels, flipped = truth.copy(), rng.choice(count, flips, replace=False)
    labels[flipped] = (truth[flipped] + rng.integers(1, classes, flips)) % classes
    return labels, probabilities.astype(np.float32), truth, set(flipped.tolist())


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_flipped_labels_stand_first_with_their_true_class_suggested(classes):
    labels, probabilities, truth, flipped = simulated(600, classes, 30)
    found = find_suspects(labels, probabilities)
    first = found[:30]
    hits = [one for one in first if one.index in flipped]
    assert len(hits) >= 26
    assert all(one.suggested == truth[one.index] for one in hits[:20])
    assert all(one.label == labels[one.index] for one in found)


def test_a_suspect_says_its_probabilities_and_its_quality_rises_from_the_first_one():
    labels, probabilities, _, _ = simulated(300, 3, 20)
    found = find_suspects(labels, probabilities)
    for one in found:
        row = probabilities[one.index]
        assert one.probability_of_label == pytest.approx(row[one.label])
        assert one.probability_of_suggested == pytest.approx(row[one.suggested])
        assert one.suggested != one.label
        assert one.quality == one.probability_of_label
    qualities = [one.quality for one in found]
    assert qualities == sorted(qualities)
    assert 0 <= qualities[0] < 0.1


def test_of_the_labels_that_are_wrong_most_are_called_so_by_a_network_that_is_right():
    labels, probabilities, _, flipped = simulated(600, 3, 60)
    wrong = {one.index for one in find_suspects(labels, probabilities) if one.probably_wrong}
    assert 30 < len(wrong) <= 66
    assert len(wrong & flipped) >= 0.9 * len(wrong)


def graded(count, classes, accuracy, boldness, flips, seed):
    """As ``simulated``, by a network of that accuracy; ``boldness`` 1 means calibrated."""
    rng = np.random.default_rng(seed)
    truth, rows = np.arange(count) % classes, np.arange(count)
    # Logits are those of a normal model, so that their softmax is what is right to believe.
    noise, strength = rng.normal(0, 1, (count, classes)), 0.0
    while True:
        logits = noise.copy()
        logits[rows, truth] += strength
        if (logits.argmax(axis=1) == truth).mean() >= accuracy:
            break
        strength += 0.02
    powers = np.exp(boldness * strength * logits)
    labels, flipped = truth.copy(), rng.choice(count, flips, replace=False)
    labels[flipped] = (truth[flipped] + rng.integers(1, classes, flips)) % classes
    return labels, powers / powers.sum(axis=1, keepdims=True), set(flipped.tolist())


@pytest.mark.parametrize("boldness", [0.4, 1, 4], ids=["timid", "calibrated", "bold"])
@pytest.mark.parametrize(
    ("accuracy", "count", "classes", "flips"),
    [
        *((0.5, *others) for others in ((93, 4, 4), (2000, 2, 100), (2000, 10, 100))),
        *((0.7, *others) for others in ((93, 4, 4), (2000, 2, 100), (2000, 10, 100))),
        *((0.8, *others) for others in ((93, 4, 4), (2000, 2, 100), (2000, 10, 100))),
        *((0.95, *others) for others in ((93, 4, 4), (2000, 2, 50), (2000, 10, 100))),
    ],
)
def test_of_the_labels_called_probably_wrong_at_least_half_are(
    accuracy, count, classes, flips, boldness
):
    for seed in range(3):
        labels, probabilities, flipped = graded(count, classes, accuracy, boldness, flips, seed)
        found = find_suspects(labels, probabilities)
        wrong = {one.index for one in found if one.probably_wrong}
        assert 2 * len(wrong & flipped) >= len(wrong)
        if accuracy < 0.75:
            assert not wrong
        if accuracy == 0.95 and count > 1000:
            assert len(wrong & flipped) > len(flipped) / 2


def test_a_network_that_agrees_with_every_label_suspects_none():
    labels, probabilities, _, _ = simulated(90, 3, 0, sure=20.0)
    assert find_suspects(labels, probabilities) == []


def test_a_network_that_is_never_sure_suspects_none():
    assert find_suspects(np.arange(20) % 2, np.full((20, 2), 0.5)) == []


def test_a_class_without_pictures_is_no_obstacle():
    labels, probabilities, _, _ = simulated(60, 3, 0)
    kept = labels != 1
    labels, probabilities = labels[kept], probabilities[kept]
    labels[0] = 2 - labels[0]
    assert find_suspects(labels, probabilities)[0].index == 0


@pytest.mark.parametrize("labels", [[], [1], [0, 0, 0], [1, 1], [0, 1]])
def test_tiny_splits_are_taken_without_a_word(labels, capfd):
    probabilities = np.tile([[0.9, 0.1]], (len(labels), 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = find_suspects(np.array(labels, dtype=int), probabilities)
    assert [one.index for one in found] == np.flatnonzero(labels).tolist()
    assert capfd.readouterr() == ("", "")


def test_two_pictures_under_each_others_label_are_both_found():
    labels = np.array([0, 1, 0, 0, 1, 1])
    probabilities = np.array([[0.2, 0.8], [0.9, 0.1], *[[0.7, 0.3]] * 2, *[[0.3, 0.7]] * 2])
    assert [one.index for one in find_suspects(labels, probabilities)] == [1, 0]


@pytest.mark.parametrize(
    ("labels", "probabilities", "said"),
    [
        ([0, 1, 0], [[0.5, 0.5]] * 2, "do not fit"),
        ([0, 2], [[0.5, 0.5]] * 2, "labels must be 0 to 1"),
        ([0, 1], [[0.5, np.nan]] * 2, "not a number"),
    ],
)
def test_what_is_no_labels_and_probabilities_is_refused(labels, probabilities, said):
    with pytest.raises(ValueError, match=said):
        find_suspects(np.array(labels), np.array(probabilities))
