import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from pawprint.data.copies.fingerprint import THUMB, THUMB_BYTES, perceptual_hashes, thumbs_of
from pawprint.data.decode import read_picture
from pawprint.data.image_array import decode
from pawprint.data.reading import files as files_module
from pawprint.data.reading.files import read_chunk

NOTHING = np.empty(0, "S32")
SIZE = 8


@pytest.fixture
def files(tmp_path, texture):
    """Two pictures, a file that is none between them, and one that is gone."""
    exif = Image.Exif()
    exif[0x0112] = 6
    texture(1, (60, 40)).save(tmp_path / "a.jpg", exif=exif)
    (tmp_path / "b.jpg").write_text("hello")
    texture(2, (30, 20)).convert("L").save(tmp_path / "c.png")
    return [str(tmp_path / name) for name in ("a.jpg", "b.jpg", "c.png", "gone.jpg")]


def read(files, size=SIZE, resize="squash", known=NOTHING):
    return read_chunk(files, size, resize, known)


def content_of(path):
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read()


def digest_of(path):
    return hashlib.sha256(content_of(path)).digest()


def test_the_facts_of_every_file_are_recorded(files):
    records = read(files).records
    facts = ["format", "mode", "width", "height", "orientation", "frames", "kind", "problem"]
    assert records[facts].tolist() == [
        (b"JPEG", b"RGB", 60, 40, 6, 1, b"", b""),
        (b"", b"", 0, 0, 0, 0, b"not a picture", b"is not a picture"),
        (b"PNG", b"L", 30, 20, 1, 1, b"", b""),
        (b"", b"", 0, 0, 0, 0, b"unreadable", b"cannot be read: No such file or directory"),
    ]
    for path, record in zip(files[:3], records, strict=False):
        assert record["bytes"] == len(content_of(path))
        assert bytes(record["sha256"]) == digest_of(path).rstrip(b"\0")
    assert (records["sha256"][3], records["bytes"][3]) == (b"", 0)


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
def test_pixels_are_those_that_a_prediction_sees(files, resize):
    found = read(files, resize=resize)
    pixels = np.frombuffer(found.pixels, np.uint8).reshape(2, SIZE, SIZE, 3)
    for path, picture in zip((files[0], files[2]), pixels, strict=True):
        assert np.array_equal(picture, read_picture(content_of(path), SIZE, resize))
    assert found.records["length"].tolist() == [192, 0, 192, 0]


def test_large_pixels_are_stored_as_jpegs(files):
    found = read(files, size=130)
    assert found.records["length"].sum() == len(found.pixels)
    start, out = 0, np.empty((130, 130, 3), np.uint8)
    for path, length in zip(files, found.records["length"], strict=True):
        if length:
            decode(found.pixels[start : start + length], out)
            assert np.abs(out.astype(int) - read_picture(content_of(path), 130)).mean() < 1.5
        start += length


def test_thumbnails_and_hashes_are_those_of_the_upright_picture(files):
    found = read(files)
    upright = Image.fromarray(read_picture(content_of(files[2]), 20)).resize((30, 20))
    with Image.open(files[2]) as image:
        whole, middle = (thumb.tobytes() for thumb in thumbs_of(image.convert("RGB")))
    assert upright.size == (30, 20)
    assert len(found.thumbs) == 4 * THUMB_BYTES
    assert found.thumbs[2 * THUMB_BYTES : 3 * THUMB_BYTES] == whole
    assert [found.records["hash"][2], found.records["inner"][2]] == list(
        perceptual_hashes([whole, middle])
    )
    mirrored = np.frombuffer(whole, np.uint8).reshape(THUMB, THUMB)[:, ::-1]
    assert found.records["mirrored"][2] == perceptual_hashes([mirrored.tobytes()])[0]
    assert found.thumbs[THUMB_BYTES : 2 * THUMB_BYTES] == bytes(THUMB_BYTES)


def test_a_turned_copy_without_exif_looks_the_same(tmp_path, files):
    with Image.open(files[0]) as image:
        image.transpose(Image.Transpose.ROTATE_270).save(tmp_path / "turned.png")
    hashes = read([files[0], str(tmp_path / "turned.png")]).records["hash"]
    assert np.bitwise_count(hashes[0] ^ hashes[1]) <= 2


def test_blank_pictures_are_marked(tmp_path, files):
    Image.new("RGB", (30, 20), "white").save(tmp_path / "blank.png")
    blank = read([*files, str(tmp_path / "blank.png")]).records["blank"].tolist()
    assert blank == [False, False, False, False, True]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_known_content_is_not_decoded(files, place):
    known = np.sort(np.array([b"\0" * 32, digest_of(files[place]), b"\xff" * 32], "S32"))
    found = read(files, known=known)
    assert found.known == [row == place for row in range(4)]
    record = found.records[place]
    assert (record["length"], record["kind"], record["width"]) == (0, b"", 0)
    assert bytes(record["sha256"]) == digest_of(files[place]).rstrip(b"\0")
    assert len(found.pixels) == 192 * sum(not k for k in found.known[::2])
    thumbs = read(files).thumbs
    before, after = place * THUMB_BYTES, (place + 1) * THUMB_BYTES
    assert found.thumbs == thumbs[:before] + thumbs[after:]


def test_known_contents_that_are_not_there_change_nothing(files):
    known = np.sort(np.array([digest_of(path)[:-1] + b"!" for path in files[:3]], "S32"))
    assert read(files, known=known).known == [False] * 4


def test_a_content_that_ends_with_zeros_is_known(tmp_path):
    content = next(
        text
        for text in (str(number).encode() for number in range(100_000))
        if hashlib.sha256(text).digest().endswith(b"\0")
    )
    (tmp_path / "a.jpg").write_bytes(content)
    known = np.array([hashlib.sha256(content).digest()], "S32")
    assert read([str(tmp_path / "a.jpg")], known=known).known == [True]


def test_a_file_too_large_for_memory_is_read_the_same(files, monkeypatch):
    at_once = read(files)
    known = np.array([digest_of(files[0])], "S32")
    monkeypatch.setattr(files_module, "WHOLE", 100)
    bit_by_bit = read(files)
    assert bit_by_bit.records.tolist() == at_once.records.tolist()
    assert (bit_by_bit.pixels, bit_by_bit.thumbs) == (at_once.pixels, at_once.thumbs)
    assert read(files, known=known).known == [True, False, False, False]


def test_an_empty_file_a_folder_and_a_cut_one_are_told_apart(tmp_path, files):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "cut.jpg").write_bytes(content_of(files[0])[:-300])
    names = ("empty.jpg", "folder.jpg", "cut.jpg")
    records = read([str(tmp_path / name) for name in names]).records
    assert records["problem"].tolist() == [
        b"is empty (0 bytes)",
        b"is a folder that holds no file",
        b"is truncated",
    ]
    assert records["kind"].tolist() == [b"unreadable", b"unreadable", b"truncated"]


def test_the_longest_cause_is_cut_to_what_can_be_remembered(tmp_path):
    file = io.BytesIO()
    Image.new("RGB", (32, 32)).save(file, "PNG")
    broken = bytearray(file.getvalue())
    broken[broken.index(b"IDAT") + 4] ^= 0xFF
    (tmp_path / "a.png").write_bytes(bytes(broken))
    problem = read([str(tmp_path / "a.png")]).records["problem"][0]
    assert problem.startswith(b"cannot be read: ")
    assert len(problem) <= 160
