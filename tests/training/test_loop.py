import warnings

import keras
import numpy as np
import pytest

from pawprint.system.errors import UserError
from pawprint.training.augmentation import Augmentation
from pawprint.training.checkpoint import State
from pawprint.training.loop import DivergedError
from pawprint.training.optimizers import build_optimizer
from pawprint.training.recording import write_history

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


# Learning


@pytest.mark.parametrize(("name", "classes"), [("article", 2), ("cnn", 3), ("resnet", 2)])
def test_a_tiny_training_learns_coloured_pictures(train, name, classes):
    trained = train(name=name, classes=classes, epochs=6, vary=VARIED)
    history = trained.fitted.history
    assert max(row["val_accuracy"] for row in history) == 1.0
    assert history[-1]["loss"] < history[0]["loss"]


def test_the_history_has_a_row_per_epoch_with_every_figure(plain):
    history = plain.fitted.history
    assert [list(row) for row in history] == [COLUMNS] * 6
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5, 6]
    assert all(row["learning_rate"] == pytest.approx(0.03) for row in history)
    assert all(type(value) in (int, float) for row in history for value in row.values())


def test_each_epoch_is_reported_with_its_figures_and_its_speed(plain):
    assert [epoch for epoch, _ in plain.reports] == [1, 2, 3, 4, 5, 6]
    for row, (_, figures) in zip(plain.fitted.history, plain.reports, strict=True):
        assert {name: figures[name] for name in COLUMNS[1:]} == {n: row[n] for n in COLUMNS[1:]}
        assert set(figures) - set(COLUMNS) == SPEEDS
        assert figures["seconds"] > 24 / figures["pictures_per_second"] > 0
        assert 0 <= figures["input_wait_share"] <= 1
        assert figures["picture_size"] == 8


def test_what_the_training_did_is_added_up(plain):
    fitted = plain.fitted
    assert fitted.pictures == {8: 6 * 24}
    speeds = [figures["pictures_per_second"] for _, figures in plain.reports]
    assert fitted.seconds == pytest.approx(sum(24 / speed for speed in speeds))
    assert 0 < fitted.seconds_waited < fitted.seconds


# The best weights


def test_the_weights_of_the_epoch_of_the_best_val_accuracy_are_kept(spoilt):
    accuracies = [row["val_accuracy"] for row in spoilt.fitted.history]
    assert accuracies[-1] < max(accuracies)
    assert_kept_are_the_best(spoilt)


def test_of_epochs_of_one_val_accuracy_the_one_of_the_least_val_loss_is_the_best(plain):
    accuracies = [row["val_accuracy"] for row in plain.fitted.history]
    assert accuracies.count(max(accuracies)) > 1
    assert_kept_are_the_best(plain)


def test_a_training_stops_after_patience_epochs_without_a_better_one(spoilt):
    assert len(spoilt.fitted.history) == spoilt.fitted.best["epoch"] + 3 < 30


def test_without_patience_every_epoch_is_trained(train):
    trained = train(optimizer=lambda: changing([0.03, -1.0], [0]), steps=1, epochs=5, patience=None)
    assert len(trained.fitted.history) == 5
    assert trained.fitted.best["epoch"] < 4


def test_patience_begins_with_the_last_picture_size(train):
    unlearning = lambda: changing([0.03, -1.0], [4])  # noqa: E731
    trained = train(optimizer=unlearning, sizes=[4] * 6 + [8] * 24, patience=2)
    assert len(trained.fitted.history) == trained.fitted.best["epoch"] + 2
    assert 6 < trained.fitted.best["epoch"] < 28


# Averaged weights


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


def test_averages_are_what_is_validated_and_kept(averaged):
    trained, _ = averaged
    assert_kept_are_the_best(trained)
    assert trained.fitted.best is trained.fitted.history[-1]
    kept = trained.best().trainable_variables
    averages = trained.optimizer._model_variables_moving_average
    for one, two in zip(kept, averages, strict=True):
        np.testing.assert_allclose(one.numpy(), two.numpy(), rtol=1e-6)


def test_the_averages_are_over_the_weights_after_every_step(averaged):
    trained, seen = averaged
    expected = seen[0]
    for weights in seen[1:]:
        pairs = zip(expected, weights, strict=True)
        expected = [2 / 3 * average + weight / 3 for average, weight in pairs]
    learning = {id(variable) for variable in trained.model.trainable_variables}
    for kept, average, variable in zip(
        trained.fitted.weights, expected, trained.model.weights, strict=True
    ):
        if id(variable) in learning:
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


