import numpy as np
import pytest
import tensorflow as tf

from pawprint.training.augmentation import augmentation_of
from pawprint.training.batches import training_batches

NOTHING = {"horizontal_flip": False, "zoom": 0.0, "shear": 0.0, "rotation": 0.0, "shift": 0.0}
KINDS = {"horizontal_flip": True, "zoom": 0.2, "shear": 0.2, "rotation": 20.0, "shift": 0.1}
SIDE = 17  # odd: the middle is a pixel
MIDDLE = SIDE // 2
STEP = 15  # grey levels from one pixel of a ramp to the next


def augmented(pictures, seed=0, **ranges):
    augment = augmentation_of(**NOTHING | ranges)
    return augment(tf.constant(pictures), tf.constant([seed, 1], tf.int32)).numpy()


def ramps(count):
    """Pictures that say where each of their pixels is: red its column, green its row."""
    row, column = np.mgrid[0:SIDE, 0:SIDE]
    picture = np.stack([column * STEP, row * STEP, np.full_like(row, 99)], axis=-1)
    return np.repeat(picture[None].astype(np.uint8), count, axis=0)


def maps(count=64, **ranges):
    """What was done to each ramp, read off around its middle.

    Returns:
        The matrices (n, 2, 2) from a place in the new picture to the one in the old, and which
        place of the old one, from its middle, came to the new one's middle (n, 2): each x, y.
    """
    seen = augmented(ramps(count), **ranges)[..., :2].astype(float) / STEP
    by_column = (seen[:, MIDDLE, MIDDLE + 3] - seen[:, MIDDLE, MIDDLE - 3]) / 6
    by_row = (seen[:, MIDDLE + 3, MIDDLE] - seen[:, MIDDLE - 3, MIDDLE]) / 6
    return np.stack([by_column, by_row], axis=-1), seen[:, MIDDLE, MIDDLE] - MIDDLE


EXACT = 0.5 / STEP + 1e-6  # half a grey level, in pixels
SLOPE = EXACT / 3


def noise(count, side=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


# All kinds


def test_ranges_of_zero_are_no_augmentation_at_all():
    assert augmentation_of(**NOTHING) is None


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_keeps_shape_and_type_and_changes_something(kind):
    pictures = noise(8)
    result = augmented(pictures, **{kind: KINDS[kind]})
    assert (result.shape, result.dtype) == (pictures.shape, np.uint8)
    assert (result != pictures).any()


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_in_from_outside_repeats_the_border(kind):
    pictures = np.full((8, 16, 16, 3), 200, np.uint8)
    np.testing.assert_array_equal(augmented(pictures, **{kind: KINDS[kind]}), pictures)


def test_the_same_seed_gives_the_same_pictures_and_another_seed_others():
    pictures = noise(8)
    first = augmented(pictures, seed=1, **KINDS)
    np.testing.assert_array_equal(augmented(pictures, seed=1, **KINDS), first)
    assert (augmented(pictures, seed=2, **KINDS) != first).any()


def test_each_picture_of_a_batch_is_varied_in_its_own_way():
    results = augmented(np.repeat(noise(1), 8, axis=0), **KINDS)
    assert len({result.tobytes() for result in results}) == 8


@pytest.mark.parametrize("count", [1, 3])
def test_a_batch_of_any_size_is_taken(count):
    assert augmented(noise(count), **KINDS).shape == (count, 16, 16, 3)


def test_a_smaller_last_batch_passes_through_the_training_batches():
    data = training_batches(
        noise(5),
        np.arange(5),
        batch_size=3,
        steps=2,
        epochs=1,
        seed=0,
        augmentation=augmentation_of(**KINDS),
    )
    assert [(x.shape, x.dtype) for x, _ in data] == [
        ((3, 16, 16, 3), tf.uint8),
        ((2, 16, 16, 3), tf.uint8),
    ]


# Each kind


def test_flip_mirrors_exactly_and_about_every_other_picture():
    pictures = noise(64)
    results = augmented(pictures, horizontal_flip=True)
    mirrored = (results == pictures[:, :, ::-1]).all(axis=(1, 2, 3))
    kept = (results == pictures).all(axis=(1, 2, 3))
    assert (mirrored ^ kept).all()
    assert 20 <= mirrored.sum() <= 44


def test_zoom_stretches_width_and_height_each_by_its_own_factor_around_the_middle():
    matrices, middles = maps(zoom=0.2)
    np.testing.assert_allclose(middles, 0, atol=EXACT)
    np.testing.assert_allclose(matrices[:, [0, 1], [1, 0]], 0, atol=SLOPE)
    factors = matrices[:, [0, 1], [0, 1]]
    assert factors.min() >= 0.8 - SLOPE
    assert factors.max() <= 1.2 + SLOPE
    assert (factors.min(axis=0) < 0.85).all()
    assert (factors.max(axis=0) > 1.15).all()
    assert abs(np.corrcoef(factors.T)[0, 1]) < 0.4


def test_rotation_turns_around_the_middle_by_at_most_its_degrees():
    matrices, middles = maps(rotation=20.0)
    np.testing.assert_allclose(middles, 0, atol=EXACT)
    angles = np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0])
    turned = [[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]]
    np.testing.assert_allclose(matrices, np.moveaxis(turned, 2, 0), atol=2 * SLOPE)
    degrees = np.degrees(angles)
    assert -21 < degrees.min() < -15
    assert 15 < degrees.max() < 21


def test_shear_slants_the_columns_by_at_most_its_radians():
    matrices, middles = maps(shear=0.3)
    np.testing.assert_allclose(middles, 0, atol=EXACT)
    np.testing.assert_allclose(matrices[:, :, 0], [[1, 0]] * 64, atol=SLOPE)
    angles = np.arcsin(-matrices[:, 0, 1])
    np.testing.assert_allclose(matrices[:, 1, 1], np.cos(angles), atol=2 * SLOPE)
    assert -0.3 - 2 * SLOPE < angles.min() < -0.25
    assert 0.25 < angles.max() < 0.3 + 2 * SLOPE


def test_shift_moves_in_both_directions_by_at_most_its_share_of_the_side():
    matrices, middles = maps(shift=0.2)
    np.testing.assert_allclose(matrices, [np.eye(2)] * 64, atol=2 * SLOPE)
    assert np.abs(middles).max() <= 0.2 * SIDE + EXACT
    assert (middles.min(axis=0) < -0.16 * SIDE).all()
    assert (middles.max(axis=0) > 0.16 * SIDE).all()
    assert abs(np.corrcoef(middles.T)[0, 1]) < 0.4


def test_a_shift_repeats_the_column_at_the_border():
    seen = augmented(ramps(64), shift=0.2)
    columns = seen[:, MIDDLE, :, 0]
    moved_right = columns[:, 2] == 0
    moved_left = columns[:, -3] == (SIDE - 1) * STEP
    assert moved_right.any()
    assert moved_left.any()
    assert (columns[moved_right, :3] == 0).all()
    assert (columns[moved_left, -3:] == (SIDE - 1) * STEP).all()


def test_a_colour_channel_never_takes_from_another():
    results = augmented(ramps(16), **KINDS)
    assert (results[..., 2] == 99).all()
