import numpy as np
import pytest

from pawprint.data.brightness import brightness, mean_brightness


def test_brightness_is_the_mean_luminance():
    pictures = np.zeros((4, 8, 8, 3), np.uint8)
    pictures[0] = 255
    pictures[1, ..., 1] = 255
    pictures[2, :4] = 100
    assert mean_brightness(pictures) == pytest.approx([255, 0.587 * 255, 50, 0], rel=1e-5)


def test_a_picture_is_as_bright_alone_as_among_many_and_exactly_its_luminance():
    pictures = np.random.default_rng(0).integers(0, 256, (1100, 5, 7, 3), dtype=np.uint8)
    together = mean_brightness(pictures)
    assert [brightness(picture) for picture in pictures] == together.tolist()
    expected = pictures.astype(np.float64).mean(axis=(1, 2)) @ [0.299, 0.587, 0.114]
    assert together == pytest.approx(expected, rel=1e-6)
    assert brightness(np.full((2048, 2048, 3), 255, np.uint8)) == 255


def test_no_pictures_have_no_brightness():
    assert mean_brightness(np.zeros((0, 8, 8, 3), np.uint8)).shape == (0,)
