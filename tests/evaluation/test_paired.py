"""Two classifiers on the same pictures."""

import math

import numpy as np
import pytest

from pawprint.evaluation.paired import compare_paired


def _pair(gained, lost, both, neither=0):
    """Right answers of two classifiers with so many pictures of each kind."""
    first = np.repeat([False, True, True, False], [gained, lost, both, neither])
    second = np.repeat([True, False, True, False], [gained, lost, both, neither])
    return first, second


@pytest.mark.parametrize(
    ("gained", "lost"), [(0, 0), (1, 0), (5, 5), (8, 0), (6, 0), (9, 1), (30, 12), (0, 20)]
)
def test_the_p_value_is_that_of_a_fair_coin_thrown_once_per_picture_that_changed_sides(
    gained, lost
):
    n, k = gained + lost, max(gained, lost)
    tail = sum(math.comb(n, i) for i in range(k, n + 1)) / 2**n
    paired = compare_paired(*_pair(gained, lost, 100))
    assert paired.p_value == pytest.approx(min(1, 2 * tail), rel=1e-9)


def test_it_counts_who_changed_sides_and_by_how_much_the_accuracy_moved():
    paired = compare_paired(*_pair(7, 3, 80, 10))
    assert (paired.pictures, paired.gained, paired.lost) == (100, 7, 3)
    assert paired.difference == pytest.approx(0.04)


def test_the_interval_is_that_of_resampling_the_pictures_themselves():
    first, second = _pair(60, 30, 380, 30)
    paired = compare_paired(first, second)
    rng = np.random.default_rng(1)
    change = second.astype(float) - first
    drawn = [change[rng.integers(0, 500, 500)].mean() for _ in range(4000)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert paired.low == pytest.approx(low, abs=0.004)
    assert paired.high == pytest.approx(high, abs=0.004)
    assert paired.low < paired.difference < paired.high


def test_the_other_way_round_everything_is_mirrored():
    first, second = _pair(40, 15, 200)
    there, back = compare_paired(first, second), compare_paired(second, first)
    assert back.difference == -there.difference
    assert back.p_value == there.p_value
    assert (back.gained, back.lost) == (there.lost, there.gained)
    assert back.low == pytest.approx(-there.high, abs=0.01)


def test_the_same_answers_leave_open_what_so_few_pictures_cannot_show():
    paired = compare_paired(*_pair(0, 0, 50, 5))
    assert (paired.difference, paired.p_value) == (0, 1)
    # The chance that 0 of 55 change to one side is 2.5 % where 6.5 % of all pictures would.
    assert paired.high == pytest.approx(1 - 0.025 ** (1 / 55))
    assert paired.low == -paired.high
    many = compare_paired(*_pair(0, 0, 1900, 100))
    assert -0.002 < many.low < 0 < many.high < 0.002


@pytest.mark.parametrize(
    ("gained", "lost", "told"),
    [(8, 0, "better"), (0, 8, "worse"), (5, 0, "not told apart"), (60, 30, "better")],
)
def test_what_is_told_is_what_the_test_and_the_interval_agree_on(gained, lost, told):
    paired = compare_paired(*_pair(gained, lost, 300))
    assert paired.verdict(0.05) == told
    assert (paired.low > 0) == (told == "better")
    assert (paired.high < 0) == (told == "worse")


def test_the_same_answers_give_the_same_figures_every_time():
    pair = _pair(20, 10, 170)
    assert compare_paired(*pair) == compare_paired(*pair)


def test_one_picture_is_enough_to_compare_and_tells_nothing():
    paired = compare_paired(np.array([False]), np.array([True]))
    assert (paired.difference, paired.p_value) == (1, 1)
