import numpy as np
import pytest
from PIL import Image

from pawprint.data.encoding import bytes_of_one, decode, encode, is_raw


def decoded(square):
    out = np.empty((square.height, square.width, 3), np.uint8)
    decode(encode(square), out)
    return out


def difference(square):
    return np.abs(decoded(square).astype(int) - np.asarray(square))


def test_pictures_of_up_to_128_pixels_are_stored_as_they_are(texture):
    assert is_raw(1)
    assert is_raw(128)
    assert not is_raw(129)
    assert encode(texture(1, (128, 128))) == np.asarray(texture(1, (128, 128))).tobytes()


@pytest.mark.parametrize("size", [129, 160, 224, 1024])
def test_larger_pictures_come_back_within_a_step_on_the_average(texture, size):
    square = texture(size, (size, size))
    assert encode(square).startswith(b"\xff\xd8")
    assert difference(square).mean() < 1
    assert difference(square).max() < 16


def test_fine_colours_are_not_smeared_over_their_neighbours():
    stripes = np.zeros((130, 130, 3), np.uint8)
    stripes[:, ::2, 0], stripes[:, 1::2, 2] = 255, 255
    assert difference(Image.fromarray(stripes)).mean() < 6


def test_the_same_picture_gives_the_same_bytes(texture):
    assert encode(texture(1, (200, 200))) == encode(texture(1, (200, 200)))


@pytest.mark.parametrize("size", [8, 128, 129, 224, 512])
def test_the_room_that_a_picture_is_said_to_need_is_enough(texture, size):
    assert len(encode(texture(2, (size, size)))) <= bytes_of_one(size)


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff", b"no picture at all"])
def test_damaged_bytes_are_a_value_error(content):
    with pytest.raises(ValueError, match=r"JPEG|jpeg|mpty|SOI|header"):
        decode(content, np.empty((129, 129, 3), np.uint8))


def test_bytes_that_end_too_early_are_a_value_error(texture):
    content = encode(texture(3, (224, 224)))
    with pytest.raises(ValueError, match=r"[Pp]remature"):
        decode(content[: len(content) // 2], np.empty((224, 224, 3), np.uint8))


def test_a_picture_of_another_size_is_a_value_error(texture):
    with pytest.raises(ValueError, match="buffer"):
        decode(encode(texture(3, (256, 256))), np.empty((129, 129, 3), np.uint8))
