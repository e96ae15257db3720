"""The ranked table of a sweep."""

import csv
import io

import pytest

from pawprint.sweep.leaderboard import (
    as_csv,
    as_markdown,
    group_rows,
    objectives_of,
    rank,
)
from pawprint.system.errors import UserError
from pawprint.system.terminal import print_rows
from pawprint.tracking.trials import TrialRun

ACCURACY = {"best_val_accuracy": True}


def trial(name, accuracy=None, *, pruned=False, status="FINISHED", seconds=2.0, **figures):
    if accuracy is not None:
        figures |= {"best_val_accuracy": accuracy, "best_epoch": 3, "trial_seconds": seconds}
    axes = dict(word.split("=") for word in name.split())
    return TrialRun(
        *(name, name, f"identity of {name}", "parent", status, figures, axes, name.split()),
        *({}, pruned, ""),
    )


def test_the_best_comes_first_pruned_ones_last_and_failed_ones_without_a_rank():
    trials = [
        trial("depth=1", 0.7),
        trial("depth=2", status="FAILED"),
        trial("depth=3", 0.9, pruned=True),
        trial("depth=4", 0.8),
    ]
    leaderboard = rank(trials, ["depth"], ACCURACY)
    rows = leaderboard.rows()
    assert [row["depth"] for row in rows] == ["4", "1", "3", "2"]
    assert [row["rank"] for row in rows] == ["1", "2", "3", ""]
    assert [row["status"] for row in rows] == ["finished", "finished", "pruned", "failed"]
    assert rows[0]["val_accuracy"] == "0.8000"
    assert leaderboard.winner.name == "depth=4"


def test_a_trial_that_ended_without_its_last_figures_is_not_done():
    whole = trial("depth=1", 0.7)
    cut = trial("depth=2")
    failed = trial("depth=3", 0.9, status="FAILED")
    assert [t.done for t in (whole, cut, failed)] == [True, False, False]
    assert rank([cut, failed], ["depth"], ACCURACY).winner is None


def test_with_seeds_the_best_mean_wins_whatever_the_best_single_one_is():
    trials = [
        trial("depth=1 seed=0", 0.95),
        trial("depth=1 seed=1", 0.65),
        trial("depth=2 seed=0", 0.85),
        trial("depth=2 seed=1", 0.87),
    ]
    leaderboard = rank(trials, ["depth", "seed"], ACCURACY)
    assert leaderboard.winner.name == "depth=2 seed=1"
    first, second = group_rows(leaderboard)
    assert first == {
        "rank": "1",
        "trials": "depth=2",
        "mean val_accuracy": "0.8600",
        "spread": "0.0141",
        "lowest": "0.8500",
        "highest": "0.8700",
        "seeds": "2",
    }
    assert second["spread"] == "0.2121"


def test_seeds_alone_make_one_group():
    leaderboard = rank([trial("seed=0", 0.5), trial("seed=1", 0.7)], ["seed"], ACCURACY)
    (row,) = group_rows(leaderboard)
    assert (row["trials"], row["mean val_accuracy"]) == ("all", "0.6000")


def test_of_several_objectives_those_are_marked_that_none_beats_in_all():
    objectives = objectives_of(["best_val_accuracy", "seconds_per_picture"])
    trials = [
        trial("depth=1", 0.7, seconds_per_picture=0.001),
        trial("depth=2", 0.9, seconds_per_picture=0.004),
        trial("depth=3", 0.8, seconds_per_picture=0.005),
        trial("depth=4", 0.8, seconds_per_picture=0.002),
    ]
    rows = rank(trials, ["depth"], objectives).rows()
    assert {row["depth"]: row["best_of_both"] for row in rows} == {
        "1": "yes",
        "2": "yes",
        "3": "",
        "4": "yes",
    }
    assert [row["depth"] for row in rows] == ["2", "4", "3", "1"]


@pytest.mark.parametrize("names", [["accuracy"], []])
def test_an_unknown_objective_is_refused_with_those_there_are(names):
    with pytest.raises(UserError, match="best_val_accuracy, best_val_loss, seconds_per_picture"):
        objectives_of(names)


def test_brackets_in_values_are_shown(capsys):
    trials = [trial("growth.sizes=[0.5,1.0]", 0.7)]
    print_rows("Trials", rank(trials, ["growth.sizes"], ACCURACY).rows())
    assert "[0.5,1.0]" in capsys.readouterr().out


def test_the_table_is_read_back_from_csv_and_shown_in_markdown():
    rows = rank([trial("depth=1", 0.7), trial("depth=2", 0.8)], ["depth"], ACCURACY).rows()
    assert list(csv.DictReader(io.StringIO(as_csv(rows)))) == rows
    lines = as_markdown([{"a": "x|y", "b": "2"}]).splitlines()
    assert lines == ["| a | b |", "| --- | --- |", "| x/y | 2 |"]
