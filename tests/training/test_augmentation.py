import numpy as np
import pytest
import yaml

from pawprint.config.compose import compose, project_root
from pawprint.training.augmentation import (
    Augmentation,
    augmentation_of,
    mirrored_features,
    resized,
)

MOVEMENTS = {
    "horizontal_flip": {"horizontal_flip": True},
    "zoom": {"zoom": 0.2},
    "shear": {"shear": 0.2},
    "rotation": {"rotation": 20.0},
    "shift": {"shift": 0.1},
    "scale": {"scale_from": 0.7, "scale_to": 1.2},
}
KINDS = MOVEMENTS | {
    "colour": {"colour": 0.3},
    "cutout": {"cutout": 0.4},
    "mixup": {"mixup": 1.0},
    "cutmix": {"cutmix": 1.0},
}
ALL_MOVEMENTS = {name: value for part in MOVEMENTS.values() for name, value in part.items()}
EVERYTHING = {name: value for part in KINDS.values() for name, value in part.items()}
SIDE = 17  # odd: the middle is a pixel
MIDDLE = SIDE // 2
STEP = 15  # grey levels from one pixel of a ramp to the next


def varied(pictures, targets=None, seed=0, size=None, **ranges):
    """Pictures and targets as an augmentation makes them."""
    targets = np.zeros((len(pictures), 1), np.float32) if targets is None else targets
    rng = np.random.default_rng(seed)
    return Augmentation(**ranges)(pictures.copy(), targets, rng, size or pictures.shape[1])


def augmented(pictures, **arguments):
    return varied(pictures, **arguments)[0]


def noise(count, side=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


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


def sampled(picture, x, y):
    """A picture at fractional places, bilinear, with its border repeated."""
    side = picture.shape[0]
    x, y = np.clip(x, 0, side - 1), np.clip(y, 0, side - 1)
    left, top = np.minimum(x.astype(int), side - 2), np.minimum(y.astype(int), side - 2)
    right, down = (x - left)[..., None], (y - top)[..., None]
    upper = picture[top, left] * (1 - right) + picture[top, left + 1] * right
    lower = picture[top + 1, left] * (1 - right) + picture[top + 1, left + 1] * right
    return upper * (1 - down) + lower * down


EXACT = 0.5 / STEP + 1 / 32  # half a grey level and OpenCV's step, in pixels
SLOPE = EXACT / 3


# All kinds


def test_where_nothing_is_configured_pictures_and_targets_stay_as_they_are():
    pictures, targets = noise(4), np.array([[0.0], [1], [1], [0]], np.float32)
    seen, labels = varied(pictures, targets)
    np.testing.assert_array_equal(seen, pictures)
    np.testing.assert_array_equal(labels, targets)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [16, 8, 24])
def test_each_kind_changes_something_at_any_size_and_keeps_the_type(kind, size):
    pictures = noise(8)
    result, targets = varied(pictures, size=size, **KINDS[kind])
    assert (result.shape, result.dtype) == ((8, size, size, 3), np.uint8)
    assert (targets.shape, targets.dtype) == ((8, 1), np.float32)
    assert (result != augmented(pictures, size=size)).any()


@pytest.mark.parametrize("kind", MOVEMENTS)
def test_what_comes_in_from_outside_repeats_the_border(kind):
    pictures = np.full((8, 16, 16, 3), 200, np.uint8)
    np.testing.assert_array_equal(augmented(pictures, **MOVEMENTS[kind]), pictures)


def test_the_same_generator_gives_the_same_and_another_one_something_else():
    pictures, targets = noise(8), np.eye(8, dtype=np.float32)
    first, labels = varied(pictures, targets, seed=1, **EVERYTHING)
    again, same = varied(pictures, targets, seed=1, **EVERYTHING)
    np.testing.assert_array_equal(again, first)
    np.testing.assert_array_equal(same, labels)
    assert (augmented(pictures, targets=targets, seed=2, **EVERYTHING) != first).any()


@pytest.mark.parametrize("ranges", [ALL_MOVEMENTS, EVERYTHING, *KINDS.values()])
def test_what_goes_in_is_not_changed(ranges):
    pictures, targets = noise(8), np.eye(8, dtype=np.float32)
    for array in (pictures, targets):
        array.flags.writeable = False
    Augmentation(**ranges)(pictures, targets, np.random.default_rng(0), 16)


@pytest.mark.parametrize("kind", ["zoom", "rotation", "shear", "shift", "scale", "colour"])
def test_each_picture_of_a_batch_is_varied_in_its_own_way(kind):
    results = augmented(np.repeat(noise(1), 8, axis=0), **KINDS[kind])
    assert len({result.tobytes() for result in results}) == 8


