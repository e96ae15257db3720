"""What makes two trials, or two sweeps, the same."""

from pathlib import Path

import pytest

from pawprint.config.compose import compose
from pawprint.sweep.planner import Planner, SweepSpec, trial_identity


def spec(axes, *fixed, kind="grid"):
    return SweepSpec(
        fixed=[],
        axes=axes,
        base=compose(list(fixed)),
        resolve=compose,
        folder=Path("trials"),
        objectives={"best_val_accuracy": True},
        kind=kind,
    )


def identity(*words, data="data"):
    return trial_identity(compose(list(words)), data)


@pytest.mark.parametrize(
    ("words", "others"),
    [
        (["depth=2", "dropout=0.1"], ["dropout=0.1", "depth=2"]),
        (["optimizer=sgd"], ["optimizer=sgd", "learning_rate=0.02"]),  # its own rate
        (["depth=2"], ["depth=2", "gate=always", "sure_precision=0.9", "folds=5"]),
        (["depth=2"], ["depth=2", "tracking.experiment=other", "predict_images=elsewhere"]),
        (["depth=2"], ["depth=2", "images=/moved/pictures", "sweep.fresh=true"]),
    ],
)
def test_a_trial_is_the_same_whatever_does_not_change_its_training(words, others):
    assert identity(*words) == identity(*others)


@pytest.mark.parametrize(
    "word", ["depth=3", "seed=1", "epochs=3", "augment.zoom=0.3", "mirror=false"]
)
def test_a_trial_is_another_with_another_setting(word):
    assert identity() != identity(word)


def test_a_trial_is_another_with_other_pictures():
    assert identity(data="these") != identity(data="those")


def test_a_sweep_is_the_same_with_more_values_and_in_another_order():
    narrow = spec({"depth": "2,3", "optimizer": "adam,sgd"})
    wide = spec({"optimizer": "adam,sgd,muon", "depth": "2,3,4"})
    assert narrow.identity("data") == wide.identity("data")


@pytest.mark.parametrize(
    "other",
    [
        spec({"depth": "2,3"}, "epochs=9"),
        spec({"depth": "2,3", "dropout": "0,0.1"}),
        spec({"depth": "2,3"}, kind="search"),
        spec({"depth": "2,3"}, "learning_rate=0.5"),
    ],
)
def test_a_sweep_is_another_with_another_axis_setting_or_sweeper(other):
    assert spec({"depth": "2,3"}).identity("data") != other.identity("data")


def test_a_fixed_rate_makes_another_sweep_over_optimizers():
    axes = {"optimizer": "adam,sgd"}
    assert spec(axes).identity("d") != spec(axes, "learning_rate=0.5").identity("d")


def test_a_trial_is_named_by_its_settings_along_the_axes_and_keeps_all_of_them():
    planner = Planner(spec({"depth": "2,3", "optimizer": "adam,sgd"}), "data", "run", "store")
    trial = planner.trial(["epochs=3", "optimizer=sgd", "depth=2"], 7)
    assert trial.name == "depth=2 optimizer=sgd"
    assert trial.axes == {"depth": "2", "optimizer": "sgd"}
    assert trial.overrides == ("epochs=3", "optimizer=sgd", "depth=2")
    assert (trial.config.epochs, trial.config.depth, trial.config.optimizer.name) == (3, 2, "sgd")
    assert trial.folder == Path("trials/7")
