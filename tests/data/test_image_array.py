import mmap
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pawprint.data import image_array as module
from pawprint.data.image_array import (
    HEADER,
    Pictures,
    bytes_of_one,
    complete,
    decode,
    encode,
    is_raw,
    pictures_file,
)

COUNT = 20
ROWS = np.array([3, 4, 5, 6, 11, 12, 19, 0, 7, 7, 1, 18])  # 12, in no order, one twice
RAW, JPEG = 16, 136


def written(folder, squares, image_size):
    """What prepare does with the pixels of all pictures."""
    contents = [encode(square) for square in squares]
    starts = HEADER + np.cumsum([0, *map(len, contents)])[:-1]
    pictures_file(folder, image_size).write_bytes(bytes(HEADER) + b"".join(contents))
    complete(folder, image_size, starts)
    return folder


@pytest.fixture(scope="module", params=[RAW, JPEG], ids=["raw", "jpeg"])
def stored(request, tmp_path_factory, texture):
    """Pictures of the rows, and what they should be, uint8 (12, size, size, 3)."""
    size = request.param
    squares = [texture(seed, (size, size)) for seed in range(COUNT)]
    folder = written(tmp_path_factory.mktemp("prepared"), squares, size)
    return Pictures(folder, size, ROWS), np.stack([squares[row] for row in ROWS])


def assert_same(seen, expected):
    assert seen.dtype == np.uint8
    assert seen.shape == expected.shape
    if expected.shape[-2] == RAW:
        assert np.array_equal(seen, expected)
    elif expected.size:
        difference = np.abs(seen.astype(int) - expected)
        assert difference.mean() < 1.5
        assert difference.max() < 16


def test_shape_type_and_length_are_known_without_reading(stored):
    pictures, expected = stored
    assert pictures.shape == expected.shape
    assert (pictures.dtype, pictures.ndim, len(pictures)) == (np.uint8, 4, 12)


@pytest.mark.parametrize(
    "index",
    [
        0,
        11,
        -1,
        -12,
        np.int64(3),
        slice(None),
        slice(2, 5),
        slice(-3, None),
        slice(None, None, -1),
        slice(1, 12, 4),
        slice(5, 5),
        [0, 3, 3, 11],
        [-1, 2],
        np.arange(12),
        np.arange(12)[::-1],
        np.array([5], dtype=np.int32),
        np.arange(12) % 3 == 0,
        np.zeros(12, bool),
        np.array([], dtype=np.int64),
    ],
    ids=repr,
)
def test_pictures_are_indexed_as_an_array_of_numpy_is(stored, index):
    pictures, expected = stored
    assert_same(pictures[index], expected[index])


def test_all_pictures_become_an_array(stored):
    pictures, expected = stored
    assert_same(np.asarray(pictures), expected)
    assert np.asarray(pictures, dtype=np.float32).dtype == np.float32
    assert np.array_equal(np.array(pictures), pictures[:])


def test_pictures_are_gone_through_one_by_one(stored):
    pictures, expected = stored
    seen = list(pictures)
    assert len(seen) == 12
    assert_same(np.stack(seen), expected)


@pytest.mark.parametrize("index", [12, -13, [0, 12]])
def test_a_picture_that_is_not_there_is_an_index_error(stored, index):
    with pytest.raises(IndexError):
        stored[0][index]


def test_a_batch_can_be_changed_and_what_is_stored_stays(stored):
    pictures, _ = stored
    before = pictures[:4].copy()
    batch = pictures[[0, 1, 2, 3]]
    batch[:] = 0
    assert np.array_equal(pictures[:4], before)


def test_one_picture_is_the_same_alone_in_a_few_and_in_many(stored):
    pictures, _ = stored
    many = pictures[np.arange(12)]
    for place in range(12):
        assert np.array_equal(pictures[place], many[place])
        assert np.array_equal(pictures[[place, 0]][0], many[place])


