import colorsys
import warnings

import keras
import numpy as np
import pytest

from pawprint.errors import UserError
from pawprint.models.build import build_model
from pawprint.training.augmentation import augmentation_of
from pawprint.training.callbacks import write_history
from pawprint.training.fit import fit, seed_everything

SIDE = 8
COLUMNS = ["epoch", "accuracy", "loss", "val_accuracy", "val_loss", "learning_rate"]


def coloured(count, classes, seed=0):
    """Noisy pictures of one colour per class."""
    labels = np.arange(count) % classes
    colours = np.array([colorsys.hsv_to_rgb(i / classes, 0.8, 0.8) for i in range(classes)]) * 255
    noise = np.random.default_rng(seed).normal(0, 20, (count, SIDE, SIDE, 3))
    return np.clip(colours[labels][:, None, None] + noise, 0, 255).astype(np.uint8), labels


def train(
    *,
    classes=2,
    name="cnn",
    rate=0.03,
    optimizer=keras.optimizers.Adam,
    pictures=(24, 10),
    seed=0,
    **changes,
):
    """Train a tiny network; returns it, its history, its validation pictures and the reports."""
    seed_everything(seed)
    model = build_model(name, SIDE, classes, depth=1, filters=4, dense_units=8, dropout=0.2)
    validation = coloured(pictures[1], classes, seed=1)
    reports = []
    settings = {"augmentation": None, "epochs": 6, "patience": 6, "batch_size": 8}
    settings |= {"steps_per_epoch": None, "validation_steps": None} | changes
    history = fit(
        model,
        optimizer(rate),
        coloured(pictures[0], classes),
        validation,
        classes=classes,
        seed=seed,
        report=lambda epoch, figures: reports.append((epoch, figures)),
        **settings,
    )
    return model, history, validation, reports


def falling(steps):
    """A rate that learns for so many steps and then unlearns: the best epoch is not the last."""
    return keras.optimizers.schedules.PiecewiseConstantDecay([steps - 1], [0.03, -1.0])


VARIED = augmentation_of(horizontal_flip=True, zoom=0.2, shear=0.2, rotation=10.0, shift=0.1)


@pytest.fixture(scope="module")
def trained():
    """One plain training of two epochs."""
    return train(epochs=2)


# Learning


@pytest.mark.parametrize(("name", "classes"), [("article", 2), ("cnn", 2), ("cnn", 3)])
def test_a_tiny_training_learns_coloured_pictures(name, classes):
    _, history, _, _ = train(name=name, classes=classes, epochs=10, patience=10)
    assert max(row["val_accuracy"] for row in history) == 1.0
    assert history[-1]["loss"] < history[0]["loss"]


def test_it_learns_with_augmentation_too():
    _, history, _, _ = train(augmentation=VARIED, epochs=10, patience=10)
    assert max(row["val_accuracy"] for row in history) == 1.0


def test_the_history_has_a_row_per_epoch_with_every_figure(trained):
    _, history, _, _ = trained
    assert [list(row) for row in history] == [COLUMNS] * 2
    assert [row["epoch"] for row in history] == [1, 2]
    assert all(row["learning_rate"] == pytest.approx(0.03) for row in history)


def test_the_history_tells_the_rate_of_the_schedule():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([3], [0.03, 0.01])
    _, history, _, _ = train(rate=schedule, epochs=2)
    assert [row["learning_rate"] for row in history] == pytest.approx([0.03, 0.01])


def test_each_epoch_is_reported_with_its_figures_and_its_speed(trained):
    _, history, _, reports = trained
    assert [epoch for epoch, _ in reports] == [1, 2]
    for row, (_, figures) in zip(history, reports, strict=True):
        assert {name: figures[name] for name in COLUMNS[1:]} == {n: row[n] for n in COLUMNS[1:]}
        assert set(figures) - set(COLUMNS) == {"seconds", "pictures_per_second"}
        assert figures["seconds"] > 0
        assert figures["pictures_per_second"] > 0


def test_a_training_emits_no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(epochs=2, steps_per_epoch=5, validation_steps=3)


# The best weights


