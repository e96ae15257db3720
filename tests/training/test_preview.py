import numpy as np
import pytest

from pawprint.training.augmentation import Augmentation, draw_preview

VARIED = Augmentation(horizontal_flip=True, rotation=20.0, colour=0.3, mixup=1.0)


def pictures(count, side=16):
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def tiles(sheet):
    """The tiles of a sheet (rows, 8), each as it is cut out of it."""
    pixels = np.asarray(sheet)
    inked = (pixels != 255).any(axis=2)
    rows, columns = (_runs(inked.any(axis=axis)) for axis in (1, 0))
    return [[pixels[a:b, c:d] for c, d in columns] for a, b in rows]


def _runs(flags):
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return list(zip(edges[::2], edges[1::2], strict=True))


@pytest.mark.parametrize(("count", "side", "rows"), [(20, 16, 6), (20, 120, 6), (2, 16, 2)])
def test_there_is_a_row_for_each_of_six_pictures_and_the_first_tile_is_as_it_is(count, side, rows):
    given = pictures(count, side)
    seen = tiles(draw_preview(given, Augmentation(), 0))
    shown = max(side, 96)  # small pictures are drawn larger
    assert [len(row) for row in seen] == [8] * rows
    assert {tile.shape for row in seen for tile in row} == {(shown, shown, 3)}
    if shown == side:
        assert all(any(np.array_equal(row[0], one) for one in given) for row in seen)
    for row in seen:  # which no augmentation varies
        assert all(np.array_equal(tile, row[0]) for tile in row[1:])


def test_the_other_tiles_are_variations_each_of_its_own():
    plain, varied = (
        tiles(draw_preview(pictures(20, 120), vary, 0)) for vary in (Augmentation(), VARIED)
    )
    for before, after in zip(plain, varied, strict=True):
        assert np.array_equal(before[0], after[0])
        assert len({tile.tobytes() for tile in after}) == 8


def test_the_same_seed_draws_the_same_and_another_seed_other_pictures():
    first, again, other = (draw_preview(pictures(20), VARIED, seed).tobytes() for seed in (3, 3, 4))
    assert first == again
    assert first != other


@pytest.mark.parametrize("seed", range(5))
def test_pictures_of_the_beginning_and_of_the_end_are_drawn_whose_classes_differ(seed):
    given = np.repeat(np.uint8([50, 100, 200]), 10)[:, None, None, None] + np.zeros(
        (30, 120, 120, 3), np.uint8
    )
    shown = [int(row[0][0, 0, 0]) for row in tiles(draw_preview(given, Augmentation(), seed))]
    assert shown == [50, 50, 100, 100, 200, 200]


def test_the_pictures_that_are_drawn_stay_as_they_are():
    given = pictures(6)
    draw_preview(given, Augmentation(colour=0.5, cutout=0.5, cutmix=1.0), 0)
    np.testing.assert_array_equal(given, pictures(6))
