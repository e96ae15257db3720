import warnings

import keras
import numpy as np
import pytest

from pawprint.training.augmentation import Augmentation
from pawprint.training.fit import DivergedError
from pawprint.training.optimization import build_optimizer

COLUMNS = ["epoch", "accuracy", "loss", "val_accuracy", "val_loss", "learning_rate"]
SPEEDS = {"seconds", "pictures_per_second", "input_wait_share", "picture_size"}
VARIED = Augmentation(horizontal_flip=True, zoom=0.2, shear=0.2, rotation=10.0, shift=0.1)


def changing(rates, after):
    """SGD with one rate after the other."""
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(after, rates)
    return keras.optimizers.SGD(schedule)


def quality(row):
    return row["val_accuracy"], -row["val_loss"]


def assert_kept_are_the_best(trained):
    """The weights that were kept are as good as the best row of the history says."""
    best = max(trained.fitted.history, key=quality)
    assert trained.fitted.best == best
    accuracy, loss = trained.judged(trained.best())
    assert accuracy == pytest.approx(best["val_accuracy"])
    assert loss == pytest.approx(best["val_loss"], rel=1e-4)


@pytest.fixture(scope="module")
def plain(train):
    """A training of six epochs that learns everything there is to learn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it emits none
        return train(epochs=6)


@pytest.fixture(scope="module")
def spoilt(train):
    """A training that learns for three epochs of three steps and then unlearns."""
    return train(optimizer=lambda: changing([0.03, -1.0], [8]), epochs=30, patience=3)


@pytest.fixture(scope="module")
def averaged(train):
    """A training of one step per epoch that averages, and its weights after each step."""
    seen = []
    trained = train(
        optimizer=lambda: build_optimizer("sgd", 0.3, {}, averaging_steps=3),
        dropout=0.0,
        steps=1,
        epochs=5,
        report=lambda trained, _: seen.append(trained.model.get_weights()),
    )
    return trained, seen


def test_the_averages_are_over_the_weights_after_every_step(averaged):
    trained, seen = averaged
    expected = seen[0]
    for weights in seen[1:]:
        pairs = zip(expected, weights, strict=True)
        expected = [2 / 3 * average + weight / 3 for average, weight in pairs]
    learning = {id(v) for v in trained.model.trainable_variables}
    for kept, average, v in zip(
        trained.fitted.weights, expected, trained.model.weights, strict=True
    ):
        if id(v) in learning:
            np.testing.assert_allclose(kept, average, rtol=1e-4, atol=1e-6)


def test_averaging_does_not_change_what_is_trained(averaged, train):
    trained, seen = averaged
    plain = []
    without = train(
        optimizer=lambda: build_optimizer("sgd", 0.3, {}),
        dropout=0.0,
        steps=1,
        epochs=5,
        report=lambda trained, _: plain.append(trained.model.get_weights()),
    )
    for epoch, (one, two) in enumerate(zip(seen, plain, strict=True)):
        for a, b in zip(one, two, strict=True):
            np.testing.assert_array_equal(a, b, f"after epoch {epoch + 1}")
    losses = [[row["loss"] for row in run.fitted.history] for run in (trained, without)]
    assert losses[0] == losses[1]


# The rest: each goes to the file named above it


# tests/training/test_augmentation.py: more parameters of test_what_goes_in_is_not_changed
@pytest.mark.parametrize("ranges", [{"colour": 0.3}, {"cutout": 0.4}, {"cutmix": 1.0}])
def test_what_goes_in_is_not_changed(ranges):
    pictures = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    before = pictures.copy()
    Augmentation(**ranges)(pictures, np.eye(8, dtype=np.float32), np.random.default_rng(0), 16)
    np.testing.assert_array_equal(pictures, before)


# tests/test_config.py
@pytest.mark.parametrize("option", [["-m"], ["--cfg", "job"]])
def test_a_recipe_behind_an_option_leaves_the_overrides_together(option):
    from pawprint.config import project_root, with_recipe

    words = with_recipe(project_root(), [*option, "recipe=article", "seed=1,2"])
    assert words[: len(option)] == option  # argparse takes overrides in one place only
    assert words[-1] == "seed=1,2"


def test_a_recipe_is_taken_from_mlflow_runs_two_words():
    from pawprint.config import project_root, with_recipe

    assert "epochs=25" in with_recipe(project_root(), ["--recipe", "article"])


# tests/training/test_optimization.py
def test_muon_leaves_mobilenets_depthwise_kernels_to_adamw():
    given = keras.Input((8, 8, 2))
    x = keras.layers.DepthwiseConv2D(3, use_bias=False, name="conv_dw_1")(given)
    model = keras.Model(given, keras.layers.Conv2D(3, 1, use_bias=False, name="conv_pw_1")(x))
    optimizer = build_optimizer("muon", 0.1, {})
    optimizer.build(model.trainable_variables)
    assert [velocity is None for velocity in optimizer.adam_velocities] == [False, True]


# tests/training/test_growth.py
def test_no_size_is_larger_than_the_whole_one():
    from pawprint.training.growth import sizes_by_epoch

    assert max(sizes_by_epoch(31, 1, [0.98], [])) <= 31


# tests/training/test_fit.py, in the test of DivergedError
def test_the_history_up_to_there_is_in_the_error(train):
    with pytest.raises(DivergedError) as told:
        train(name="article", optimizer=lambda: changing([0.01, 1e30], [6]), epochs=5)
    assert len(told.value.fitted.history) == 2
