import io
import re
import struct
import threading
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from pawprint.data.decode import (
    PictureError,
    decode_content,
    decode_file,
    pixels_told,
    read_picture,
)
from pawprint.data.jpeg import quick_jpeg
from pawprint.data.picture import MOST_PIXELS, pixels_at_most
from pawprint.system.errors import UserError

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def saved(image, file_format="PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def four_corners(size=(48, 32)):
    """Red top left, green top right, blue bottom left, white bottom right."""
    corners = Image.new("RGB", (2, 2))
    corners.putdata([RED, GREEN, BLUE, WHITE])
    return corners.resize(size, Image.Resampling.NEAREST)


def corners_of(array):
    return [tuple(array[y, x].tolist()) for y in (0, -1) for x in (0, -1)]


def assert_colour(array, colour, tolerance=2):
    assert np.abs(array.astype(int) - np.array(colour)).max() <= tolerance


def facts_of(picture):
    size = (picture.width, picture.height)
    return (picture.format, picture.mode, *size, picture.orientation, picture.frames)


def one_pixel_values(values, mode):
    dtype = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
    return Image.fromarray(np.array(values, dtype=dtype))


# What comes out


def test_a_picture_is_squashed_to_a_square_of_rgb_bytes():
    array = read_picture(saved(four_corners((60, 20))), 8)
    assert array.shape == (8, 8, 3)
    assert array.dtype == np.uint8
    assert corners_of(array) == [RED, GREEN, BLUE, WHITE]


def test_bytes_and_file_give_the_same_pixels(tmp_path):
    content = saved(four_corners(), "JPEG")
    (tmp_path / "a.jpg").write_bytes(content)
    assert np.array_equal(read_picture(content, 16), read_picture(tmp_path / "a.jpg", 16))


def test_shrinking_averages_instead_of_dropping_pixels():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    assert_colour(read_picture(saved(Image.fromarray(stripes)), 8), (127, 127, 127), tolerance=6)


def test_a_picture_smaller_than_the_square_is_enlarged():
    assert_colour(read_picture(saved(Image.new("RGB", (1, 1), GREEN)), 8), GREEN)


def test_a_large_jpeg_decoded_at_a_reduced_scale_looks_the_same():
    ramp = np.linspace(0, 255, 800).astype(np.uint8)
    large = Image.fromarray(np.stack([np.tile(ramp, (600, 1))] * 3, axis=-1))
    whole = np.asarray(large.resize((32, 32), Image.Resampling.BILINEAR))
    assert_colour(read_picture(saved(large, "JPEG", quality=95), 32), whole, tolerance=4)


def test_facts_tell_what_the_file_holds_before_any_turning_or_scaling():
    exif = Image.Exif()
    exif[0x0112] = 6
    content = saved(four_corners((400, 300)).convert("L"), "JPEG", exif=exif)
    assert facts_of(decode_content(content, 8)) == ("JPEG", "L", 400, 300, 6, 1)


# As a person sees it


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize(
    ("orientation", "seen"),
    [
        (1, [RED, GREEN, BLUE, WHITE]),
        (2, [GREEN, RED, WHITE, BLUE]),
        (3, [WHITE, BLUE, GREEN, RED]),
        (4, [BLUE, WHITE, RED, GREEN]),
        (5, [RED, BLUE, GREEN, WHITE]),
        (6, [BLUE, RED, WHITE, GREEN]),
        (7, [WHITE, GREEN, BLUE, RED]),
        (8, [GREEN, WHITE, RED, BLUE]),
    ],
)
def test_exif_orientation_turns_the_corners_where_a_person_sees_them(
    file_format, orientation, seen
):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if file_format == "WEBP" else {}
    array = read_picture(saved(four_corners(), file_format, exif=exif, **options), 16)
    for got, expected in zip(corners_of(array), seen, strict=True):
        assert_colour(np.array(got), expected, tolerance=12)


def test_a_broken_exif_block_does_not_hide_the_picture():
    content = saved(four_corners(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert read_picture(content, 8).shape == (8, 8, 3)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO"])
def test_common_formats_are_read(file_format):
    content = saved(Image.new("RGB", (32, 32), (200, 40, 60)), file_format)
    assert_colour(read_picture(content, 8), (200, 40, 60), tolerance=4)


def test_grey_becomes_equal_channels():
    assert_colour(read_picture(saved(Image.new("L", (8, 8), 90)), 4), (90, 90, 90), tolerance=0)


def test_one_bit_becomes_black_and_white():
    image = Image.new("1", (2, 2))
    image.putdata([0, 255, 255, 0])
    array = read_picture(saved(image), 2)
    assert corners_of(array) == [(0, 0, 0), WHITE, WHITE, (0, 0, 0)]


def test_a_palette_gives_its_colours():
    image = four_corners().quantize(4)
    assert corners_of(read_picture(saved(image), 16)) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize("transparency", [0, bytes([0, 255, 255, 255])])
def test_a_transparent_palette_colour_shows_white(transparency):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([*RED, *GREEN, *BLUE, *WHITE])
    image.paste(0, (0, 0, 4, 8))
    array = read_picture(saved(image, transparency=transparency), 8)
    assert tuple(array[0, 0]) == WHITE
    assert tuple(array[0, -1]) == GREEN


def test_rgba_lies_over_white():
    assert_colour(read_picture(saved(Image.new("RGBA", (8, 8), (255, 0, 0, 0))), 4), WHITE)
    half = read_picture(saved(Image.new("RGBA", (8, 8), (255, 0, 0, 128))), 4)
    assert_colour(half, (255, 127, 127))


def test_grey_with_transparency_lies_over_white():
    assert_colour(read_picture(saved(Image.new("LA", (8, 8), (0, 64))), 4), (191, 191, 191))


def test_a_transparent_colour_of_an_rgb_png_shows_white():
    content = saved(Image.new("RGB", (8, 8), RED), transparency=RED)
    assert_colour(read_picture(content, 4), WHITE)


def test_cmyk_without_a_profile_becomes_rgb():
    content = saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)
    assert_colour(read_picture(content, 4), RED, tolerance=6)


def test_a_cmyk_picture_is_seen_through_its_embedded_profile():
    image = Image.new("CMYK", (16, 16), (0, 200, 200, 0))
    plain = read_picture(saved(image, "TIFF"), 4)
    seen = read_picture(saved(image, "TIFF", icc_profile=green_cmyk_profile()), 4)
    assert_colour(plain, (255, 55, 55))
    assert seen[0, 0, 1] > seen[0, 0, 0]


@pytest.mark.parametrize("profile", ["broken", "of rgb"])
def test_a_cmyk_picture_with_a_useless_profile_is_still_read(profile):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    content = saved(
        Image.new("CMYK", (16, 16), (0, 255, 255, 0)),
        "TIFF",
        icc_profile=b"no profile" * 20 if profile == "broken" else srgb,
    )
    assert_colour(read_picture(content, 4), RED)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_grey_is_scaled_rather_than_clipped(file_format):
    content = saved(one_pixel_values([[0, 32896, 65535]], "I;16"), file_format)
    assert read_picture(content, 3)[0, :, 0].tolist() == [0, 128, 255]


def test_big_endian_sixteen_bit_grey_is_scaled():
    content = saved(one_pixel_values([[0, 32896, 65535]], "I;16"))
    tiff = big_endian_tiff([0, 32896, 65535])
    assert Image.open(io.BytesIO(tiff)).mode == "I;16B"
    assert np.array_equal(read_picture(tiff, 3), read_picture(content, 3))


def test_thirty_two_bit_grey_is_read_as_sixteen_or_stretched():
    deep = saved(one_pixel_values([[0, 32896, 65535]], "I"), "TIFF")
    assert read_picture(deep, 3)[0, :, 0].tolist() == [0, 128, 255]
    deeper = saved(one_pixel_values([[-1000000, 0, 1000000]], "I"), "TIFF")
    assert read_picture(deeper, 3)[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("values", [[0, 0.5, 1], [0, 127.5, 255], [0, 32767.5, 65535], [-9, 0, 9]])
def test_float_grey_is_scaled_by_its_range(values):
    content = saved(one_pixel_values([values], "F"), "TIFF")
    assert_colour(read_picture(content, 3)[0, :, 0], [0, 127, 255], tolerance=1)


def test_a_float_picture_with_no_finite_value_is_black():
    content = saved(one_pixel_values([[np.nan, np.inf]], "F"), "TIFF")
    assert_colour(read_picture(content, 2), (0, 0, 0), tolerance=0)


@pytest.mark.parametrize(
    ("mode", "file_format"),
    [
        ("F", "TIFF"),
        ("I", "TIFF"),
        ("I;16", "PNG"),
        ("CMYK", "TIFF"),
        ("RGB", "PNG"),
        ("RGBA", "PNG"),
        ("LA", "PNG"),
        ("P", "GIF"),
        ("1", "PNG"),
        ("YCbCr", "JPEG"),
    ],
)
def test_a_picture_converted_in_strips_is_the_same(mode, file_format, monkeypatch):
    random = np.random.default_rng(1)
    if mode in ("F", "I", "I;16"):
        image = one_pixel_values(random.integers(0, 60_000, (41, 30)), mode)
    else:
        image = Image.fromarray(random.integers(0, 256, (41, 30, 4), np.uint8)).convert(mode)
    content = saved(image, file_format)
    whole = np.asarray(decode_file(io.BytesIO(content), 41).image)
    monkeypatch.setattr("pawprint.data.resize._STRIP", 100)
    assert np.array_equal(np.asarray(decode_file(io.BytesIO(content), 41).image), whole)


def test_deep_grey_takes_little_more_memory_than_its_pixels():
    content = saved(Image.new("F", (3000, 3000)), "TIFF", compression="tiff_adobe_deflate")
    tracemalloc.start()
    try:
        read_picture(content, 8)
        assert tracemalloc.get_traced_memory()[1] < 12 * 9_000_000
    finally:
        tracemalloc.stop()


def test_a_picture_too_large_for_the_memory_is_one_sentence(monkeypatch):
    def refuse(*_):
        raise MemoryError("Unable to allocate 381 MiB for an array")

    monkeypatch.setattr("pawprint.data.decode.as_rgb", refuse)
    with pytest.raises(PictureError, match=r"^is too large for the memory of this machine$"):
        read_picture(saved(four_corners()), 8)


@pytest.mark.parametrize("file_format", ["GIF", "PNG", "WEBP", "TIFF", "MPO"])
def test_an_animation_shows_its_first_frame(file_format):
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, GREEN, BLUE)]
    options = {"lossless": True} if file_format == "WEBP" else {}
    content = saved(frames[0], file_format, save_all=True, append_images=frames[1:], **options)
    picture = decode_content(content, 4)
    assert_colour(np.asarray(picture.image), RED)
    assert picture.frames == 3


def test_an_orientation_in_a_jpegs_xmp_turns_it_as_well():
    xmp = b'<x:xmpmeta><rdf:RDF><rdf:Description tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    array = read_picture(saved(four_corners(), "JPEG", xmp=xmp), 16)
    for got, expected in zip(corners_of(array), [BLUE, RED, WHITE, GREEN], strict=True):
        assert_colour(np.array(got), expected, tolerance=12)


# Large JPEGs, decoded smaller


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_jpeg_is_reduced_and_turned_to_what_the_whole_one_shows(texture, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = texture(3, (801, 602))
    picture = decode_content(saved(image, "JPEG", quality=95, exif=exif), 16)
    whole = decode_content(saved(image, "PNG", exif=exif), 16)
    assert max(picture.image.size) == 200
    assert facts_of(picture)[1:] == facts_of(whole)[1:] == ("RGB", 801, 602, orientation, 1)
    assert_colour(squashed(picture.image, 16), squashed(whole.image, 16), tolerance=8)


def squashed(image, side):
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR)).astype(int)


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 20}]
)
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    ("size", "image_size", "by"),
    [
        ((201, 333), 16, 2),
        ((201, 333), 128, 1),
        ((333, 201), 16, 2),
        ((401, 1001), 64, 4),
        ((799, 801), 64, 8),
        ((800, 801), 300, 1),
        ((5, 7), 16, 1),
        ((1, 1), 16, 1),
        ((1, 1000), 16, 1),
    ],
)
def test_a_jpeg_decoded_quickly_is_bit_for_bit_what_pillow_makes_of_it(
    texture, size, image_size, by, mode, options
):
    content = saved(texture(1, size).convert(mode), "JPEG", **options)
    quick = quick_jpeg(content, image_size)
    pillows = Image.open(io.BytesIO(content))
    pillows.draft(None, (size[0] // by, size[1] // by))
    assert pillows.size == (-(-size[0] // by), -(-size[1] // by))
    rows, columns = (int(side / by + 0.5) for side in reversed(size))
    assert np.array_equal(
        np.asarray(quick.image), np.asarray(pillows.convert("RGB"))[:rows, :columns]
    )
    assert facts_of(quick) == ("JPEG", mode, *size, 1, 1)
    slow = decode_file(io.BytesIO(content), image_size)
    assert facts_of(slow) == facts_of(quick)
    assert np.array_equal(np.asarray(slow.image), np.asarray(quick.image))


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_damaged_jpeg_is_what_pillow_makes_of_it(texture, mode):
    sound = saved(texture(2, (211, 160)).convert(mode), "JPEG", quality=60)
    seen, refused = 0, 0
    for place in range(2, len(sound), len(sound) // 60):
        content = bytearray(sound)
        content[place] ^= 0x5A
        try:
            expected = decode_file(io.BytesIO(content), 16)
        except PictureError as error:
            with pytest.raises(PictureError, match=f"^{re.escape(str(error))}$"):
                decode_content(bytes(content), 16)
            refused += 1
            continue
        seen += 1
        picture = decode_content(bytes(content), 16)
        assert facts_of(picture) == facts_of(expected)
        assert np.array_equal(np.asarray(picture.image), np.asarray(expected.image))
    assert seen > 20
    assert refused > 2


def test_a_photograph_of_a_phone_of_108_megapixels_is_reduced_where_that_is_allowed():
    content = saved(Image.linear_gradient("L").resize((12_000, 9_000)), "JPEG")
    assert cause(content).startswith("is too large (108,000,000 pixels: ")
    with pixels_at_most(MOST_PIXELS):
        picture = decode_content(content, 64)
    assert facts_of(picture) == ("JPEG", "L", 12_000, 9_000, 1, 1)
    assert picture.image.size == (1500, 1125)


def test_a_large_cmyk_jpeg_is_reduced_and_seen_in_its_colours():
    content = saved(Image.new("CMYK", (800, 600), (0, 255, 255, 0)), "JPEG", quality=95)
    picture = decode_content(content, 16)
    assert facts_of(picture) == ("JPEG", "CMYK", 800, 600, 1, 1)
    assert picture.image.size == (200, 150)
    assert_colour(np.asarray(picture.image), RED, tolerance=6)


def test_a_camera_picture_of_several_frames_shows_the_first_and_upright():
    exif = Image.Exif()
    exif[0x0112] = 3
    second = Image.new("RGB", (48, 32), RED)
    content = saved(four_corners(), "MPO", save_all=True, append_images=[second], exif=exif)
    picture = decode_content(content, 16)
    assert facts_of(picture) == ("MPO", "RGB", 48, 32, 3, 2)
    for got, expected in zip(
        corners_of(np.asarray(picture.image)), [WHITE, BLUE, GREEN, RED], strict=True
    ):
        assert_colour(np.array(got), expected, tolerance=12)


def grating(size, cycles, down):
    """Stripes of so many cycles over the width, or the height, of the picture."""
    length = size[1] if down else size[0]
    wave = 127.5 + 100 * np.sin(2 * np.pi * cycles * (np.arange(length) + 0.5) / length)
    wave = np.rint(wave).astype(np.uint8)
    other = size[0] if down else size[1]
    return Image.fromarray(
        np.tile(wave[:, None], (1, other)) if down else np.tile(wave, (other, 1))
    )


def contrast(array, cycles, down):
    wave = array[..., 0].mean(axis=1 if down else 0)
    phase = 2j * np.pi * cycles * (np.arange(len(wave)) + 0.5) / len(wave)
    return abs((wave - wave.mean()) @ np.exp(phase))


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize(("part", "kept"), [(0.5, 0.93), (0.9, 0.8)])
@pytest.mark.parametrize(
    ("size", "image_size"),
    [
        ((192, 192), 64),
        ((193, 194), 64),
        ((200, 200), 64),
        ((768, 768), 64),
        ((770, 1024), 64),
        ((512, 512), 64),
        ((800, 600), 64),
        ((1600, 1200), 64),
        ((640, 480), 96),
        ((1153, 1160), 96),
        ((1400, 1350), 224),
    ],
)
def test_a_reduced_jpeg_keeps_the_detail_that_the_square_can_show(
    size, image_size, part, kept, down
):
    cycles = part * image_size / 2  # of the finest that the square can show
    content = saved(grating(size, cycles, down), "JPEG", quality=95)
    seen = contrast(read_picture(content, image_size), cycles, down)
    whole = squashed(Image.open(io.BytesIO(content)).convert("RGB"), image_size)
    assert seen >= kept * contrast(whole, cycles, down)


@pytest.mark.parametrize("grain", [40, 100, 200])
def test_a_reduced_jpeg_is_on_the_average_within_a_step_of_the_whole_one(grain):
    random = np.random.default_rng(grain)
    fields = random.integers(0, 256, (grain, grain, 3), dtype=np.uint8)
    image = Image.fromarray(fields).resize((800, 600), Image.Resampling.BICUBIC)
    content = saved(image, "JPEG", quality=90)
    whole = squashed(Image.open(io.BytesIO(content)), 64)
    assert np.abs(read_picture(content, 64) - whole).mean() < 1


@pytest.mark.parametrize("side", [8, 16, 63, 64])
def test_a_square_of_up_to_64_pixels_does_not_change_what_is_decoded(texture, side):
    content = saved(texture(4, (800, 600)), "JPEG")
    pixels = np.asarray(decode_content(content, side).image)
    assert np.array_equal(pixels, np.asarray(decode_content(content, 64).image))


def test_a_picture_is_cropped_or_padded_where_that_is_asked_for():
    content = saved(four_corners((60, 20)))
    assert tuple(read_picture(content, 12, "pad")[0, 0]) == (0, 0, 0)
    assert tuple(read_picture(content, 12, "crop")[0, 0]) == RED
    assert not np.array_equal(read_picture(content, 12, "crop"), read_picture(content, 12))


# Damaged inside


def zeroed(content, start, part=0.1):
    """The content with a part of its bytes zeroed."""
    length = int(len(content) * part)
    return content[:start] + bytes(length) + content[start + length :]


@pytest.mark.parametrize("place", [0.3, 0.45, 0.6, 0.85])
@pytest.mark.parametrize(
    ("mode", "file_format", "options"),
    [
        ("RGB", "JPEG", {}),
        ("RGB", "JPEG", {"quality": 90}),
        ("RGB", "JPEG", {"optimize": True}),
        ("RGB", "JPEG", {"progressive": True}),
        ("RGB", "JPEG2000", {"quality_mode": "rates", "quality_layers": [10]}),
        ("L", "JPEG", {}),
        ("RGB", "JPEG", {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}),
        ("CMYK", "JPEG", {}),
        ("RGB", "WEBP", {}),
    ],
)
def test_a_picture_with_a_tenth_of_its_bytes_zeroed_is_damaged(
    texture, mode, file_format, options, place
):
    content = saved(texture(2, (400, 300)).convert(mode), file_format, **options)
    assert decode_content(content, 16).damage is None
    picture = decode_content(zeroed(content, int(len(content) * place)), 16)
    assert picture.damage
    assert picture.image.mode == "RGB"


def test_an_avif_with_a_tenth_of_its_bytes_zeroed_is_damaged_or_refused(texture):
    content = saved(texture(2, (400, 300)), "AVIF")
    assert decode_content(content, 16).damage is None
    assert cause(zeroed(content, len(content) // 2)).startswith("cannot be read: ")
    assert decode_content(zeroed(content, int(len(content) * 0.85)), 16).damage


def test_a_png_whose_checksum_alone_is_wrong_is_damaged():
    content = bytearray(saved(four_corners()))
    content[content.index(b"IEND") - 5] ^= 1
    picture = decode_content(bytes(content), 16)
    assert picture.damage == "a checksum is wrong"


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"optimize": True}]
)
def test_a_sound_jpeg_is_whole_without_its_end_and_with_more_after_it(texture, mode, options):
    content = saved(texture(2, (400, 300)).convert(mode), "JPEG", **options)
    for variant in (content, content[:-2], content[:-1], content + b"more" * 100):
        assert decode_content(variant, 16).damage is None


@pytest.mark.parametrize("file_format", ["WEBP", "AVIF", "JPEG2000"])
def test_zeros_behind_the_end_of_a_picture_are_no_damage(texture, file_format):
    content = saved(texture(2, (400, 300)), file_format) + bytes(100_000)
    assert decode_content(content, 16).damage is None


@pytest.mark.parametrize(
    ("file_format", "options"),
    [("WEBP", {}), ("AVIF", {}), ("JPEG", {}), ("JPEG", {"optimize": True})],
)
@pytest.mark.parametrize("kind", ["one colour", "halves", "ramp"])
def test_a_flat_picture_is_not_taken_for_a_damaged_one(file_format, options, kind):
    image = Image.new("RGB", (1024, 1024), "white")
    if kind == "halves":
        image.paste("navy", (0, 512, 1024, 1024))
    elif kind == "ramp":
        image = Image.linear_gradient("L").resize((1024, 1024)).convert("RGB")
    exif = b"Exif\0\0II*\0\x08\0\0\0\0\0" + bytes(3000)
    content = saved(image, file_format, exif=exif, **options)
    assert decode_content(content, 16).damage is None


# HEIC, as phones write it


HEIC_SETTINGS = (
    "0101600000009000000000001ef000fcfdf8f800000f03a00001001740010c01ffff0408000003009fa800000300"
    "001eba0240a1000100254201010408000003009fa800000300001ea02082165baabcae0100000303e800000303e8"
    "08a2000100064401c1718112"
)
HEIC_CORNERS = (
    "00000036"
    "2801af09e03ecaffca797ff33e687c48073bd9bce74a4fe094fff3799e2073fe44880f34ccbfc64c7dd033adcea1"
    "2afb17aac021e0fc"
)


def heic(brand=b"heic", quarter_turns=0, size=(64, 32)):
    """A HEIC of the four corners: one coded picture in the container that phones use."""

    def box(kind, *parts):
        content = b"".join(parts)
        return struct.pack(">I", len(content) + 8) + kind + content

    coded = bytes.fromhex(HEIC_CORNERS)
    properties = [
        box(b"hvcC", bytes.fromhex(HEIC_SETTINGS)),
        box(b"ispe", struct.pack(">III", 0, *size)),
        box(b"irot", bytes([quarter_turns])),
    ]
    of_item = struct.pack(">IIHB", 0, 1, 1, 3) + bytes([0x81, 2, 0x83])

    def meta(start):
        where = struct.pack(">IBBHHHHII", 0, 0x44, 0, 1, 1, 0, 1, start, len(coded))
        entry = box(b"infe", struct.pack(">IHH", 2 << 24, 1, 0), b"hvc1\0")
        return box(
            b"meta",
            bytes(4),
            box(b"hdlr", bytes(8), b"pict", bytes(13)),
            box(b"pitm", struct.pack(">IH", 0, 1)),
            box(b"iloc", where),
            box(b"iinf", struct.pack(">IH", 0, 1), entry),
            box(b"iprp", box(b"ipco", *properties), box(b"ipma", of_item)),
        )

    kind = box(b"ftyp", brand, bytes(4), b"mif1heic")
    return kind + meta(len(kind) + len(meta(0)) + 8) + box(b"mdat", coded)


@pytest.mark.parametrize("brand", [b"heic", b"mif1"])
@pytest.mark.parametrize(
    ("turns", "seen"), [(0, [RED, GREEN, BLUE, WHITE]), (3, [BLUE, RED, WHITE, GREEN])]
)
def test_heic_is_read_upright(tmp_path, brand, turns, seen):
    content = heic(brand, turns)
    (tmp_path / "phone.heic").write_bytes(content)
    picture = decode_content(content, 16)
    assert facts_of(picture) == ("HEIF", "RGB", *((32, 64) if turns else (64, 32)), 1, 1)
    for source in (content, tmp_path / "phone.heic"):
        for got, expected in zip(corners_of(read_picture(source, 16)), seen, strict=True):
            assert_colour(np.array(got), expected, tolerance=12)
    assert pixels_told(content) == 64 * 32


def test_heic_cut_short_or_too_large_is_refused(monkeypatch):
    assert cause(heic()[:-20]).startswith(("is truncated", "cannot be read: "))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    assert cause(heic()).startswith("is too large (2,048 pixels: ")


# What is refused


def test_a_problem_is_a_user_error():
    assert issubclass(PictureError, UserError)


def cause(source):
    with pytest.raises(PictureError) as caught:
        read_picture(source, 8)
    return str(caught.value)


def test_an_empty_file_is_named_empty():
    assert cause(b"") == "is empty (0 bytes)"


@pytest.mark.parametrize("content", [b"hello", b"x" * 5000, b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\0"])
def test_what_is_no_picture_is_named_so(content):
    assert cause(content) == "is not a picture"


def test_a_broken_heic_is_told_with_its_cause():
    assert cause(b"\0\0\0\x18ftypheic" + b"\0" * 100).startswith("cannot be read: ")


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"P7\nWIDTH 1\n", "PAM"),
        (b"PF\n1 1\n-1\n", "PFM in colour"),
        (b"8BPS\0\1", "Photoshop's PSD"),
    ],
)
def test_pictures_of_a_kind_that_is_not_read_are_told_by_it(start, kind):
    sentence = f"cannot be read: {kind} is not supported (convert it to PNG)"
    assert cause(start + bytes(100)) == sentence


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "PPM"])
@pytest.mark.parametrize("part", [0.5, 0.95])
def test_a_file_cut_short_is_named_truncated(file_format, part):
    noise = np.random.default_rng(0).integers(0, 256, (100, 120, 3), dtype=np.uint8)
    content = saved(Image.fromarray(noise), file_format)
    assert cause(content[: int(len(content) * part)]) == "is truncated"


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
@pytest.mark.parametrize("cut", [2, 20, 500])
def test_a_tiff_whose_directory_is_cut_is_truncated(texture, compression, cut):
    content = saved(texture(2, (200, 150)), "TIFF", compression=compression)
    assert cause(content[:-cut]) == "is truncated"


@pytest.mark.parametrize("file_format", ["AVIF", "WEBP"])
def test_what_says_how_long_it_is_is_truncated_where_it_is_shorter(texture, file_format):
    content = saved(texture(2, (200, 150)), file_format)
    assert cause(content[: len(content) * 7 // 10]) == "is truncated"


@pytest.mark.parametrize("image_size", [16, 300])
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_large_jpeg_cut_anywhere_in_its_pixels_is_truncated(texture, options, image_size):
    content = saved(texture(5, (640, 480)), "JPEG", **options)
    start = content.index(b"\xff\xda") + 14
    for end in np.linspace(start, len(content) - 4, 12).astype(int):
        with pytest.raises(PictureError, match=r"^is truncated$"):
            read_picture(content[:end], image_size)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "unreadable"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 100, "unreadable"),
        (b"hello", "not a picture"),
        (saved(Image.new("RGB", (32, 32), RED), "BMP")[:-500], "truncated"),
    ],
    ids=["empty", "heic", "text", "cut"],
)
def test_a_problem_has_its_kind(content, kind):
    with pytest.raises(PictureError) as caught:
        decode_content(content, 8)
    assert caught.value.kind == kind