def test_many_threads_read_the_same(stored):
    pictures, _ = stored
    expected = pictures[:]
    seen = [None] * 8

    def read(place):
        seen[place] = np.stack([pictures[np.arange(12)] for _ in range(5)])

    threads = [threading.Thread(target=read, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(part, expected) for one in seen for part in one)


@pytest.mark.parametrize("most", [1, 4, 7])
def test_reading_is_right_also_after_what_was_read_was_given_back(stored, monkeypatch, most):
    monkeypatch.setattr(module, "_MOST_READ", most)
    pictures, expected = stored
    batch = pictures[[0, 1, 2]]
    before = batch.copy()
    for index in [3, slice(0, 12), np.arange(12)[::-1], [7, 7], slice(5, 5), 11]:
        assert_same(pictures[index], expected[index])
    assert np.array_equal(batch, before)


def test_many_threads_read_the_same_while_memory_is_given_back(stored, monkeypatch):
    monkeypatch.setattr(module, "_MOST_READ", 2)
    test_many_threads_read_the_same(stored)


@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED"), reason="this system keeps them")
@pytest.mark.skipif(not Path("/proc/self/smaps").is_file(), reason="only Linux tells")
@pytest.mark.parametrize("most", [10, 2**40])
def test_what_was_read_does_not_stay_in_this_processs_memory(tmp_path, monkeypatch, most):
    monkeypatch.setattr(module, "_MOST_READ", most)
    folder = written(tmp_path, [Image.new("RGB", (64, 64))] * 100, 64)
    pictures = Pictures(folder, 64, np.arange(100))
    for start in range(0, 100, 10):
        assert not pictures[np.arange(start, start + 10)].any()
    assert (mapped(pictures_file(folder, 64)) > 500_000) == (most > 10)


def mapped(path):
    """Bytes of a file that are in this process's memory, by its maps."""
    lines = iter(Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines())
    for line in lines:
        if line.endswith(str(path)):
            return next(int(x.split()[1]) * 1024 for x in lines if x.startswith("Rss:"))
    raise AssertionError("it is not mapped")


@pytest.mark.parametrize("size", [RAW, JPEG])
def test_no_pictures_are_an_empty_array(tmp_path, texture, size):
    written(tmp_path, [texture(1, (size, size))], size)
    pictures = Pictures(tmp_path, size, np.array([], dtype=np.int64))
    assert (len(pictures), list(pictures)) == (0, [])
    assert np.asarray(pictures).shape == (0, size, size, 3)


def test_small_pictures_are_a_file_that_numpy_opens(tmp_path, texture):
    squares = [texture(seed, (RAW, RAW)) for seed in range(3)]
    path = pictures_file(written(tmp_path, squares, RAW), RAW)
    assert np.array_equal(np.load(path), np.stack(squares))
    assert path.stat().st_size == HEADER + 3 * RAW * RAW * 3


@pytest.mark.parametrize("count", [1, 9, 1_000_000])
@pytest.mark.parametrize("size", [1, 8, 128])
def test_the_header_has_the_room_that_is_left_for_it(tmp_path, count, size):
    path = pictures_file(tmp_path, size)
    path.touch()
    complete(tmp_path, size, np.zeros(count))
    assert path.stat().st_size == HEADER


def test_large_pictures_are_jpegs_one_after_the_other(tmp_path, texture):
    squares = [texture(seed, (JPEG, JPEG)) for seed in range(3)]
    folder = written(tmp_path, squares, JPEG)
    offsets = np.load(folder / "offsets.npy")
    content = pictures_file(folder, JPEG).read_bytes()
    assert (offsets[0], offsets[-1]) == (HEADER, len(content))
    for start, end, square in zip(offsets[:-1], offsets[1:], squares, strict=True):
        (tmp_path / "one.jpg").write_bytes(content[start:end])
        with Image.open(tmp_path / "one.jpg") as image:
            assert np.abs(np.asarray(image).astype(int) - square).mean() < 1.5


@pytest.mark.parametrize("size", [RAW, JPEG])
def test_more_rows_than_pictures_and_another_size_are_refused(tmp_path, texture, size):
    written(tmp_path, [texture(1, (size, size))], size)
    with pytest.raises(ValueError, match="does not fit the manifest"):
        Pictures(tmp_path, size, np.array([1]))
    if size == RAW:
        with pytest.raises(ValueError, match="does not fit the manifest"):
            Pictures(tmp_path, size + 1, np.array([0]))


@pytest.mark.parametrize("size", [RAW, JPEG])
def test_missing_pixels_are_an_os_error(tmp_path, texture, size):
    pictures_file(written(tmp_path, [texture(1, (size, size))], size), size).unlink()
    with pytest.raises(FileNotFoundError):
        Pictures(tmp_path, size, np.array([0]))


# How one picture is encoded


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
