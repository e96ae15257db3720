import io
import itertools
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from pawprint.data.decode import PictureError, decode_content, pixels_told

HEIGHT, WIDTH = 3, 9


def tiff_of(samples, photometric="minisblack", planar="contig", **options):
    """A TIFF of samples (height, width, n), written by another library than the one that reads."""
    file = io.BytesIO()
    data = np.moveaxis(samples, 2, 0) if planar == "separate" else samples
    single = samples.shape[2] == 1
    tifffile.imwrite(
        file,
        samples[..., 0] if single else data,
        photometric=photometric,
        planarconfig=None if single else planar,
        metadata=None,
        **options,
    )
    return file.getvalue()


def as_seen(samples, photometric, alpha):
    """What the samples (height, width, n) mean by the specification: RGB over white, 0 to 255."""
    colours = 3 if photometric == "rgb" else 1
    values = samples[..., :colours].astype(np.float64)
    is_float = samples.dtype.kind == "f"
    full = 1.0 if is_float else float(np.iinfo(samples.dtype).max)
    low, white = 0.0, full if is_float else min(full, 65535.0)
    if values.min() < 0 or values.max() > white:
        low, white = values.min(), values.max()
    values = (values - low) / (white - low) * 255
    if photometric == "miniswhite":
        values = 255 - values
    if alpha in ("unassalpha", "assocalpha"):
        opacity = np.clip(samples[..., colours : colours + 1].astype(np.float64) / full, 0, 1)
        if alpha == "unassalpha":
            values = values * opacity + 255 * (1 - opacity)
        elif photometric != "miniswhite":  # of which no colour is white already
            values = values + 255 * (1 - opacity)
    return np.broadcast_to(np.clip(values, 0, 255), (*samples.shape[:2], 3))


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "f2", "f4", "f8"])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite", "rgb"])
def test_samples_of_any_kind_are_seen_as_they_are_meant(kind, photometric):
    kind, colours = np.dtype(kind), 3 if photometric == "rgb" else 1
    ends = (0, 1) if kind.kind == "f" else (np.iinfo(kind).min, np.iinfo(kind).max)
    ramp = np.linspace(*ends, WIDTH) * (1 - 2**-20)  # what rounds up is no number of the kind
    for alpha, planar, order, compression in itertools.product(
        (None, "unassalpha", "assocalpha", "unspecified"),
        ("contig", "separate"),
        "<>",
        (None, "zlib"),
    ):
        bands = [np.roll(ramp, band) for band in range(colours + (alpha is not None))]
        samples = np.stack([np.tile(band, (HEIGHT, 1)) for band in bands], axis=-1).astype(kind)
        if alpha == "assocalpha":
            samples[..., :colours] = np.minimum(samples[..., :colours], samples[..., colours:])
        options = {"extrasamples": [alpha]} if alpha else {}
        content = tiff_of(
            samples, photometric, planar, byteorder=order, compression=compression, **options
        )
        seen = np.asarray(decode_content(content, 8).image).astype(float)
        wrong = np.abs(seen - as_seen(samples, photometric, alpha)).max()
        assert wrong <= 2, (alpha, planar, order, compression)


@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_further_bands_beside_rgb_are_passed_over(kind, planar):
    samples = np.random.default_rng(1).integers(0, 2, (HEIGHT, WIDTH, 5)).astype(kind)
    options = {"extrasamples": ["unspecified"] * 2}
    seen = decode_content(tiff_of(samples, "rgb", planar, **options), 8)
    plain = decode_content(tiff_of(samples[..., :3], "rgb", planar), 8)
    assert np.array_equal(np.asarray(seen.image), np.asarray(plain.image))


@pytest.mark.parametrize(
    ("samples", "photometric", "kind"),
    [
        (np.zeros((8, 8, 5), "u1"), "minisblack", "5 bands of 8 bits (minisblack, none)"),
        (np.zeros((8, 8, 4), "f4"), "minisblack", "4 bands of 32 floating-point bits"),
        (np.zeros((8, 8, 1), "c8"), "minisblack", "1 band of 64 bits"),
    ],
)
def test_what_cannot_be_seen_is_refused_by_its_kind(samples, photometric, kind):
    with pytest.raises(PictureError, match="is not supported") as caught:
        decode_content(tiff_of(samples, photometric), 8)
    assert str(caught.value).startswith(f"cannot be read: a TIFF of {kind}")
    assert str(caught.value).endswith("is not supported (convert it to RGB of 8 bits)")


def test_a_compression_that_only_pillow_knows_gives_the_same_grey():
    ramp = np.linspace(0, 65535, 64 * 48).astype(np.uint16).reshape(48, 64)
    content = io.BytesIO()
    Image.fromarray(ramp).save(content, "TIFF", compression="tiff_lzw")
    seen = np.asarray(decode_content(content.getvalue(), 8).image)[..., 0]
    assert np.abs(seen - ramp / 257).max() <= 1


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("part", [0.5, 0.95])
def test_deep_samples_cut_short_are_truncated(compression, part):
    noise = np.random.default_rng(0).integers(0, 65536, (64, 48, 1)).astype(np.uint16)
    content = tiff_of(noise, compression=compression, rowsperstrip=8)
    with pytest.raises(PictureError, match=r"^is truncated$"):
        decode_content(content[: int(len(content) * part)], 8)