def test_damage_inside_is_named_with_its_cause():
    content = bytearray(saved(Image.new("RGB", (32, 32), RED)))
    content[content.index(b"IDAT") + 4] ^= 0xFF
    assert cause(bytes(content)).startswith("cannot be read: ")


@pytest.mark.parametrize("side", [10_000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(side):
    expected = f"is too large ({side * side:,} pixels: a possible decompression bomb)"
    assert cause(png_header_only(side)) == expected
    with pytest.raises(PictureError) as caught:
        decode_content(png_header_only(side), 8)
    assert caught.value.kind == "decompression bomb"


@pytest.mark.parametrize("size", [(1, 50_000_000), (70_000, 2)])
def test_a_thin_picture_is_refused_before_its_rows_take_memory(size):
    expected = f"is too long ({size[0]:,} × {size[1]:,} pixels: a possible decompression bomb)"
    assert cause(png_header_only(*size)) == expected


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("key", [0, 1])
def test_a_transparent_grey_of_few_bits_shows_white(bits, key):
    head = struct.pack(">IIBBBBB", 2, 1, bits, 0, 0, 0, 0)
    other = 1 - key
    row = bytes([key, other]) if bits == 8 else bytes([key << 8 - bits | other << 8 - 2 * bits])
    content = b"".join(
        [
            PNG_START,
            png_chunk(b"IHDR", head),
            png_chunk(b"tRNS", struct.pack(">H", key)),
            png_chunk(b"IDAT", zlib.compress(b"\0" + row)),
            png_chunk(b"IEND", b""),
        ]
    )
    seen = read_picture(content, 2)[0, :, 0].tolist()
    assert seen == [255, other * 255 // (2**bits - 1)]


@pytest.mark.parametrize("transparent", [0, 514])
@pytest.mark.parametrize("colour", [0, 2])
def test_a_transparent_value_of_16_bits_shows_white(transparent, colour):
    value = [transparent] * (3 if colour else 1)
    other = [0x8000] * len(value)
    row = struct.pack(f">{2 * len(value)}H", *value, *other)
    head = struct.pack(">IIBBBBB", 2, 1, 16, colour, 0, 0, 0)
    key = png_chunk(b"tRNS", struct.pack(f">{len(value)}H", *value))
    rows = png_chunk(b"IDAT", zlib.compress(b"\0" + row))
    content = PNG_START + png_chunk(b"IHDR", head) + key + rows + png_chunk(b"IEND", b"")
    assert read_picture(content, 2)[0, :, 0].tolist() == [255, 128]


def test_a_jpeg_that_claims_to_be_huge_is_refused_before_it_is_decoded():
    content = bytearray(saved(Image.new("RGB", (32, 32), RED), "JPEG"))
    start = content.index(b"\xff\xc0") + 5  # the frame's header: height, width
    content[start : start + 4] = struct.pack(">HH", 60_000, 60_000)
    expected = "is too large (3,600,000,000 pixels: a possible decompression bomb)"
    assert cause(bytes(content)) == expected


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
@pytest.mark.parametrize(("limit", "refused"), [(66_933, False), (66_932, True), (20_000, True)])
def test_a_sound_picture_is_refused_exactly_above_pillows_limit(
    texture, monkeypatch, file_format, limit, refused
):
    content = saved(texture(1, (201, 333)), file_format)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    if refused:
        assert cause(content).startswith("is too large (66,933 pixels: ")
    else:
        assert decode_content(content, 8).width == 201


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    assert cause(tmp_path / "none.jpg") == "cannot be read: No such file or directory"
    assert cause(tmp_path) == "is a folder that holds no file"


# Warnings


def test_pillow_warnings_do_not_reach_the_user():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        cause(png_header_only(10_000))
        read_picture(saved(four_corners(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\0"), 8)
        image = Image.new("P", (8, 8), 1)
        read_picture(saved(image, transparency=bytes([0, 9])), 8)
    assert seen == []


def test_decoding_in_many_threads_leaves_the_warning_filters_as_they_were():
    content = saved(four_corners())
    before = list(warnings.filters)

    def read_some():
        for _ in range(20):
            read_picture(content, 8)

    threads = [threading.Thread(target=read_some) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before


# Files that Pillow does not write


PNG_START = b"\x89PNG\r\n\x1a\n"


def png_chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_header_only(width, height=None):
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height or width, 8, 2, 0, 0, 0))
    return PNG_START + header + png_chunk(b"IDAT", b"") + png_chunk(b"IEND", b"")


def big_endian_tiff(values):
    """A grey TIFF of one row, 16 bits a pixel, most significant byte first."""
    data = struct.pack(f">{len(values)}H", *values)
    entries = [
        (256, len(values)),
        (257, 1),
        (258, 16),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, 1),
        (279, len(data)),
    ]
    table = b"".join(struct.pack(">HHIHH", tag, 3, 1, value, 0) for tag, value in entries)
    start = 8 + len(data)
    head = b"MM\0*" + struct.pack(">I", start) + data
    return head + struct.pack(">H", len(entries)) + table + struct.pack(">I", 0)


def green_cmyk_profile():
    """An ICC profile by which every CMYK colour is a green: its table holds one Lab value."""
    lab = bytes([160, 60, 190])  # L*, a*, b* as bytes: a* below 128 is green
    inputs = bytes(range(256)) * 4
    table = lab * 2**4
    outputs = bytes(range(256)) * 3
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + inputs + table + outputs
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    header_size, directory_size = 128, 4 + 2 * 12
    first = header_size + directory_size
    second = first + len(white)
    lut += b"\0" * (-len(lut) % 4)
    directory = struct.pack(">I", 2)
    directory += b"wtpt" + struct.pack(">II", first, len(white))
    directory += b"A2B0" + struct.pack(">II", second, len(lut))
    header = struct.pack(">I", second + len(lut)) + b"\0" * 4 + struct.pack(">I", 0x02400000)
    header += b"prtrCMYKLab " + struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp"
    header += b"\0" * 28 + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(header_size, b"\0") + directory + white + lut


# Pixels in memory


@pytest.mark.parametrize(
    "image",
    [
        Image.new("L", (9, 7), 200),
        Image.new("1", (9, 7), 1),
        Image.new("LA", (9, 7), (10, 128)),
        Image.new("P", (9, 7), 3),
        Image.new("RGBA", (9, 7), (200, 0, 0, 0)),
        Image.new("CMYK", (9, 7), (0, 200, 10, 0)),
        Image.new("I;16", (9, 7), 30_000),
        Image.new("I", (9, 7), 70_000),
        Image.new("F", (9, 7), 0.5),
    ],
    ids=lambda image: image.mode,
)
def test_an_image_of_any_mode_is_seen_as_its_file(image, tmp_path):
    file = tmp_path / f"picture.{'tif' if image.mode in ('CMYK', 'F', 'I') else 'png'}"
    image.save(file)
    assert np.array_equal(read_picture(image, 8), read_picture(file, 8))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_as_its_exif_says_and_stays_as_it_is(orientation, texture, tmp_path):
    exif = Image.Exif()
    exif[274] = orientation
    file = tmp_path / "picture.jpg"
    texture(orientation, (40, 30)).save(file, exif=exif)
    image = Image.open(file)
    assert np.array_equal(read_picture(image, 32), read_picture(file, 32))
    assert image.size == (40, 30)
    assert image.getexif()[274] == orientation


def test_the_value_that_is_transparent_is_seen_as_in_the_file_and_left_in_the_image(tmp_path):
    file = tmp_path / "grey.png"
    Image.new("L", (8, 8), 2 * 17).save(file, bits=4, transparency=2)
    image = Image.open(file)
    before = image.info["transparency"]
    assert np.array_equal(read_picture(image, 4), read_picture(file, 4))
    assert image.info["transparency"] == before
