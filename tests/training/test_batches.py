import itertools
import threading
import time
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.utils.class_weight import compute_class_weight

from pawprint.data.store import load_split
from pawprint.stages.prepare import prepare
from pawprint.training.augmentation import Augmentation, mirrored_features
from pawprint.training.batches import (
    AHEAD,
    TrainingBatches,
    ValidationBatches,
    balanced_weights,
    pictures_in,
    steps_in,
    targets_for,
)

SIZE = 2


def as_they_are(pictures, targets, rng, size):
    """An augmentation that does nothing."""
    return pictures, targets


def numbered(count):
    """Pictures whose pixels say their own number, and whether it is odd."""
    numbers = np.arange(count)
    pictures = np.zeros((count, SIZE, SIZE, 3), np.uint8)
    pictures[..., 0] = (numbers % 256)[:, None, None]
    pictures[..., 1] = (numbers // 256)[:, None, None]
    return pictures, numbers % 2


def numbers_of(pictures):
    low, high = np.moveaxis(np.asarray(pictures)[:, 0, 0, :2].astype(int), 1, 0)
    return (low + 256 * high).tolist()


def batches_of(count, *, batch_size=4, seed=0, vary=as_they_are, class_weights=None, multiple=1):
    pictures, labels = numbered(count)
    return TrainingBatches(pictures, labels, 2, batch_size, seed, vary, class_weights, multiple)


def drawn(count, epoch=0, *, steps=None, **arguments):
    """The batches of an epoch, as lists of picture numbers."""
    batches = batches_of(count, **arguments)
    steps = steps_in(count, batches.batch_size, steps)
    return [numbers_of(batches.batch(epoch, step, SIZE)[0]) for step in range(steps)]


def flat(batches):
    return list(itertools.chain.from_iterable(batches))


@pytest.mark.parametrize(
    ("pictures", "batch_size", "steps", "expected"),
    [(10, 4, None, 3), (8, 4, None, 2), (3, 4, None, 1), (10, 4, 7, 7), (10, 4, 1, 1)],
)
def test_an_epoch_is_one_full_pass_or_as_many_steps_as_given(pictures, batch_size, steps, expected):
    assert steps_in(pictures, batch_size, steps) == expected


@pytest.mark.parametrize("count", [1, 4, 9, 10])
def test_pictures_in_some_steps_are_those_that_the_batches_have(count):
    for steps in range(12):
        seen = sum(len(batch) for batch in drawn(count, steps=max(1, steps))[:steps])
        assert pictures_in(count, 4, steps) == seen


# Targets and weights


def test_targets_are_one_column_for_two_classes_and_one_hot_for_more():
    two, three = targets_for(np.array([0, 1, 1]), 2), targets_for(np.array([2, 0]), 3)
    assert (two.dtype, three.dtype) == (np.float32, np.float32)
    assert two.tolist() == [[0], [1], [1]]
    assert three.tolist() == [[0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize("counts", [(10, 10), (1, 9), (5, 2, 1), (40, 3, 3, 30)])
def test_balanced_weights_are_those_of_scikit_learn(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    weights = balanced_weights(labels, len(counts))
    expected = compute_class_weight("balanced", classes=np.arange(len(counts)), y=labels)
    np.testing.assert_allclose(weights, expected, rtol=1e-6)
    assert weights.dtype == np.float32
    assert weights[labels].mean() == pytest.approx(1, rel=1e-6)
    assert np.ptp(np.bincount(labels, weights[labels])) < 1e-4  # each class counts the same


def test_a_class_without_pictures_has_a_finite_weight():
    assert np.isfinite(balanced_weights(np.array([0, 0, 2]), 3)).all()


@pytest.mark.parametrize(
    ("classes", "targets", "expected"),
    [
        (2, [[0.0], [1], [0.25], [0.5]], [0.5, 2, 0.875, 1.25]),
        (3, [[1.0, 0, 0], [0, 0, 1], [0, 0.5, 0.5], [0.25, 0.75, 0]], [0.5, 4, 3, 1.625]),
    ],
)
def test_a_picture_weighs_as_its_class_and_a_mixed_one_as_its_shares(classes, targets, expected):
    def mixing(pictures, given, rng, size):
        return pictures, np.array(targets, np.float32)

    weights = np.array([0.5, 2.0, 4.0][:classes], np.float32)
    batches = TrainingBatches(numbered(4)[0], np.array([0, 1, 0, 1]), classes, 4, 0, mixing)
    assert len(batches.batch(0, 0, SIZE)) == 2
    batches.class_weights = weights
    _, seen, found = batches.batch(0, 0, SIZE)
    assert seen.tolist() == targets
    assert (found.shape, found.dtype) == ((4,), np.float32)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


# The order


def test_a_full_pass_sees_each_picture_once_and_its_last_batch_is_smaller():
    epoch = drawn(10)
    assert [len(batch) for batch in epoch] == [4, 4, 2]
    assert sorted(flat(epoch)) == list(range(10))


def test_the_order_is_shuffled():
    assert flat(drawn(50)) != list(range(50))


def test_a_picture_keeps_its_label():
    batches = batches_of(600, batch_size=64, seed=3)
    for step in range(12):
        pictures, targets = batches.batch(0, step, SIZE)
        assert (pictures.dtype, targets.dtype) == (np.uint8, np.float32)
        np.testing.assert_array_equal(np.array(numbers_of(pictures)) % 2, targets[:, 0])


def test_a_number_of_steps_goes_round_again_150_of_32_over_2000():
    epoch = drawn(2000, batch_size=32, steps=150)
    # 62 batches of 32 and one of 16 are a pass: two passes and 24 batches
    assert [len(batch) for batch in epoch] == ([32] * 62 + [16]) * 2 + [32] * 24
    for start in (0, 63):
        assert sorted(flat(epoch[start : start + 63])) == list(range(2000))
    rest = flat(epoch[126:])
    assert len(set(rest)) == len(rest) == 24 * 32


def test_each_pass_of_one_epoch_has_an_order_of_its_own():
    epoch = drawn(40, batch_size=10, steps=12)
    passes = [flat(epoch[i : i + 4]) for i in (0, 4, 8)]
    assert passes[0] != passes[1] != passes[2] != passes[0]


def test_fewer_steps_than_a_pass_see_other_pictures_in_the_next_epoch():
    first, second = (drawn(40, epoch, batch_size=10, steps=1) for epoch in (0, 1))
    assert set(flat(first)) != set(flat(second))


def test_each_epoch_has_an_order_of_its_own():
    first, second, third = (flat(drawn(40, epoch)) for epoch in range(3))
    assert first != second != third != first


def test_the_same_seed_gives_the_same_order_and_another_seed_another():
    assert drawn(40, 1, seed=5) == drawn(40, 1, seed=5)
    assert drawn(40, seed=5) != drawn(40, seed=6)


def test_the_largest_seed_is_taken():
    assert drawn(8, seed=2**32 - 1) == drawn(8, seed=2**32 - 1)


# A batch for itself


def test_a_batch_does_not_depend_on_what_was_asked_before():
    ranges = {"zoom": 0.2, "shift": 0.1, "mixup": 1.0, "horizontal_flip": True}
    asked = list(itertools.product(range(3), range(7)))
    one = batches_of(20, vary=Augmentation(**ranges))
    forwards = {place: one.batch(*place, 4) for place in asked}
    for place in np.random.default_rng(0).permutation(asked):
        alone = batches_of(20, vary=Augmentation(**ranges)).batch(*place, 4)
        again = one.batch(*place, 4)
        for first, second, third in zip(alone, again, forwards[tuple(place)], strict=True):
            np.testing.assert_array_equal(first, second)
            np.testing.assert_array_equal(first, third)


def test_every_batch_is_varied_by_draws_of_its_own():
    def drawing(pictures, targets, rng, size):
        return np.full_like(pictures, rng.integers(256)), targets

    batches = batches_of(8, vary=drawing)
    drawn = [batches.batch(epoch, step, SIZE)[0][0, 0, 0, 0] for epoch, step in np.ndindex(6, 5)]
    assert len(set(drawn)) > 20


def test_what_varies_a_batch_is_told_the_size_and_gets_whole_batches():
    seen = []

    def remember(pictures, targets, rng, size):
        seen.append((pictures.shape, targets.shape, size))
        return pictures, targets

    batches = batches_of(5, vary=remember)
    for step in range(2):
        batches.batch(0, step, 12)
    assert seen == [((4, SIZE, SIZE, 3), (4, 1), 12), ((1, SIZE, SIZE, 3), (1, 1), 12)]


# As a dataset


def parts(dataset):
    return [[np.asarray(part) for part in batch] for batch in dataset]


@pytest.mark.parametrize("steps", [1, 7, 30])
def test_a_dataset_has_the_batches_of_its_epoch_in_their_order(steps):
    batches = batches_of(22, vary=Augmentation(horizontal_flip=True, zoom=0.2))
    dataset = batches.dataset(2, 0, steps, 6)
    seen = parts(dataset)
    assert len(seen) == int(dataset.cardinality()) == steps
    for step, (pictures, targets) in enumerate(seen):
        expected = batches.batch(2, step, 6)
        np.testing.assert_array_equal(pictures, expected[0])
        np.testing.assert_array_equal(targets, expected[1])


@pytest.mark.parametrize("first", [1, 9, 11])
def test_a_dataset_that_begins_later_is_the_tail_of_the_whole_one(first):
    batches = batches_of(22, vary=Augmentation(mixup=1.0, shift=0.2), class_weights=np.ones(2))
    whole, tail = (parts(batches.dataset(1, start, 12, 6)) for start in (0, first))
    assert len(tail) == 12 - first
    for expected, seen in zip(whole[first:], tail, strict=True):
        assert len(seen) == 3
        for one, two in zip(expected, seen, strict=True):
            np.testing.assert_array_equal(one, two)


def test_its_signature_takes_batches_of_any_length_and_pictures_of_any_side():
    pictures, targets = batches_of(5).dataset(0, 0, 2, SIZE).element_spec
    assert (pictures.shape.as_list(), pictures.dtype) == ([None, None, None, 3], tf.uint8)
    assert (targets.shape.as_list(), targets.dtype) == ([None, 1], tf.float32)


def test_only_a_few_batches_are_made_before_they_are_asked_for():
    made, asked = [], threading.Event()

    def count(pictures, targets, rng, size):
        made.append(asked.is_set())
        return pictures, targets

    iterator = iter(batches_of(400, vary=count).dataset(0, 0, 100, SIZE))
    next(iterator)
    asked.set()
    ahead = made.count(False)
    assert 2 <= ahead <= 2 * AHEAD
    assert len(list(iterator)) == 99
    assert len(made) == 101  # one of them shows what a batch looks like


def test_an_error_in_the_making_of_a_batch_reaches_the_reader():
    def fail(pictures, targets, rng, size):
        if len(pictures) < 4:
            raise ValueError("the last picture is upside down")
        return pictures, targets

    with pytest.raises(Exception, match="the last picture is upside down"):
        list(batches_of(10, vary=fail).dataset(0, 0, 3, SIZE))


def test_the_reader_waits_only_for_batches_that_are_slow_to_make():
    def slow(pictures, targets, rng, size):
        time.sleep(0.25)
        return pictures, targets

    waited = {}
    for vary in (slow, as_they_are):
        batches = batches_of(40, vary=vary)
        assert batches.seconds_waited == 0
        assert len(list(batches.dataset(0, 0, 8, SIZE))) == 8
        waited[vary] = batches.seconds_waited
    assert waited[slow] > 0.75  # eight of a quarter of a second, two at a time
    assert waited[as_they_are] < waited[slow] / 2


# Sources


def test_features_of_a_picture_and_its_mirror_image_are_a_source_too():
    features = np.random.default_rng(0).random((10, 2, 3), dtype=np.float32)
    labels = np.arange(10)
    batches = TrainingBatches(features, labels, 10, 4, 0, mirrored_features)
    (seen, targets), *_ = parts(batches.dataset(0, 0, 3, 8))
    assert seen.shape == (4, 3)
    rows = targets.argmax(axis=1)
    assert all(
        any((row == one).all() for one in features[r]) for row, r in zip(seen, rows, strict=True)
    )
    first = [x for x, _ in parts(ValidationBatches(features, labels, 4, 3).dataset(8))]
    np.testing.assert_array_equal(np.concatenate(first), features[:, 0])


def test_memory_mapped_pictures_are_read_as_they_are_drawn(tmp_path):
    pictures, labels = numbered(10)
    np.save(tmp_path / "pictures.npy", pictures)
    mapped = np.load(tmp_path / "pictures.npy", mmap_mode="r")
    vary = Augmentation(colour=0.3, cutmix=1.0)  # which write into their batch
    for step in range(3):
        seen = TrainingBatches(mapped, labels, 2, 4, 0, vary).batch(0, step, SIZE)
        expected = TrainingBatches(pictures, labels, 2, 4, 0, vary).batch(0, step, SIZE)
        np.testing.assert_array_equal(seen[0], expected[0])
    np.testing.assert_array_equal(pictures, numbered(10)[0])
    np.testing.assert_array_equal(mapped, pictures)


@pytest.mark.parametrize("image_size", [8, 130])
def test_prepared_pictures_give_the_same_batches_as_an_array_of_them(
    tmp_path, paint_folder, image_size
):
    images = paint_folder(tmp_path / "images", {"cats": 20, "dogs": 20})
    out = tmp_path / "prepared"
    settings = {"seed": 0, "validation_fraction": 0.2, "test_fraction": 0.2}
    prepare(images, out, image_size=image_size, **settings)
    train, validation = load_split(out, "train"), load_split(out, "validation")
    stored, array = (
        TrainingBatches(pictures, train.labels, 2, 10, 0, as_they_are)
        for pictures in (train.pictures, np.asarray(train.pictures))
    )
    for epoch, step in np.ndindex(2, 4):
        for one, two in zip(
            *(b.batch(epoch, step, image_size) for b in (stored, array)), strict=True
        ):
            np.testing.assert_array_equal(one, two)
    targets = targets_for(validation.labels, 2)
    stored, array = (
        parts(ValidationBatches(pictures, targets, 3, 4).dataset())
        for pictures in (validation.pictures, np.asarray(validation.pictures))
    )
    assert len(stored) == len(array) == 4
    for (x, y), (expected, labels) in zip(stored, array, strict=True):
        np.testing.assert_array_equal(x, expected)
        np.testing.assert_array_equal(y, labels)


def test_a_batch_that_devices_cannot_share_is_filled_with_the_next_pictures_of_the_pass():
    (alone,) = drawn(12, batch_size=12)
    shared = drawn(12, batch_size=5, multiple=4)
    around = [*alone, *alone]
    assert shared == [around[0:8], around[5:13], around[10:14]]


@pytest.mark.parametrize(("count", "filled"), [(9, 3), (10, 2), (11, 1), (12, 0), (2, 2)])
def test_several_devices_get_as_many_pictures_each_of_the_last_batch(count, filled):
    alone, shared = drawn(count), drawn(count, multiple=4)
    first = [*alone[0], *alone[0]]
    assert shared == [*alone[:-1], alone[-1] + first[:filled]]
    assert {len(batch) % 4 for batch in shared} == {0}


# Validation


def in_order(count, steps, batch_size=4):
    pictures, labels = numbered(count)
    data = ValidationBatches(pictures, targets_for(labels, 2), batch_size, steps).dataset()
    assert int(data.cardinality()) == steps
    for x, y in data:
        np.testing.assert_array_equal(np.array(numbers_of(x)) % 2, y[:, 0])
    return [numbers_of(x) for x, _ in data]


def test_validation_of_a_full_pass_counts_each_picture_once_in_order():
    assert in_order(10, 3) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_validation_takes_exactly_the_steps_that_were_given():
    assert in_order(10, 6)[3:] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    few, more = in_order(10, 2), in_order(10, 4)
    assert [len(batch) for batch in more] == [4, 4, 2, 4]
    assert more[:2] == few  # always the same ones
    assert more[3] == more[0]
    assert sorted(flat(more[:3])) == list(range(10))


def test_a_validation_that_sees_a_part_sees_every_class():
    labels = np.repeat([0, 1], 500)  # as pictures are stored: class by class
    pictures = np.zeros((1000, 2, 2, 3), np.uint8)
    (_, targets), *_ = parts(ValidationBatches(pictures, targets_for(labels, 2), 100, 1).dataset())
    assert 30 < targets.sum() < 70


@pytest.mark.parametrize("classes", [2, 3])
def test_validation_weighs_classes_where_asked(classes):
    pictures, _ = numbered(6)
    labels = np.array([0, 0, 0, 0, 1, classes - 1])
    weights = balanced_weights(labels, classes)
    batches = ValidationBatches(pictures, targets_for(labels, classes), 4, 2, weights)
    seen = np.concatenate([weight for _, _, weight in parts(batches.dataset())])
    np.testing.assert_array_equal(seen, weights[labels])


def test_validation_shows_pictures_of_another_size_where_asked():
    pictures = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    batches = ValidationBatches(pictures, np.zeros((3, 1), np.float32), 2, 2)
    smaller = np.concatenate([x for x, _ in parts(batches.dataset(4))])
    means = pictures.reshape(3, 4, 2, 4, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(smaller, means, atol=0.51)


# In Keras


def test_a_keras_fit_over_the_batches_emits_no_warnings():
    model = keras.Sequential([keras.Input((2, 2, 3)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(1, activation="sigmoid"))
    model.compile("sgd", "binary_crossentropy", steps_per_execution=4)
    pictures, labels = numbered(10)
    validation = ValidationBatches(pictures, targets_for(labels, 2), 4, 5).dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history = model.fit(
            batches_of(10).dataset(0, 0, 7, SIZE),
            steps_per_epoch=7,
            validation_data=validation,
            shuffle=False,
            verbose=0,
        )
    assert len(history.history["val_loss"]) == 1
    assert int(model.optimizer.iterations) == 7