def test_samples_that_unpack_to_more_than_their_pixels_are_refused():
    small = tiff_of(np.zeros((8, 8, 1), np.float32), compression="zlib", rowsperstrip=8)
    large = tiff_of(np.zeros((4000, 4000, 1), np.float32), compression="zlib", rowsperstrip=4000)
    with tifffile.TiffFile(io.BytesIO(large)) as tiff:
        start, length = tiff.pages[0].dataoffsets[0], tiff.pages[0].databytecounts[0]
    with tifffile.TiffFile(io.BytesIO(small)) as tiff:
        tags = tiff.pages[0].tags
        places = tags["StripOffsets"].valueoffset, tags["StripByteCounts"].valueoffset
    content = bytearray(small + large[start : start + length])
    for place, value in zip(places, (len(small), length), strict=True):
        struct.pack_into("<I", content, place, value)
    with pytest.raises(PictureError, match="more than its pixels"):
        decode_content(bytes(content), 8)


def test_samples_of_many_bytes_count_as_more_pixels():
    content = tiff_of(np.zeros((8, 8, 3), np.float64), "rgb")
    assert pixels_told(content) == 8 * 8 * 3 * 8 // 4


def pages(*sides, inner=None, first_kind=0):
    """A TIFF of square pages; ``inner`` is the side of one that stands inside the first."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for number, side in enumerate(sides):
            page = np.full((side, side, 3), 200 if side == max(sides) else 20, np.uint8)
            kind = first_kind if number == 0 else 0
            subifds = 1 if inner and number == 0 else 0
            writer.write(page, photometric="rgb", metadata=None, subfiletype=kind, subifds=subifds)
            if subifds:
                page = np.full((inner, inner, 3), 250, np.uint8)
                writer.write(page, photometric="rgb", metadata=None)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "side", "value"),
    [
        (pages(16, 64), 64, 200),
        (pages(16, 64, first_kind=1), 64, 200),
        (pages(50, 64, first_kind=1), 64, 200),
        (pages(16, inner=80, first_kind=1), 80, 250),
        (pages(64, 16), 64, 200),
        (pages(63, 64), 63, 20),
    ],
    ids=["behind", "behind one said so", "near", "inside", "before", "a document"],
)
def test_a_thumbnail_is_not_taken_for_the_picture(content, side, value):
    picture = decode_content(content, 8)
    assert (picture.width, picture.height) == picture.image.size == (side, side)
    assert picture.image.getpixel((0, 0)) == (value, value, value)
    assert pixels_told(content) == side * side


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_tiff_records_how_it_was_turned_and_its_sides_in_the_file(kind, orientation):
    samples = np.zeros((4, 6, 1), kind)
    samples[0, 0] = 255
    content = tiff_of(samples, extratags=[(274, "H", 1, orientation, True)])
    picture = decode_content(content, 8)
    assert (picture.width, picture.height, picture.orientation) == (6, 4, orientation)
    assert picture.image.size == ((6, 4) if orientation < 5 else (4, 6))
    corner = np.argwhere(np.asarray(picture.image)[..., 0])[0].tolist()
    assert [place > 0 for place in corner] == [
        orientation in (3, 4, 7, 8),
        orientation in (2, 3, 6, 7),
    ]


def test_damage_is_told_without_a_word_of_libtiff_on_standard_error(capfd):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "TIFF", compression="tiff_lzw")
    content = bytearray(file.getvalue())
    middle = len(content) // 2
    content[middle : middle + 500] = b"\xff" * 500
    with pytest.raises(PictureError, match="cannot be read"):
        decode_content(bytes(content), 8)
    assert capfd.readouterr() == ("", "")


def test_a_chain_of_pages_that_leads_in_a_circle_comes_to_an_end():
    content = bytearray(pages(16, 64))
    with tifffile.TiffFile(io.BytesIO(content)) as tiff:
        first, last = (page.offset for page in tiff.pages)
    (entries,) = struct.unpack_from("<H", content, last)
    struct.pack_into("<I", content, last + 2 + 12 * entries, first)
    picture = decode_content(bytes(content), 8)
    assert (picture.width, picture.frames) == (64, 2)


@pytest.mark.parametrize("compression", ["tiff_adobe_deflate", "tiff_lzw", "jpeg"])
def test_a_compressed_tiff_with_a_tenth_of_its_bytes_zeroed_is_damaged_or_refused(
    texture, compression
):
    file = io.BytesIO()
    texture(2, (400, 300)).save(file, "TIFF", compression=compression)
    content = file.getvalue()
    assert decode_content(content, 8).damage is None
    length = len(content) // 10
    for part in (0.3, 0.5, 0.7, 0.85):
        start = int(len(content) * part)
        spoiled = content[:start] + bytes(length) + content[start + length :]
        try:
            assert decode_content(spoiled, 8).damage
        except PictureError as error:
            assert error.kind == "unreadable"  # noqa: PT017


@pytest.mark.parametrize("compression", ["tiff_adobe_deflate", "tiff_lzw", "jpeg"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_black_tiff_is_not_taken_for_a_damaged_one(compression, mode):
    file = io.BytesIO()
    Image.new(mode, (1000, 700)).save(file, "TIFF", compression=compression)
    assert decode_content(file.getvalue(), 8).damage is None