# The loss


def test_label_smoothing_and_class_weights_are_in_the_training_loss_alone(train):
    labels = np.array([0] * 18 + [1] * 6)
    trained = train(
        optimizer=lambda: keras.optimizers.SGD(0.0),
        name="article",
        dropout=0.0,
        labels=labels,
        balanced=True,
        label_smoothing=0.2,
        epochs=1,
        vary=lambda pictures, targets, rng, size: (np.full_like(pictures, 9), targets),
    )
    (row,) = trained.fitted.history
    grey = np.full((1, 8, 8, 3), 9, np.uint8)
    chance = float(trained.best().predict_on_batch(grey)[0, 0])
    of_first = -0.9 * np.log(1 - chance) - 0.1 * np.log(chance)
    of_second = -0.1 * np.log(1 - chance) - 0.9 * np.log(chance)
    weights = 24 / (2 * 18), 24 / (2 * 6)
    expected = (18 * weights[0] * of_first + 6 * weights[1] * of_second) / 24
    assert row["loss"] == pytest.approx(expected, rel=1e-5)
    assert row["accuracy"] == pytest.approx(18 / 24 if chance < 0.5 else 6 / 24)
    assert_kept_are_the_best(trained)


def test_with_class_weights_the_best_epoch_is_the_best_for_all_classes_alike(train):
    labels = np.array([0, 1, 0, 0, 0, 0, 0, 0, 0, 0])
    trained = train(balanced=True, validation_labels=labels, epochs=4)
    right = (trained.best().predict_on_batch(trained.pictures)[:, 0] > 0.5) == labels
    recalls = [right[labels == one].mean() for one in (0, 1)]
    assert trained.fitted.best["val_accuracy"] == pytest.approx(np.mean(recalls))
    assert trained.fitted.best["val_accuracy"] != pytest.approx(right.mean())


# What was there before


BEFORE = {"epoch": 0, "val_accuracy": 2.0, "val_loss": 0.0}


