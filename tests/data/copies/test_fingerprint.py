import io

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageDraw

from pawprint.data.copies.fingerprint import THUMB, is_blank, perceptual_hashes, thumbs_of


def grey(array):
    return Image.fromarray(np.asarray(array, dtype=np.uint8))


def one_of_each_kind():
    """Thumbnails from noise to nothing: 656, without exact symmetries.

    There the coefficients are 0 but for rounding, of which imagehash takes the sign.
    """
    random = np.random.default_rng(0)
    for _ in range(300):
        yield grey(random.integers(0, 256, (THUMB, THUMB)))
    for step in range(300):
        few = random.integers(0, 256, (3 + step % 9, 4 + step % 7), dtype=np.uint8)
        yield Image.fromarray(few).resize((THUMB, THUMB), Image.Resampling.BICUBIC)
    for level in range(0, 256, 17):
        yield grey(np.full((THUMB, THUMB), level))
    for _ in range(40):
        yield grey(random.integers(100, 102, (THUMB, THUMB)))


# Hashes


def test_hashes_are_bit_for_bit_those_of_imagehash():
    thumbs = list(one_of_each_kind())
    hashes = perceptual_hashes([thumb.tobytes() for thumb in thumbs])
    assert (hashes.dtype, hashes.shape, len(thumbs)) == (np.uint64, (656,), 656)
    expected = [str(imagehash.phash(thumb)) for thumb in thumbs]
    assert [f"{value:016x}" for value in hashes.tolist()] == expected


def test_in_symmetric_pictures_what_is_nothing_sets_no_bit():
    across = grey(np.tile(np.arange(THUMB) * 8, (THUMB, 1)))
    (value,) = perceptual_hashes([across.tobytes()]).tolist()
    assert value >> 56  # the frequencies across
    assert value & (2**56 - 1) == 0


def test_a_hash_does_not_depend_on_the_others_beside_it():
    thumbs = [thumb.tobytes() for thumb in one_of_each_kind()][::50]
    together = perceptual_hashes(thumbs)
    alone = [perceptual_hashes([thumb])[0] for thumb in thumbs]
    assert together.tolist() == alone


def test_a_brighter_copy_has_nearly_the_same_hash_and_another_picture_has_not(texture):
    pictures = [texture(1), texture(1).point(lambda level: 30 + level * 0.8), texture(2)]
    hashes = perceptual_hashes([thumbs_of(picture)[0].tobytes() for picture in pictures])
    apart = np.bitwise_count(hashes[0] ^ hashes)
    assert apart[1] <= 4
    assert apart[2] > 15


# Thumbnails


@pytest.mark.parametrize("size", [(160, 120), (333, 201), (32, 32), (7, 5), (1, 1), (1, 1000)])
def test_thumbnails_are_grey_and_32_pixels_wide_and_high(texture, size):
    for thumb in thumbs_of(texture(1, size)):
        assert (thumb.mode, thumb.size) == ("L", (32, 32))


def test_the_second_thumbnail_shows_the_middle_as_a_cropped_copy_does(texture):
    image = texture(3, (400, 300))
    whole, middle = thumbs_of(image)
    cropped = thumbs_of(image.crop((24, 18, 376, 282)))[0]  # 6 % off each side
    assert np.abs(np.asarray(middle).astype(int) - np.asarray(cropped)).max() <= 8
    assert np.abs(np.asarray(middle).astype(int) - np.asarray(whole)).max() > 20


# Blank pictures


def is_blank_picture(image):
    return is_blank(image.convert("RGB"), thumbs_of(image.convert("RGB"))[0])


def through_jpeg(image, quality):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


def noisy(level, spread, size=(160, 120)):
    noise = np.random.default_rng(0).normal(level, spread, (size[1], size[0], 3))
    return Image.fromarray(noise.clip(0, 255).astype(np.uint8))


def one_colour(colour, size=(160, 120)):
    return Image.new("RGB", size, colour)


@pytest.mark.parametrize("size", [(160, 120), (3, 3), (1, 1), (1000, 20)])
@pytest.mark.parametrize("colour", ["white", "black", "red", (13, 200, 121)])
def test_one_colour_is_blank(colour, size):
    assert is_blank_picture(one_colour(colour, size))


@pytest.mark.parametrize("quality", [10, 50, 95])
def test_one_colour_with_the_noise_of_jpeg_is_blank(quality):
    assert is_blank_picture(through_jpeg(noisy(128, 3), quality))
    assert is_blank_picture(through_jpeg(one_colour((200, 30, 90)), quality))


@pytest.mark.parametrize("spread", [1, 4, 10])
def test_the_noise_of_a_camera_with_its_cap_on_is_blank(spread):
    assert is_blank_picture(noisy(0, spread, (640, 480)))
    assert is_blank_picture(noisy(8, spread, (640, 480)))


def test_a_dot_is_not_blank():
    image = one_colour("white")
    ImageDraw.Draw(image).ellipse((70, 50, 85, 65), fill="black")
    assert not is_blank_picture(image)


@pytest.mark.parametrize("at", [(0, 0), (150, 110), (73, 41)])
def test_a_small_faint_dot_is_not_blank(at):
    image = one_colour((200, 200, 200))
    ImageDraw.Draw(image).rectangle((*at, at[0] + 9, at[1] + 9), fill=(160, 160, 160))
    assert not is_blank_picture(image)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize(("low", "high"), [(0, 255), (0, 30), (100, 115), (240, 255)])
def test_a_gradient_is_not_blank(low, high, down):
    ramp = np.linspace(low, high, 160).astype(np.uint8)
    pixels = np.tile(ramp, (120, 1))
    assert not is_blank_picture(grey(pixels.T if down else pixels))


def test_colours_of_the_same_brightness_are_not_blank():
    image = one_colour((255, 0, 0))
    image.paste((0, 130, 0), (80, 0, 160, 120))
    assert np.ptp(np.asarray(image.convert("L"))) <= 2
    assert not is_blank_picture(image)


def test_noise_that_a_person_would_see_is_a_picture():
    assert not is_blank_picture(noisy(128, 60, (32, 24)))


def test_pictures_are_not_blank(texture):
    for seed in range(50):
        assert not is_blank_picture(texture(seed))
