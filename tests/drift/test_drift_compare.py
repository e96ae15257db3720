from dataclasses import replace

import numpy as np
import pytest

from pawprint.drift.compare import (
    ALPHA,
    CHANCE,
    FEWEST,
    LEAST_DISTANCE,
    SAME,
    SMALL,
    TOO_FEW_BEFORE,
    TOO_FEW_SEEN,
    UNKNOWN,
    Facts,
    Middle,
    compare,
    holm,
    least_told,
)

SHARES = {"cats": 0.5, "dogs": 0.3, "birds": 0.19, "fish": 0.01}


def facts(count, seed=0, shares=SHARES, **changed):
    """Facts of pictures drawn from one and the same world, but for what is changed."""
    random = np.random.default_rng(seed)
    drawn = {
        "size": random.choice([200, 320, 500, 640], count),
        "aspect": random.choice([0.75, 1.0, 4 / 3, 1.5], count, p=[0.2, 0.1, 0.4, 0.3]),
        "brightness": np.round(random.normal(117, 27, count), 1),
        "confidence": np.round(0.5 + random.beta(4, 1, count) / 2, 6),
    }
    labels = dict(
        zip(shares, random.multinomial(count, list(shares.values())).tolist(), strict=True)
    )
    for name, change in changed.items():
        drawn[name] = change(drawn[name])
    return Facts(**drawn, labels=labels)


BEFORE = facts(5000, seed=10**6)


def told(seen, before=BEFORE):
    return {row.what: row.verdict for row in compare(before, seen) if row.changed}


@pytest.mark.parametrize("count", [FEWEST, 100, 1000])
def test_unchanged_pictures_raise_a_false_alarm_in_at_most_one_of_twenty_draws(count):
    before = facts(400, seed=10**6)  # so few that chance plays a part there too
    alarms = sum(bool(told(facts(count, seed), before)) for seed in range(200))
    assert alarms <= 200 * ALPHA


CHANGES = {
    "brightness": [(lambda x: x * 0.85, "pictures are darker"), (lambda x: x + 20, "brighter")],
    "size": [(lambda x: x * 2, "pictures are larger"), (lambda x: x // 2, "smaller")],
    "aspect": [(lambda x: 1 / x, "pictures are taller"), (lambda x: x * 1.2, "wider")],
    "confidence": [
        (lambda p: 0.5 + (p - 0.5) / 2, "answers are less sure"),
        (lambda p: p**0.5, "surer"),
    ],
}


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [(name, *one) for name, several in CHANGES.items() for one in several],
)
def test_a_change_of_numbers_is_found_and_named_alone(name, change, words):
    for seed in range(5):
        found = told(facts(400, seed, **{name: change}))
        assert set(found) == {name}
        assert words in found[name]


def test_a_wider_spread_around_the_same_middle_has_words_of_its_own():
    assert told(facts(1000, brightness=lambda x: 117 + 2 * (x - 117))) == {
        "brightness": "brightness varies more"
    }
    assert told(facts(1000, brightness=lambda x: 117 + (x - 117) / 2)) == {
        "brightness": "brightness varies less"
    }


def test_other_shares_of_labels_are_found_and_the_class_that_grew_most_is_named():
    for seed in range(5):
        found = told(facts(400, seed, shares={"cats": 0.3, "dogs": 0.5, "birds": 0.2, "fish": 0}))
        assert found == {"labels": "more dogs"}
    assert told(facts(400, shares={"cats": 0.6, "horses": 0.4})) == {"labels": "more horses"}


def test_a_million_pictures_do_not_make_a_trivial_difference_a_change():
    rows = compare(BEFORE, facts(1_000_000, brightness=lambda x: x * 0.985))
    (brightness,) = [row for row in rows if row.what == "brightness"]
    assert brightness.p_value < ALPHA
    assert brightness.distance < LEAST_DISTANCE
    assert brightness.verdict == SMALL
    assert not any(row.changed for row in rows)


def test_many_classes_are_no_change_by_chance_alone():
    classes = {f"class {n}": 1 / 500 for n in range(500)}
    before = facts(5000, seed=1, shares=classes)
    for seed in range(2, 7):
        rows = compare(before, facts(1000, seed, shares=classes))
        (labels,) = [row for row in rows if row.what == "labels"]
        assert labels.distance < LEAST_DISTANCE
        assert labels.verdict == SAME


def test_a_large_difference_of_few_pictures_may_be_chance():
    few = facts(FEWEST, brightness=lambda x: x - 8)
    (row,) = [row for row in compare(BEFORE, few) if row.what == "brightness"]
    assert row.distance >= LEAST_DISTANCE
    assert (row.changed, row.verdict) == (False, CHANCE)


def test_figures_are_those_of_the_known_tests():
    from scipy.stats import chi2_contingency, ks_2samp

    seen = facts(300, brightness=lambda x: x * 0.9)
    rows = {row.what: row for row in compare(BEFORE, seen)}
    test = ks_2samp(BEFORE.brightness, seen.brightness)
    assert rows["brightness"].distance == pytest.approx(test.statistic)
    assert rows["brightness"].p_value == pytest.approx(5 * test.pvalue, rel=0.1)
    alone = compare(
        replace(BEFORE, size=None, aspect=None, brightness=None, confidence=None),
        Facts(None, None, None, None, {"cats": 120, "dogs": 110, "birds": 60, "fish": 10}),
    )[-1]
    counts = [list(BEFORE.labels.values()), [120, 110, 60, 10]]
    # Of fish fewer than five are expected: they count with the birds.
    pooled = [[cats, dogs, birds + fish] for cats, dogs, birds, fish in counts]
    assert alone.p_value == pytest.approx(chi2_contingency(pooled).pvalue)
    assert rows["brightness"].before == Middle(*np.quantile(BEFORE.brightness, [0.5, 0.25, 0.75]))
    assert sum(rows["labels"].seen.values()) == pytest.approx(1)


def test_too_few_pictures_of_either_side_and_unknown_things_are_not_compared():
    few = compare(BEFORE, facts(FEWEST - 1))
    assert {row.verdict for row in few} == {TOO_FEW_SEEN}
    assert {row.changed for row in few} == {None}
    assert {row.verdict for row in compare(facts(FEWEST - 1), facts(100))} == {TOO_FEW_BEFORE}
    unknown = replace(BEFORE, confidence=None, labels=None)
    verdicts = {row.what: row.verdict for row in compare(unknown, facts(1000))}
    assert (verdicts["confidence"], verdicts["labels"]) == (UNKNOWN, UNKNOWN)
    assert verdicts["brightness"] == SAME


def test_pictures_that_are_all_alike_are_the_same():
    alike = Facts(*np.full((4, 100), [[200], [1], [255], [1]]), {"cats": 100})
    assert told(alike, alike) == {}
    assert {row.p_value for row in compare(alike, alike)} == {1}


def test_p_values_are_adjusted_by_holms_method():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1, 1]
    assert holm([]) == []


def test_the_least_distance_told_is_where_the_test_turns():
    from scipy.stats import ks_2samp

    before = np.arange(5000) / 5000
    least = least_told(200, 5000, 5)
    for distance, certain in ((least + 0.02, True), (least - 0.02, False)):
        seen = np.arange(200) / 200 * (1 - distance)
        assert bool(ks_2samp(seen, before).pvalue < ALPHA / 5) is certain
