"""The gate: from figures to a verdict."""

import numpy as np
import pytest

from pawprint.config.schema import Gate
from pawprint.evaluation.paired import Paired, compare_paired
from pawprint.registry.gate import apply_gate, broken_limit


def _paired(gained, lost, rest=2000):
    first = np.repeat([False, True, True], [gained, lost, rest - gained - lost])
    second = np.repeat([True, False, True], [gained, lost, rest - gained - lost])
    return compare_paired(first, second)


def _better(paired, significance=0.05):
    return apply_gate(Gate("better", significance=significance), paired)


@pytest.mark.parametrize(
    ("gained", "lost", "passes", "relation"),
    [
        (100, 50, True, "better than"),
        (6, 0, True, "better than"),
        (5, 0, False, "not told apart from"),  # p = 0.0625
        (60, 50, False, "not told apart from"),
        (0, 0, False, "not told apart from"),
        (50, 60, False, "not told apart from"),
        (50, 100, False, "worse than"),
    ],
)
def test_better_lets_pass_only_who_is_better_beyond_chance(gained, lost, passes, relation):
    verdict = _better(_paired(gained, lost))
    assert (verdict.passes, verdict.relation) == (passes, relation)


def test_better_asks_test_and_interval_both():
    def paired(low, p_value):
        return Paired(100, 20, 8, 0.12, low, 0.2, p_value)

    assert _better(paired(0.01, 0.05)).passes
    assert not _better(paired(0.01, 0.0501)).passes
    assert not _better(paired(0.0, 0.05)).passes


def test_a_stricter_significance_lets_fewer_pass():
    paired = _paired(100, 70)  # p = 0.026
    assert _better(paired).passes
    assert not _better(paired, significance=0.01).passes


@pytest.mark.parametrize(
    ("low", "margin", "passes"),
    [(-0.0099, 0.01, True), (-0.01, 0.01, False), (-0.0101, 0.01, False), (0.001, 0, True)],
)
def test_not_worse_lets_pass_whose_interval_ends_above_the_margin(low, margin, passes):
    paired = Paired(2000, 40, 40, 0.0, low, 0.01, 1.0)
    assert apply_gate(Gate("not_worse", margin=margin), paired).passes == passes


def test_not_worse_takes_an_equal_network_for_which_better_sees_no_reason():
    paired = _paired(20, 20)
    assert apply_gate(Gate("not_worse", margin=0.01), paired).passes
    assert not _better(paired).passes


def test_always_lets_pass_also_who_is_worse():
    assert apply_gate(Gate("always"), _paired(0, 500)).passes


LIMITS = Gate("better", min_accuracy=0.9, max_megabytes=5.0, max_milliseconds=10.0)


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ((0.9, 5.0, 10.0), None),
        ((0.8999, 5.0, 10.0), "its test accuracy 0.8999 is below gate.min_accuracy 0.9"),
        ((0.9, 5.1, 10.0), "its 5.1 MB are above gate.max_megabytes 5"),
        (
            (0.9, 5.0, 10.1),
            "its 10.1 ms for a picture are above gate.max_milliseconds 10",
        ),
    ],
)
def test_a_limit_that_is_not_kept_is_named_with_both_figures(figures, said):
    assert broken_limit(LIMITS, *figures) == said


def test_no_limit_means_anything_goes():
    assert broken_limit(Gate("better"), 0.0, 1e6, None) is None