def test_one_more_kind_of_movement_leaves_the_draws_of_the_others():
    flips = augmented(ramps(64), horizontal_flip=True)[:, MIDDLE, 0, 0] > 0
    both = augmented(ramps(64), horizontal_flip=True, zoom=0.1)[:, MIDDLE, 0, 0] > MIDDLE * STEP
    np.testing.assert_array_equal(flips, both)


def test_a_batch_of_one_is_mixed_with_itself():
    pictures, targets = noise(1), np.array([[0.0, 1.0, 0.0]], np.float32)
    result, labels = varied(pictures, targets, mixup=1.0)
    np.testing.assert_array_equal(result, pictures)
    np.testing.assert_array_equal(labels, targets)


@pytest.mark.parametrize(
    "path", sorted((project_root() / "conf/augment").glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_choice_of_conf_is_an_augmentation(path):
    content = yaml.safe_load(path.read_text())
    assert content.pop("name") == path.stem
    assert augmentation_of(compose([f"augment={path.stem}"])) == Augmentation(**content)


def test_the_articles_choice_is_flip_zoom_and_shear_and_none_is_nothing():
    article = Augmentation(horizontal_flip=True, zoom=0.2, shear=0.2)
    assert augmentation_of(compose(["augment=article"])) == article
    assert augmentation_of(compose(["augment=none"])) == Augmentation()


# Movements


@pytest.mark.parametrize("side", [16, 17])
def test_flip_mirrors_exactly_and_about_every_other_picture(side):
    pictures = noise(64, side)
    results = augmented(pictures, horizontal_flip=True)
    mirrored = (results == pictures[:, :, ::-1]).all(axis=(1, 2, 3))
    kept = (results == pictures).all(axis=(1, 2, 3))
    assert (mirrored ^ kept).all()
    assert 20 <= mirrored.sum() <= 44


def test_a_picture_that_is_mirrored_twice_is_itself_again():
    pictures = noise(64)
    once = augmented(pictures, horizontal_flip=True)
    np.testing.assert_array_equal(augmented(once, horizontal_flip=True), pictures)


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


def test_scale_shows_a_share_of_both_sides_alike_from_near_to_far():
    matrices, middles = maps(256, scale_from=0.5, scale_to=2.0)
    np.testing.assert_allclose(middles, 0, atol=EXACT)
    np.testing.assert_allclose(matrices[:, [0, 1], [1, 0]], 0, atol=SLOPE)
    factors = matrices[:, [0, 1], [0, 1]]
    np.testing.assert_allclose(factors[:, 0], factors[:, 1], atol=2 * SLOPE)
    assert 0.5 - SLOPE <= factors.min() < 0.55
    assert 1.85 < factors.max() <= 2 + SLOPE
    nearer = (factors[:, 0] < 1).mean()  # twice as near is as frequent as twice as far
    assert 0.4 < nearer < 0.6


@pytest.mark.parametrize(("share", "grey"), [(0.5, 200), (2.0, 50)])
def test_a_share_below_1_is_nearer_and_one_above_1_farther(share, grey):
    pictures = np.full((1, 16, 16, 3), 50, np.uint8)
    pictures[:, 4:12, 4:12] = 200  # the middle half of the side
    result = augmented(pictures, scale_from=share, scale_to=share)
    assert result[0, 2, 2, 0] == grey
    assert result[0, 8, 8, 0] == 200


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
    results = augmented(ramps(16), **ALL_MOVEMENTS)
    assert (results[..., 2] == 99).all()


@pytest.mark.parametrize("size", [SIDE, 12, 25])
def test_all_movements_and_the_change_of_size_are_one_interpolation(size):
    """Ramps that got the same draws tell where a pixel comes from: once interpolated, from there.

    Twice interpolated noise would have lost a third of its contrast besides.
    """
    gentle = {"horizontal_flip": True, "zoom": 0.1, "shear": 0.1, "rotation": 10.0, "shift": 0.03}
    pictures = noise(32, SIDE)
    places = augmented(ramps(32), size=size, **gentle)[..., :2] / STEP
    results = augmented(pictures, size=size, **gentle)
    inside = ((places > 0.5) & (places < SIDE - 1.5)).all(axis=-1)
    expected = np.stack(
        [sampled(p, *place.T).swapaxes(0, 1) for p, place in zip(pictures, places, strict=True)]
    )
    difference = np.abs(results - expected)[inside]
    assert inside.mean() > 0.7
    assert difference.mean() < 3  # of noise of 0 to 255, for places known to a thirtieth
    assert results[inside].std() > 0.97 * expected[inside].std()


# Sizes


def test_a_smaller_size_averages_and_the_own_size_changes_nothing():
    pictures = noise(3, 16)
    blocks = pictures.reshape(3, 8, 2, 8, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(resized(pictures, 8), blocks, atol=0.51)
    np.testing.assert_array_equal(resized(pictures, 16), pictures)
    assert resized(pictures, 8).dtype == np.uint8


def test_a_change_of_size_leaves_everything_in_its_place():
    seen = [augmented(ramps(1), size=34)[0], augmented(ramps(1), size=34, zoom=1e-9)[0]]
    places = np.clip((np.arange(34) + 0.5) / 2 - 0.5, 0, SIDE - 1)
    for picture in seen:
        np.testing.assert_allclose(picture[MIDDLE, :, 0], places * STEP, atol=0.51)
        np.testing.assert_allclose(picture[:, MIDDLE, 1], places * STEP, atol=0.51)


# Colours


def colours(count=256, **ranges):
    """Brightness, contrast and saturation (3, n) of pictures, read off grey and coloured pixels."""
    pictures = np.full((count, 4, 4, 3), 127, np.uint8)
    pictures[:, 1] = 97
    pictures[:, 2] = [157, 127, 97]
    seen = augmented(pictures, **ranges)[:, :, 0].astype(float)
    middle, dark, red = seen[:, 0], seen[:, 1], seen[:, 2]
    assert np.ptp(seen[:, :2], axis=-1).max() <= 1  # grey stays grey
    contrast = (middle - dark)[:, 0] / 30
    spread = (red[:, 0] - red[:, 2]) / 60
    return middle[:, 0] / 127 - 1, contrast, spread / contrast


def test_brightness_contrast_and_saturation_each_vary_by_up_to_the_share():
    brightness, contrast, saturation = colours(colour=0.4)
    off = 0.05  # because grey levels are whole
    for seen in (brightness, contrast - 1, saturation - 1):
        assert -0.4 - off < seen.min() < -0.35
        assert 0.35 < seen.max() < 0.4 + off
        assert abs(seen.mean()) < 0.05
    together = np.corrcoef([brightness, contrast, saturation]) - np.eye(3)
    assert np.abs(together).max() < 0.25


def test_a_coloured_pixel_is_as_bright_as_the_grey_one_of_its_luminance():
    pictures = np.full((64, 4, 4, 3), 127, np.uint8)
    pictures[:, 1] = coloured = [157, 107, 151]
    luminance = np.array([0.299, 0.587, 0.114])
    assert abs(luminance @ coloured - 127) < 0.1
    seen = augmented(pictures, colour=0.3).astype(float)
    np.testing.assert_allclose(seen[:, 1] @ luminance, seen[:, 0] @ luminance, atol=1.1)


def test_too_bright_is_white_and_does_not_begin_again_at_black():
    pictures = np.full((64, 4, 4, 3), 250, np.uint8)
    assert augmented(pictures, colour=1.0)[:, 0, 0].max() == 255
    bright = augmented(pictures, colour=0.3)
    assert bright.min() > 130


# Holes


def test_cutout_is_a_grey_square_of_its_share_of_the_side_cut_by_the_border():
    pictures = np.full((128, 20, 20, 3), 255, np.uint8)
    holes = augmented(pictures, cutout=0.4) == 127
    np.testing.assert_array_equal(holes[..., 0], holes.all(axis=-1))
    holes = holes[..., 0]
    rows, columns = holes.any(axis=2), holes.any(axis=1)
    np.testing.assert_array_equal(holes, rows[:, :, None] & columns[:, None])
    heights, widths = rows.sum(axis=1), columns.sum(axis=1)
    assert set(heights) | set(widths) <= set(range(4, 9))
    assert ((heights == 8) & (widths == 8)).any()
    at_border = rows[:, 0] | rows[:, -1] | columns[:, 0] | columns[:, -1]
    assert at_border[(heights < 8) | (widths < 8)].all()
    np.testing.assert_allclose(holes.mean(axis=0)[1:-1, 1:-1].std(), 0, atol=0.06)  # everywhere


def test_the_rest_of_a_picture_with_a_hole_is_as_it_was():
    pictures = noise(16)
    results = augmented(pictures, cutout=0.25)
    grey = (results == 127).all(axis=-1)
    np.testing.assert_array_equal(results[~grey], pictures[~grey])
    assert grey.sum(axis=(1, 2)).max() == 16


# Mixtures


def flat(values, side=16):
    """Pictures of one grey each."""
    return np.repeat(np.array(values, np.uint8), side * side * 3).reshape(-1, side, side, 3)


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
@pytest.mark.parametrize("seed", range(8))
def test_shares_of_classes_in_the_targets_are_those_of_the_pixels(kind, seed):
    greys = np.array([0, 40, 80, 120, 160, 200])
    pictures, targets = varied(flat(greys), np.eye(6, dtype=np.float32), seed=seed, **{kind: 1.0})
    assert targets.dtype == np.float32
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
    assert ((targets > 0).sum(axis=1) <= 2).all()
    atol = 0.51 if kind == "mixup" else 1e-3  # blended greys are rounded
    np.testing.assert_allclose(pictures.mean(axis=(1, 2, 3)), targets @ greys, atol=atol)


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_of_two_classes_the_target_is_the_share_of_the_second(kind):
    labels = np.array([[0.0], [1], [1], [0]], np.float32)
    mixed = set()
    for seed in range(8):
        pictures, targets = varied(flat(labels[:, 0] * 200), labels, seed=seed, **{kind: 1.0})
        means = pictures.mean(axis=(1, 2, 3)) / 200
        np.testing.assert_allclose(targets[:, 0], means, atol=0.003)
        mixed |= set(targets.ravel().tolist()) - {0.0, 1.0}
    assert mixed


def test_mixup_is_the_same_share_everywhere_and_over_the_whole_batch():
    pictures = noise(8)
    mixed, targets = varied(pictures, np.eye(8, dtype=np.float32), mixup=1.0, seed=3)
    for result, target in zip(mixed, targets, strict=True):
        expected = np.tensordot(target, pictures.astype(float), 1)
        np.testing.assert_allclose(result, expected, atol=0.51)
    shares = targets.diagonal()
    assert np.ptp(shares[shares < 1]) < 1e-6


def test_cutmix_pastes_one_rectangle_of_the_partner_at_its_place_cut_by_the_border():
    pictures = noise(8)
    cut, whole = 0, 0
    for seed in range(60):
        mixed, targets = varied(pictures, np.eye(8, dtype=np.float32), cutmix=1.0, seed=seed)
        for own, (result, target) in enumerate(zip(mixed, targets, strict=True)):
            others = [other for other in np.flatnonzero(target) if other != own]
            if not others:
                np.testing.assert_array_equal(result, pictures[own])
                continue
            pasted = (result == pictures[others[0]]).all(axis=-1)
            rows, columns = np.flatnonzero(pasted.any(1)), np.flatnonzero(pasted.any(0))
            box = np.zeros_like(pasted)
            box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
            np.testing.assert_array_equal(pasted, box)
            np.testing.assert_array_equal(result[~box], pictures[own][~box])
            np.testing.assert_allclose(target[others[0]], box.mean(), atol=1e-6)
            if rows[0] > 0 and columns[0] > 0 and rows[-1] < 15 and columns[-1] < 15:
                whole += 1
                assert len(rows) - len(columns) in (-1, 0, 1)  # a square, but for rounding
            else:
                cut += 1
    assert cut > 20
    assert whole > 20


def test_with_both_kinds_of_mixture_a_batch_gets_one_of_them_about_every_other_time():
    labels = np.array([[0.0], [1], [1], [0]], np.float32)
    kinds = []
    for seed in range(60):
        pictures, targets = varied(
            flat(labels[:, 0] * 200), labels, seed=seed, mixup=5.0, cutmix=5.0
        )
        if ((targets > 0.1) & (targets < 0.9)).any():
            kinds.append(bool(np.isin(pictures, (0, 200)).all()))
    assert len(kinds) > 30
    assert 0.3 < np.mean(kinds) < 0.7


def test_a_larger_alpha_mixes_more_evenly():
    def shares(alpha):
        labels = np.eye(2, dtype=np.float32)
        drawn = [varied(flat([0, 200]), labels, seed=s, mixup=alpha)[1][0, 1] for s in range(60)]
        return np.array([share for share in drawn if 0 < share < 1])

    assert np.abs(shares(0.2) - 0.5).mean() > 0.3
    assert np.abs(shares(10.0) - 0.5).mean() < 0.15


# Features


def test_of_features_and_those_of_the_mirror_image_one_is_taken_at_random():
    features = np.arange(64 * 2 * 3, dtype=np.float32).reshape(64, 2, 3)
    targets = np.arange(64, dtype=np.float32)[:, None]
    seen, labels = mirrored_features(features, targets, np.random.default_rng(0), 16)
    np.testing.assert_array_equal(labels, targets)
    which = (seen == features[:, 1]).all(axis=1)
    np.testing.assert_array_equal(seen, np.where(which[:, None], features[:, 1], features[:, 0]))
    assert 20 <= which.sum() <= 44
