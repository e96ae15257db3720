import numpy as np
import pytest
from PIL import Image

from pawprint.data.resize import CROP, PAD, RESIZES, SQUASH, resize_image

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def bands(*colours, across, along, down=False):
    """Bands of equal width beside one another, or below."""
    image = Image.new("RGB", (len(colours), 1))
    image.putdata(colours)
    image = image.resize((along, across), Image.Resampling.NEAREST)
    return image.transpose(Image.Transpose.TRANSPOSE) if down else image


def squared(image, size, resize):
    square = resize_image(image, size, resize)
    assert (square.mode, square.size) == ("RGB", (size, size))
    return np.asarray(square).astype(int)


def assert_colour(array, colour, tolerance=2):
    assert np.abs(array - np.array(colour)).max() <= tolerance


# Which part of the picture lands where


@pytest.mark.parametrize("down", [False, True])
def test_squashing_keeps_all_of_the_picture_from_edge_to_edge(down):
    image = bands(RED, GREEN, BLUE, across=20, along=90, down=down)
    array = squared(image, 12, SQUASH)
    array = array.swapaxes(0, 1) if down else array
    for start, colour in ((0, RED), (5, GREEN), (9, BLUE)):
        assert_colour(array[:, start : start + 2 + (start != 5)], colour)


def test_squashing_is_what_happens_unless_another_way_is_asked_for():
    image = bands(RED, GREEN, BLUE, across=20, along=90)
    assert np.array_equal(resize_image(image, 12), resize_image(image, 12, SQUASH))


@pytest.mark.parametrize("down", [False, True])
def test_cropping_cuts_both_ends_of_the_longer_side_alike(down):
    image = bands(RED, GREEN, BLUE, across=30, along=90, down=down)
    array = squared(image, 12, CROP)
    array = array.swapaxes(0, 1) if down else array
    assert_colour(array[:, 1:-1], GREEN)
    assert_colour(array[:, ::-1][..., ::-1], array, tolerance=1)  # as much of red as of blue
    assert array[..., 1].min() > 200


@pytest.mark.parametrize("down", [False, True])
def test_cropping_keeps_the_whole_of_the_shorter_side(down):
    image = bands(RED, BLUE, across=90, along=30, down=down)
    array = squared(image, 12, CROP)
    array = array.swapaxes(0, 1) if down else array
    assert_colour(array[:, :5], RED)
    assert_colour(array[:, 7:], BLUE)


def test_cropping_by_half_a_pixel_stays_in_the_middle():
    image = bands(RED, BLUE, across=31, along=32)
    array = squared(image, 31, CROP)
    assert_colour(array[:, ::-1][..., ::-1], array, tolerance=1)


@pytest.mark.parametrize("down", [False, True])
def test_padding_keeps_shape_and_middle_and_fills_up_with_black(down):
    image = bands(RED, GREEN, BLUE, across=20, along=60, down=down)
    array = squared(image, 12, PAD)
    array = array.swapaxes(0, 1) if down else array
    assert_colour(array[:4], BLACK, tolerance=0)
    assert_colour(array[8:], BLACK, tolerance=0)
    inside = array[4:8]
    for start, colour in ((0, RED), (5, GREEN), (9, BLUE)):
        assert_colour(inside[:, start : start + 2 + (start != 5)], colour)


def test_margins_that_cannot_be_equal_differ_by_one_row():
    array = squared(Image.new("RGB", (60, 25), WHITE), 12, PAD)
    filled = np.flatnonzero(array[:, 0, 0]).tolist()
    assert filled == [3, 4, 5, 6, 7]  # 5 of 12 rows: 3 black above, 4 below


# Sizes of any kind


@pytest.mark.parametrize("resize", RESIZES)
def test_a_square_of_the_size_stays_as_it_is(resize):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    assert np.array_equal(squared(Image.fromarray(pixels), 9, resize), pixels)


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("size", [1, 8, 301])
def test_a_single_pixel_fills_the_square(resize, size):
    assert_colour(squared(Image.new("RGB", (1, 1), GREEN), size, resize), GREEN)


@pytest.mark.parametrize("size", [1, 8, 128])
@pytest.mark.parametrize("shape", [(1, 1000), (1000, 1)])
@pytest.mark.parametrize("resize", [SQUASH, CROP])
def test_a_line_of_pixels_becomes_a_square(resize, shape, size):
    assert_colour(squared(Image.new("RGB", shape, GREEN), size, resize), GREEN)


@pytest.mark.parametrize("down", [False, True])
def test_a_padded_line_of_pixels_is_still_seen(down):
    image = Image.new("RGB", (1, 1000) if down else (1000, 1), GREEN)
    array = squared(image, 8, PAD)
    array = array if down else array.swapaxes(0, 1)
    assert_colour(array[:, 3], GREEN)
    assert array.sum() == 8 * 255


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("shape", [(201, 333), (333, 201), (17, 16), (2, 3)])
@pytest.mark.parametrize("size", [1, 7, 64, 65])
def test_odd_sizes_keep_the_colour_in_the_middle(resize, shape, size):
    array = squared(Image.new("RGB", shape, GREEN), size, resize)
    assert_colour(array[size // 2, size // 2], GREEN)


@pytest.mark.parametrize("resize", RESIZES)
def test_shrinking_averages_over_all_pixels_that_become_one(resize):
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    assert_colour(squared(Image.fromarray(stripes), 8, resize), (127, 127, 127), tolerance=6)


def test_another_way_is_a_mistake_in_the_code():
    with pytest.raises(ValueError, match='squash, crop, pad, but was "stretch"'):
        resize_image(Image.new("RGB", (4, 4)), 8, "stretch")