def test_weights_from_before_are_kept_where_no_epoch_is_better(train):
    one, other = (
        train(optimizer=lambda rate=rate: keras.optimizers.SGD(rate), state=State(before=BEFORE))
        for rate in (0.1, 0.2)
    )
    for trained in (one, other):
        assert trained.fitted.best == BEFORE
        assert len(trained.fitted.history) == 2
    for first, second in zip(one.fitted.weights, other.fitted.weights, strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_better_epoch_goes_before_the_weights_from_before(train):
    trained = train(state=State(before=BEFORE | {"val_accuracy": 0.0}))
    assert trained.fitted.best in trained.fitted.history
    assert_kept_are_the_best(trained)


def test_patience_with_weights_from_before_counts_epochs_of_the_last_size(train):
    trained = train(sizes=[4, 4, 8, 8, 8, 8], patience=2, state=State(before=BEFORE))
    assert len(trained.fitted.history) == 4
    assert trained.fitted.best == BEFORE


# Sizes and steps


def test_pictures_grow_as_planned(train):
    seen = []

    def vary(pictures, targets, rng, size):
        seen.append(size)
        return Augmentation()(pictures, targets, rng, size)

    trained = train(sizes=[4, 4, 8], vary=vary)
    assert seen == [4] * 4 * 2 + [8] * 4  # one batch of an epoch shows what they look like
    assert [figures["picture_size"] for _, figures in trained.reports] == [4, 4, 8]
    assert trained.fitted.pictures == {4: 48, 8: 24}
    assert trained.model.input_shape == (None, None, None, 3)


def test_growing_pictures_are_validated_at_their_size_and_the_last_at_the_whole_one(train):
    judged = []

    def report(trained, epoch):
        network = keras.models.clone_model(trained.model)
        network.set_weights(trained.model.get_weights())
        sizes = {4: trained.pictures.reshape(-1, 4, 2, 4, 2, 3).mean(axis=(2, 4)).round()}
        shown = sizes.get([4, 4, 6, 6][epoch - 1], trained.pictures)
        answers = network.predict_on_batch(shown.astype(np.uint8))
        judged.append(-np.log(np.abs(1 - trained.targets - answers)).mean())

    trained = train(sizes=[4, 4, 6, 6], report=report)
    losses = [row["val_loss"] for row in trained.fitted.history]
    assert losses == pytest.approx(judged, rel=0.02)


def test_an_epoch_of_smaller_pictures_is_never_the_best_one(train):
    trained = train(optimizer=lambda: changing([0.03, -1.0], [6]), sizes=[4, 4, 8, 8])
    history = trained.fitted.history
    assert history[1]["val_accuracy"] > history[2]["val_accuracy"]
    assert trained.fitted.best == max(history[2:], key=quality)


def test_an_epoch_and_a_validation_take_as_many_steps_as_given(train):
    trained = train(steps=20, validation_steps=1)  # 20 are more than TensorFlow does in one call
    assert int(trained.optimizer.iterations) == 2 * 20
    assert trained.fitted.pictures == {8: 2 * 8 * 20}
    shown = np.random.default_rng(0).permutation(10)[:8]
    accuracy, loss = trained.judged(trained.best(), shown)
    assert trained.fitted.best["val_loss"] == pytest.approx(loss, rel=1e-4)
    assert trained.fitted.best["val_accuracy"] == pytest.approx(accuracy)


def test_an_epoch_is_one_full_pass(plain):
    assert int(plain.optimizer.iterations) == 6 * 3


# The same in, the same out


def test_two_trainings_with_one_seed_are_identical(train):
    vary = Augmentation(**vars(VARIED) | {"mixup": 1.0, "cutout": 0.3, "colour": 0.2})
    one, two = (
        train(
            seed=3,
            optimizer=lambda: build_optimizer("muon", 0.01, {}, averaging_steps=4),
            vary=vary,
        )
        for _ in range(2)
    )
    assert one.fitted.history == two.fitted.history
    for first, second in ((one.model, two.model), (one.optimizer, two.optimizer)):
        for a, b in zip(first.variables, second.variables, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    for a, b in zip(one.fitted.weights, two.fitted.weights, strict=True):
        np.testing.assert_array_equal(a, b)


# Where the loss is lost


@pytest.mark.parametrize(("precision", "offered"), [("float32", False), ("bfloat16", True)])
def test_a_lost_loss_offers_float32_only_where_the_precision_is_another(train, precision, offered):
    with pytest.raises(DivergedError) as told:
        train(
            name="article",
            optimizer=lambda: keras.optimizers.SGD(1e30),
            epochs=2,
            precision=precision,
        )
    assert ("precision=float32" in str(told.value)) == offered
    assert "warm-up" not in str(told.value)  # which a constant rate has not


def test_a_lost_loss_is_one_sentence_with_epoch_and_rate_and_has_the_best_weights_before(train):
    kept = []
    with pytest.raises(
        DivergedError, match=r"the loss is nan in epoch 3 at learning rate 1e\+30"
    ) as told:
        train(
            name="article",
            optimizer=lambda: changing([0.01, 1e30], [6]),
            epochs=5,
            report=lambda trained, _: kept.append(trained.model.get_weights()),
        )
    for word in ("lower learning_rate", "schedule.warmup_fraction"):
        assert word in str(told.value)
    assert "\n" not in str(told.value)
    fitted = told.value.fitted
    assert len(kept) == len(fitted.history) == 2
    for seen, expected in zip(fitted.weights, kept[int(fitted.best["epoch"]) - 1], strict=True):
        np.testing.assert_array_equal(seen, expected)


def test_weights_lost_in_the_very_last_step_are_told_as_well(train):
    with pytest.raises(UserError, match=r"val_loss is nan in epoch 1 at learning rate 1e\+30"):
        train(name="article", optimizer=lambda: keras.optimizers.SGD(1e30), epochs=1, steps=1)


def test_weights_that_are_no_numbers_are_told_where_the_loss_hides_them(train):
    def lose(trained, epoch):
        kernel = trained.model.get_layer("convolution_0").kernel
        kernel.assign(kernel * np.nan)  # of which ReLU makes 0

    with pytest.raises(DivergedError, match="sum of some weights is nan in epoch 2") as told:
        train(name="article", report=lose)
    assert told.value.fitted.best["epoch"] == 1
    assert all(np.isfinite(weight).all() for weight in told.value.fitted.weights)


# The file of it


def test_the_history_file_keeps_every_digit(tmp_path):
    rows = [{"epoch": 1, "loss": 0.1 + 0.2}, {"epoch": 2, "loss": 1e-17}]
    write_history(tmp_path / "history.csv", rows)
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines == ["epoch,loss", "1,0.30000000000000004", "2,1e-17"]
