import re

import pytest

from pawprint.comparison.compare import Metric, compare_runs


def test_only_differing_parameters_are_shown_and_one_that_a_run_lacks_is_one(a_run):
    first = a_run(parameters={"depth": "2", "epochs": "3", "optimizer.momentum": "0.9"})
    second = a_run(parameters={"depth": "3", "epochs": "3"})
    compared = compare_runs([first, second])
    assert compared.parameters == {"depth": ["2", "3"], "optimizer.momentum": ["0.9", "–"]}


def test_data_classes_and_commit_are_shown_where_they_differ(a_run):
    same = {"test_digest": "t", "class_names": "cats, dogs", "command": "other words"}
    first = a_run(tags={**same, "data_digest": "1" * 64, "git_commit": "c" * 40})
    second = a_run(
        tags={**same, "data_digest": "2" * 64, "git_commit": "c" * 40, "git_dirty": "true"}
    )
    compared = compare_runs([first, second])
    assert compared.origins == {
        "data_digest": ["1" * 12, "2" * 12],
        "git_commit": ["c" * 12, "c" * 12 + " with changes"],
    }
    assert any(
        note.endswith("uncommitted changes, of code or settings: B.") for note in compared.notes
    )


def test_figures_stand_beside_their_intervals_and_ends_are_no_figures(a_run):
    first = a_run(
        metrics={"test_accuracy": 0.75, "test_accuracy_low": 0.7, "test_accuracy_high": 0.8}
        | {"test_recall_cats": 0.5, "best_val_accuracy": 0.6, "accuracy": 0.9}
    )
    second = a_run(metrics={"test_accuracy": 0.5, "test_log_loss": 1.5})
    compared = compare_runs([first, second])
    assert compared.metrics == {
        "test_accuracy": [Metric(0.75, 0.7, 0.8), Metric(0.5)],
        "test_log_loss": [None, Metric(1.5)],
        "best_val_accuracy": [Metric(0.6), None],
    }
    assert compared.class_metrics == {"test_recall_cats": [Metric(0.5), None]}


def test_pictures_that_changed_sides_are_exactly_those_the_surest_first(a_run, cat):
    first = a_run(answers=[cat("a", 0.9), cat("b", 0.1), cat("c", 0.6), cat("d", 0.2)])
    second = a_run(answers=[cat("d", 0.8), cat("c", 0.4), cat("b", 0.3), cat("a", 0.8)])
    compared = compare_runs([first, second])
    assert [one.path for one in compared.changed] == ["d", "c"]
    assert compared.changed[0].answers == {0: ("dogs", 0.8), 1: ("cats", 0.8)}
    gained, lost = compared.changed_between(compared.pairs[0])
    assert ([one.path for one in gained], [one.path for one in lost]) == (["d"], ["c"])
    paired = compared.pairs[0].paired
    assert (paired.gained, paired.lost, paired.pictures) == (1, 1, 4)


def test_each_further_run_is_compared_against_the_first(a_run, cat):
    def answered(*right):
        return a_run(answers=[cat(f"{i}", 0.9 if i in right else 0.1) for i in range(6)])

    compared = compare_runs([answered(0, 1), answered(0), answered(1, 2, 3)])
    counts = [(pair.paired.gained, pair.paired.lost) for pair in compared.pairs]
    assert counts == [(0, 1), (2, 1)]
    assert {one.path for one in compared.changed} == {"0", "1", "2", "3"}
    assert any("up to 0.10" in note for note in compared.notes)


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (0.1, 0.9, "better beyond chance"),
        (0.9, 0.1, "worse beyond chance"),
        (0.9, 0.8, "not told apart"),
    ],
)
def test_the_verdict_says_whether_it_is_chance(a_run, cat, before, after, verdict):
    first, second = (a_run(answers=[cat(f"{i}", p) for i in range(9)]) for p in (before, after))
    (pair,) = compare_runs([first, second]).pairs
    assert pair.verdict == verdict
    said = {"not told apart": "B and A are not told apart"}
    assert pair.sentence.startswith(said.get(verdict, f"B is {verdict[:6].strip()} than A"))


def test_five_changed_sides_are_too_few_to_tell_and_six_are_enough(a_run, cat):
    verdicts = []
    for changed in (5, 6):
        first = a_run(answers=[cat(f"{i}", 0.1 if i < changed else 0.9) for i in range(20)])
        second = a_run(answers=[cat(f"{i}", 0.9) for i in range(20)])
        verdicts += [pair.verdict for pair in compare_runs([first, second]).pairs]
    assert verdicts == ["not told apart", "better beyond chance"]


def test_other_test_pictures_are_not_paired(a_run, cat):
    answers = [cat("a", 0.9), cat("b", 0.1)]
    first = a_run(answers=answers)
    others = [
        (a_run(answers=answers, tags={"test_digest": "other"}), "another test_digest"),
        (a_run(answers=[*answers, cat("c", 0.9)]), "differ in paths or labels"),
        (a_run(answers=[answers[0], ("b", "dogs", {"cats": 1, "dogs": 0})]), "differ in paths"),
        (a_run(), "no answers of B"),
    ]
    for other, reason in others:
        compared = compare_runs([first, other])
        (pair,) = compared.pairs
        assert pair.paired is None
        assert pair.verdict is None
        assert reason in pair.sentence
        assert compared.changed == []
        assert "test_accuracy" in compared.metrics


def test_a_run_beside_others_with_other_pictures_does_not_hinder_their_pair(a_run, cat):
    first, third = a_run(answers=[cat("a", 0.9)]), a_run(answers=[cat("a", 0.1)])
    compared = compare_runs([first, a_run(answers=[cat("b", 0.9)]), third])
    assert [pair.paired is None for pair in compared.pairs] == [True, False]
    assert set(compared.changed[0].answers) == {0, 2}


def test_a_run_without_test_figures_or_with_a_broken_table_is_told(a_run, cat):
    broken = a_run(answers=[cat("a", 0.9)])
    broken = type(broken)(**{**vars(broken), "answers": "path,label\na,cats\n"})
    compared = compare_runs([a_run(metrics={}), broken])
    assert re.search("A was not evaluated", compared.notes[0])
    assert re.search("predictions.csv of B cannot be used", compared.notes[1])
