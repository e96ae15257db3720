"""Pictures of a sweep."""

import io

import pytest
from PIL import Image

from pawprint.sweep.figures import axes_figure, parallel_figure
from pawprint.sweep.leaderboard import objectives_of, rank
from pawprint.tracking.trials import TrialRun

ACCURACY = {"best_val_accuracy": True}


def board(*trials, objectives=ACCURACY):
    runs = [
        TrialRun(
            *(str(i), str(i), str(i), "parent", "FINISHED"),
            *(figures | {"trial_seconds": 1.0}, axes, [], {}, pruned, ""),
        )
        for i, (axes, figures, pruned) in enumerate(trials)
    ]
    return rank(runs, list(trials[0][0]), objectives)


def drawn(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return Image.open(file).size


GRID = board(
    *(
        (
            {"optimizer": o, "depth": d},
            {"best_val_accuracy": 0.5 + len(o) / 10 + int(d) / 100},
            False,
        )
        for o in ("adam", "sgd", "adadelta")
        for d in ("10", "2", "3")
    )
)


def test_each_trial_is_a_line_through_its_settings_to_its_accuracy():
    figure = parallel_figure(GRID)
    (axes,) = figure.axes
    trials = [line for line in axes.lines if len(line.get_xdata()) == 3]
    assert len(trials) == 9
    assert [tick.get_text() for tick in axes.get_xticklabels()] == [
        "optimizer",
        "depth",
        "val_accuracy",
    ]
    best = trials[-1]  # on top
    assert best.get_ydata()[-1] == 1.0
    assert min(drawn(figure)) > 300


def test_numbers_stand_by_their_size_and_means_are_of_all_trials_with_the_value():
    optimizer, depth = axes_figure(GRID).axes
    assert [tick.get_text() for tick in depth.get_xticklabels()] == ["2", "3", "10"]
    assert [tick.get_text() for tick in optimizer.get_xticklabels()] == ["adadelta", "adam", "sgd"]
    means = depth.lines[0].get_ydata()
    assert list(means) == pytest.approx([1.02, 1.03, 1.10])


def test_many_rates_stand_on_a_logarithmic_scale():
    trials = [
        (
            {"learning_rate": f"{10 ** -(i / 3):.5g}"},
            {"best_val_accuracy": 0.5 + i / 40},
            i % 3 == 0,
        )
        for i in range(12)
    ]
    (axes,) = axes_figure(board(*trials)).axes
    assert axes.get_xscale() == "log"
    drawn(parallel_figure(board(*trials)))


def test_equal_trials_several_objectives_and_missing_figures_can_be_drawn():
    same = [({"seed": str(i)}, {"best_val_accuracy": 0.5}, False) for i in range(3)]
    drawn(parallel_figure(board(*same)))
    drawn(axes_figure(board(*same)))
    both = objectives_of(["best_val_accuracy", "seconds_per_picture"])
    trials = [
        ({"depth": "1"}, {"best_val_accuracy": 0.5, "seconds_per_picture": 0.1}, False),
        ({"depth": "2"}, {"best_val_accuracy": 0.4}, True),
    ]
    drawn(parallel_figure(board(*trials, objectives=both)))