def test_the_weights_of_the_best_epoch_are_kept():
    model, history, (pictures, labels), _ = train(rate=falling(9), optimizer=keras.optimizers.SGD)
    accuracies = [row["val_accuracy"] for row in history]
    assert accuracies[-1] < max(accuracies)
    best = max(history, key=lambda row: row["val_accuracy"])
    loss, accuracy = model.evaluate(pictures, labels, batch_size=8, verbose=0)
    assert accuracy == pytest.approx(best["val_accuracy"])
    assert loss == pytest.approx(best["val_loss"], rel=1e-4)


def test_a_training_stops_after_patience_epochs_without_a_better_one():
    _, history, _, _ = train(rate=falling(9), optimizer=keras.optimizers.SGD, epochs=30, patience=3)
    best = max(history, key=lambda row: row["val_accuracy"])["epoch"]
    assert len(history) == best + 3 < 30


# The same in, the same out


def test_two_trainings_with_one_seed_have_identical_histories_and_weights():
    first, one, _, _ = train(seed=3, epochs=2, augmentation=VARIED)
    second, two, _, _ = train(seed=3, epochs=2, augmentation=VARIED)
    assert one == two
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_another_seed_gives_another_history(trained):
    assert train(seed=4, epochs=2)[1] != trained[1]


# Steps


def test_an_epoch_is_one_full_pass(trained):
    assert int(trained[0].optimizer.iterations) == 2 * 3


@pytest.mark.parametrize("steps_per_epoch", [1, 5])
def test_an_epoch_takes_as_many_steps_as_given(steps_per_epoch):
    model, _, _, _ = train(epochs=2, steps_per_epoch=steps_per_epoch)
    assert int(model.optimizer.iterations) == 2 * steps_per_epoch


def test_one_validation_step_takes_exactly_one_batch():
    model, history, (pictures, labels), _ = train(epochs=1, validation_steps=1)
    loss, accuracy = model.evaluate(pictures[:8], labels[:8], batch_size=8, verbose=0)
    assert history[0]["val_loss"] == pytest.approx(loss, rel=1e-5)
    assert history[0]["val_accuracy"] == pytest.approx(accuracy)
    whole = model.evaluate(pictures, labels, batch_size=8, verbose=0)[0]
    assert history[0]["val_loss"] != pytest.approx(whole, rel=1e-5)


def test_a_validation_of_a_full_pass_counts_each_picture_once(trained):
    model, history, (pictures, labels), _ = trained
    best = max(history, key=lambda row: row["val_accuracy"])  # whose weights were kept
    answers = model.predict(pictures, verbose=0)[:, 0]
    chances = np.where(labels == 1, answers, 1 - answers)
    assert best["val_accuracy"] == pytest.approx((chances > 0.5).mean())
    assert best["val_loss"] == pytest.approx(-np.log(chances).mean(), rel=1e-4)


# Where the loss is lost


def test_a_loss_that_is_no_number_is_one_sentence_with_epoch_and_rate():
    with pytest.raises(UserError, match=r"loss is nan in epoch 1 at learning rate 1e\+30") as told:
        train(name="article", optimizer=keras.optimizers.SGD, rate=1e30)
    assert "lower learning_rate" in str(told.value)
    assert "\n" not in str(told.value)


def test_a_later_epoch_is_named_where_the_loss_is_lost_there():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([3], [0.01, 1e30])
    with pytest.raises(UserError, match=r"in epoch 2 at learning rate 1e\+30"):
        train(name="article", optimizer=keras.optimizers.SGD, rate=schedule)


def test_weights_lost_in_the_very_last_step_are_told_as_well():
    with pytest.raises(UserError, match=r"val_loss is nan in epoch 1 at learning rate 1e\+30"):
        train(
            name="article",
            optimizer=keras.optimizers.SGD,
            rate=1e30,
            epochs=1,
            steps_per_epoch=1,
        )


# The file of it


def test_the_history_file_keeps_every_digit(tmp_path):
    rows = [{"epoch": 1, "loss": 0.1 + 0.2}, {"epoch": 2, "loss": 1e-17}]
    write_history(tmp_path / "history.csv", rows)
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines == ["epoch,loss", "1,0.30000000000000004", "2,1e-17"]
