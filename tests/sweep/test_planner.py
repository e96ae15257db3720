"""What makes two trials, or two sweeps, the same."""

import itertools
from pathlib import Path

import pytest

from pawprint.config.compose import compose
from pawprint.config.schema import PREPARED
from pawprint.sweep.planner import Grid, Planner, SweepSpec, check_effects, trial_identity
from pawprint.system.errors import UserError


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


def test_a_trial_is_another_with_another_teacher_whatever_it_is_called(tmp_path):
    for name, content in (("one", b"1"), ("copy", b"1"), ("other", b"2")):
        (tmp_path / f"{name}.onnx").write_bytes(content)
    one, copy, other = (f"teacher={tmp_path}/{name}.onnx" for name in ("one", "copy", "other"))
    assert identity(one) == identity(copy) != identity(other)
    assert identity(one) != identity()
    assert spec({"depth": "2,3"}, one).identity("data") == spec({"depth": "2"}, copy).identity(
        "data"
    )
    with pytest.raises(UserError, match=r"teacher is .*gone\.onnx: .* is no file"):
        identity(f"teacher={tmp_path}/gone.onnx")


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


@pytest.mark.parametrize("axis", PREPARED)
def test_an_axis_over_what_was_prepared_is_refused(axis):
    with pytest.raises(UserError) as refused:
        spec({"depth": "2,3", axis: "a,b"})
    assert str(refused.value) == (
        f"{axis} is an axis, but it is of `pawprint prepare`, and all trials learn from what that "
        f"prepared; run prepare and a sweep for each value"
    )


@pytest.mark.parametrize(
    "axis",
    [
        *("gate", "gate.margin", "sure_precision", "folds", "predict_images", "tracking"),
        *("tracking.uri", "sweep.promote", "hydra/launcher", "hydra.launcher.n_jobs"),
    ],
)
def test_an_axis_that_no_training_reads_is_refused(axis):
    with pytest.raises(UserError) as refused:
        spec({axis: "a,b"})
    assert str(refused.value) == (
        f"{axis} is an axis, but no training reads it, so that all trials would be the same; give "
        "it one value"
    )


def combined(*axes, fixed=()):
    words = [[*fixed, *chosen] for chosen in itertools.product(*axes)]
    return [(one, compose(one)) for one in words]


@pytest.mark.parametrize(
    ("fixed", "axis"),
    [
        ("model=article", ["depth=2", "depth=3"]),
        ("model=transfer", ["depth=2", "depth=3"]),
        ("model=transfer", ["width=8", "width=16"]),
        ("model=transfer", ["model.head_rate=0.1", "model.head_rate=0.2"]),
        ("model=transfer", ["augment=light", "augment=strong"]),
        ("model=resnet", ["dense_units=8", "dense_units=16"]),
        ("model=cnn", ["model.backbone=MobileNet", "model.backbone=ResNet50"]),
        ("optimizer=sgd", ["learning_rate=null", "learning_rate=0.02"]),
    ],
)
def test_an_axis_along_which_all_trainings_are_the_same_is_refused(fixed, axis):
    key, model = axis[0].partition("=")[0], compose([fixed]).model.name
    with pytest.raises(UserError) as refused:
        check_effects([key, "seed"], combined(axis, ["seed=0", "seed=1"], fixed=[fixed]))
    assert str(refused.value) == (
        f"{key} is an axis, but with model={model} all its values make the same training; leave it "
        "out"
    )


def test_an_axis_that_one_of_the_networks_reads_is_none_of_those():
    combinations = combined(["model=cnn", "model=article"], ["depth=2", "depth=3"])
    check_effects(["model", "depth"], combinations)
    planner = Planner(spec({"model": "cnn,article", "depth": "2,3"}), "data", "run", "store")
    grid = Grid(planner, {}, combinations)
    assert grid.plan() == "0 done, 3 to run; 1 more would be the same as one of them"
