import itertools
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from pawprint.images.store import load_split
from pawprint.prepare import prepare
from pawprint.training.batches import (
    epoch_batches,
    steps_in,
    training_batches,
    validation_batches,
)


def numbered(count, size=2):
    """Pictures whose label is their own number, and whose pixels say it too."""
    numbers = np.arange(count)
    pictures = np.zeros((count, size, size, 3), np.uint8)
    pictures[..., 0] = (numbers % 256)[:, None, None]
    pictures[..., 1] = (numbers // 256)[:, None, None]
    return pictures, numbers


def drawn(count, *, batch_size=4, steps=None, epochs=1, seed=0, augmentation=None):
    """The batches of each epoch, as lists of picture numbers."""
    steps = steps_in(count, batch_size, steps)
    data = training_batches(
        *numbered(count),
        batch_size=batch_size,
        steps=steps,
        epochs=epochs,
        seed=seed,
        augmentation=augmentation,
    )
    batches = [labels.numpy().tolist() for _, labels in data]
    assert len(batches) == steps * epochs == int(data.cardinality())
    return [batches[i : i + steps] for i in range(0, len(batches), steps)]


def flat(batches):
    return list(itertools.chain.from_iterable(batches))


@pytest.mark.parametrize(
    ("pictures", "batch_size", "steps", "expected"),
    [(10, 4, None, 3), (8, 4, None, 2), (3, 4, None, 1), (10, 4, 7, 7), (10, 4, 1, 1)],
)
def test_an_epoch_is_one_full_pass_or_as_many_steps_as_given(pictures, batch_size, steps, expected):
    assert steps_in(pictures, batch_size, steps) == expected


# Training


def test_a_full_pass_sees_each_picture_once_and_its_last_batch_is_smaller():
    (epoch,) = drawn(10)
    assert [len(batch) for batch in epoch] == [4, 4, 2]
    assert sorted(flat(epoch)) == list(range(10))


def test_the_order_is_shuffled():
    (epoch,) = drawn(50)
    assert flat(epoch) != list(range(50))


def test_a_picture_keeps_its_label():
    pictures, labels = numbered(600)
    data = training_batches(
        pictures, labels, batch_size=64, steps=10, epochs=1, seed=3, augmentation=None
    )
    for x, y in data:
        assert (x.dtype, y.dtype) == (tf.uint8, tf.int64)
        low, high = np.moveaxis(x[:, 0, 0, :2].numpy().astype(int), 1, 0)
        np.testing.assert_array_equal(low + 256 * high, y)


def test_a_number_of_steps_goes_round_again_150_of_32_over_2000():
    (epoch,) = drawn(2000, batch_size=32, steps=150)
    # 62 batches of 32 and one of 16 are a pass: two passes and 24 batches
    assert [len(batch) for batch in epoch] == ([32] * 62 + [16]) * 2 + [32] * 24
    for start in (0, 63):
        assert sorted(flat(epoch[start : start + 63])) == list(range(2000))
    rest = flat(epoch[126:])
    assert len(set(rest)) == len(rest) == 24 * 32


def test_each_pass_of_one_epoch_has_an_order_of_its_own():
    (epoch,) = drawn(40, batch_size=10, steps=12)
    passes = [flat(epoch[i : i + 4]) for i in (0, 4, 8)]
    assert passes[0] != passes[1] != passes[2] != passes[0]


def test_fewer_steps_than_a_pass_see_other_pictures_in_the_next_epoch():
    first, second = drawn(40, batch_size=10, steps=1, epochs=2)
    assert set(flat(first)) != set(flat(second))


def test_each_epoch_has_an_order_of_its_own():
    first, second, third = (flat(epoch) for epoch in drawn(40, epochs=3))
    assert first != second != third != first


def test_the_same_seed_gives_the_same_order_and_another_seed_another():
    assert drawn(40, epochs=2, seed=5) == drawn(40, epochs=2, seed=5)
    assert drawn(40, seed=5) != drawn(40, seed=6)


@pytest.mark.parametrize("drawn_before", [1, 3, 25])
def test_the_order_of_the_second_epoch_does_not_depend_on_how_much_of_the_first_was_drawn(
    drawn_before,
):
    whole = drawn(40, epochs=2)[1]
    part = drawn(40, steps=drawn_before, epochs=2)[1]
    shorter = min(len(whole), len(part))
    assert part[:shorter] == whole[:shorter]


def test_more_epochs_do_not_change_the_earlier_ones():
    assert drawn(20, epochs=4)[:2] == drawn(20, epochs=2)


def test_the_largest_seed_is_taken():
    assert drawn(8, seed=2**32 - 1) == drawn(8, seed=2**32 - 1)


def test_augmentation_gets_whole_batches_and_a_seed_of_its_own_for_each():
    def augmentation(pictures, seed):
        return tf.zeros_like(pictures) + tf.cast(seed[1] + 100 * seed[0], tf.uint8)

    data = training_batches(
        *numbered(5), batch_size=2, steps=3, epochs=2, seed=1, augmentation=augmentation
    )
    seen = [(x.shape[0], int(x[0, 0, 0, 0])) for x, _ in data]
    assert seen == [(2, 100), (2, 101), (1, 102), (2, 103), (2, 104), (1, 105)]


def test_memory_mapped_pictures_are_read_as_they_are_drawn(tmp_path):
    pictures, labels = numbered(10)
    np.save(tmp_path / "pictures.npy", pictures)
    mapped = np.load(tmp_path / "pictures.npy", mmap_mode="r")
    options = {"batch_size": 4, "steps": 3, "epochs": 1, "seed": 0, "augmentation": None}
    for (x, _), (y, _) in zip(
        training_batches(mapped, labels, **options),
        training_batches(pictures, labels, **options),
        strict=True,
    ):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("image_size", [8, 130])
def test_prepared_pictures_give_the_same_batches_as_an_array_of_them(
    tmp_path, paint_folder, image_size
):
    images = paint_folder(tmp_path / "images", {"cats": 20, "dogs": 20})
    out = tmp_path / "prepared"
    settings = {"seed": 0, "validation_fraction": 0.2, "test_fraction": 0.2}
    prepare(images, out, image_size=image_size, **settings)
    train, validation = load_split(out, "train"), load_split(out, "validation")
    options = {"batch_size": 10, "steps": 4, "epochs": 2, "seed": 0, "augmentation": None}
    drawn = [
        list(training_batches(pictures, train.labels, **options))
        for pictures in (train.pictures, np.asarray(train.pictures))
    ]
    drawn += [
        list(validation_batches(pictures, validation.labels, batch_size=3, steps=4))
        for pictures in (validation.pictures, np.asarray(validation.pictures))
    ]
    for stored, array in (drawn[:2], drawn[2:]):
        assert len(stored) == len(array)
        for (x, y), (expected, labels) in zip(stored, array, strict=True):
            np.testing.assert_array_equal(x, expected)
            np.testing.assert_array_equal(y, labels)


# Validation


def in_order(count, steps, batch_size=4):
    data = validation_batches(*numbered(count), batch_size=batch_size, steps=steps)
    return [labels.numpy().tolist() for _, labels in data]


def test_validation_of_a_full_pass_counts_each_picture_once_in_order():
    assert in_order(10, 3) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_validation_takes_exactly_the_steps_that_were_given():
    assert in_order(10, 1) == [[0, 1, 2, 3]]
    assert in_order(10, 5)[2:] == [[8, 9], [0, 1, 2, 3], [4, 5, 6, 7]]


def test_every_validation_sees_the_same_batches():
    data = validation_batches(*numbered(10), batch_size=4, steps=2)
    first, second = ([y.numpy().tolist() for _, y in data] for _ in range(2))
    assert first == second


def test_order_is_asked_for_only_where_a_pass_begins():
    asked = []

    def order(number):
        asked.append(number)
        return np.arange(6)

    batches = list(epoch_batches(6, 4, 5, order))
    assert [len(batch) for batch in batches] == [4, 2, 4, 2, 4]
    assert asked == [0, 1, 2]


# In Keras


@pytest.mark.parametrize(("steps", "validation_steps"), [(3, 2), (7, 5), (1, 1)])
def test_a_keras_fit_over_the_batches_emits_no_warnings(steps, validation_steps):
    pictures, labels = numbered(10)
    model = keras.Sequential([keras.Input((2, 2, 3)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(1, activation="sigmoid"))
    model.compile("sgd", "binary_crossentropy")
    train = training_batches(
        pictures, labels % 2, batch_size=4, steps=steps, epochs=3, seed=0, augmentation=None
    )
    validation = validation_batches(pictures, labels % 2, batch_size=4, steps=validation_steps)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history = model.fit(
            train,
            steps_per_epoch=steps,
            epochs=3,
            validation_data=validation,
            shuffle=False,
            verbose=0,
        )
    assert len(history.history["val_loss"]) == 3
