import numpy as np

from pawprint.evaluation.result import find_mistakes, good_examples

LABELS = np.array([0, 0, 1, 1, 1, 0])
ANSWERS = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.95, 0.05], [0.1, 0.9], [0.6, 0.4]])


def test_mistakes_are_all_wrong_answers_the_surest_first():
    mistakes = find_mistakes(LABELS, ANSWERS)
    assert [one.index for one in mistakes] == [3, 1]
    assert (mistakes[0].label, mistakes[0].predicted) == (1, 0)
    assert (mistakes[0].probability, mistakes[0].probability_of_label) == (0.95, 0.05)


def test_good_examples_take_every_class_in_turn():
    good = good_examples(LABELS, ANSWERS)
    assert {one.index for one in good} == {0, 2, 4, 5}
    assert [one.label for one in good] == [0, 1, 0, 1]
    assert all(one.label == one.predicted for one in good)


def test_nothing_right_and_nothing_wrong_are_no_obstacle():
    right = np.array([0, 1, 1, 0, 1, 0])
    assert find_mistakes(right, ANSWERS) == []
    assert good_examples(1 - right, ANSWERS) == []
