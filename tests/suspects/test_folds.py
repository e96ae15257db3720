import numpy as np
import pytest

from pawprint.suspects.find import assign_folds
from pawprint.system.errors import UserError

NAMES = ["birds", "cats", "dogs"]


def in_groups(seed=0):
    """200 pictures of three classes, many of them copies of one another."""
    rng = np.random.default_rng(seed)
    of_group = rng.integers(0, 3, 90)
    groups = np.concatenate([np.arange(90), rng.integers(0, 90, 110)])
    return of_group[groups], groups


@pytest.mark.parametrize("folds", [2, 3, 7])
def test_every_picture_is_held_out_once_and_copies_stay_together(folds):
    labels, groups = in_groups()
    fold_of = assign_folds(labels, groups, folds, 0, NAMES)
    assert fold_of.shape == labels.shape
    assert set(fold_of) == set(range(folds))
    for group in np.unique(groups):
        assert len(set(fold_of[groups == group])) == 1


def test_each_class_is_spread_evenly():
    labels = np.repeat([0, 1, 2], [90, 30, 9])
    fold_of = assign_folds(labels, np.arange(129), 3, 0, NAMES)
    counts = [np.bincount(labels[fold_of == fold]).tolist() for fold in range(3)]
    assert counts == [[30, 10, 3]] * 3


def test_the_seed_decides_and_nothing_else():
    labels, groups = in_groups()
    one, same, other = (assign_folds(labels, groups, 3, seed, NAMES) for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_class_with_as_many_pictures_as_folds_has_one_in_each():
    labels = np.repeat([0, 2], [50, 3])
    fold_of = assign_folds(labels, np.arange(53), 3, 0, NAMES)
    assert sorted(fold_of[labels == 2]) == [0, 1, 2]


def test_a_class_with_fewer_different_pictures_than_folds_is_refused_in_one_sentence():
    labels = np.repeat([0, 1, 2], [9, 9, 4])
    groups = np.arange(22)
    groups[-1] = groups[-2]  # a copy does not count
    assign_folds(labels, groups, 3, 0, NAMES)
    with pytest.raises(UserError) as caught:
        assign_folds(labels, groups, 4, 0, NAMES)
    assert str(caught.value) == (
        'the class "dogs" has 3 different pictures for training and validation, fewer than '
        "folds=4; add pictures to it or set folds to 3"
    )
