import hashlib
import os
import shutil
import sys
import time

import numpy as np
import pytest
from PIL import Image

from pawprint.data.audit import FileRecord
from pawprint.data.copies.fingerprint import thumbs_of
from pawprint.data.decode import read_picture
from pawprint.data.image_array import HEADER
from pawprint.data.layout import find_pictures
from pawprint.data.reading.cache import PictureCache
from pawprint.data.reading.files import file_records, read_files

SIZE = 8


@pytest.fixture
def memory(tmp_path_factory):
    """A function that opens the memory, as every run does anew."""
    base = tmp_path_factory.mktemp("memory")

    def open_memory():
        return PictureCache(base / "memory", "key", base / "pictures.npy")

    return open_memory


def read(root, memory):
    files = find_pictures(root, root).files
    reading = read_files(files, memory, image_size=SIZE, resize="squash")
    return files, reading, file_records(files, memory.records(reading.places))


def pixels_of(opened, reading, path):
    opened.write_pictures(reading.places, path)
    return np.frombuffer(path.read_bytes()[HEADER:], np.uint8).reshape(-1, SIZE, SIZE, 3)


@pytest.mark.parametrize("each", [3, 33, 80])
def test_every_file_is_decoded_into_its_own_place(tmp_path, paint_folder, memory, each):
    root = paint_folder(tmp_path / "images", {"cats": each, "dogs": each})
    opened = memory()
    files, reading, records = read(root, opened)
    assert reading.decoded == len(files) == 2 * each
    pixels = pixels_of(opened, reading, tmp_path / "pixels")
    for file, record, row in zip(files, records, pixels, strict=True):
        assert record.path == file.path
        assert np.array_equal(row, read_picture((root / file.path).read_bytes(), SIZE))


def test_a_record_holds_the_facts_of_its_file(tmp_path, paint_folder, memory):
    root = paint_folder(tmp_path, {"train/cats": 1, "train/dogs": 1}, size=(20, 10))
    content = (root / "train" / "cats" / "000.png").read_bytes()
    _, _, records = read(root, memory())
    assert records[0] == FileRecord(
        path="train/cats/000.png",
        label="cats",
        given_split="train",
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        format="PNG",
        mode="RGB",
        width=20,
        height=10,
        orientation=1,
        frames=1,
        perceptual_hash=records[0].perceptual_hash,
    )
    assert len(bytes.fromhex(records[0].perceptual_hash)) == 8


def test_a_digest_that_ends_with_zeros_is_told_whole(tmp_path, paint_folder, memory):
    root = paint_folder(tmp_path, {"cats": 1, "dogs": 1})
    content = next(
        text
        for text in (str(number).encode() for number in range(100_000))
        if hashlib.sha256(text).digest().endswith(b"\0")
    )
    (root / "cats" / "notes.txt").write_bytes(content)
    _, _, records = read(root, memory())
    assert records[1].sha256 == hashlib.sha256(content).hexdigest()


def test_an_unreadable_file_is_recorded_with_its_problem_and_the_rest_is_read(
    tmp_path, paint_folder, memory
):
    paint_folder(tmp_path, {"cats": 3, "dogs": 3})
    cut = (tmp_path / "cats" / "001.png").read_bytes()[:200]
    (tmp_path / "cats" / "001.png").write_bytes(cut)
    (tmp_path / "dogs" / "000.png").write_bytes(b"")
    (tmp_path / "dogs" / "gone.png").symlink_to(tmp_path / "nothing")
    _, _, records = read(tmp_path, memory())
    problems = {
        record.path: (finding.kind, finding.text)
        for record in records
        for finding in record.findings
    }
    assert problems == {
        "cats/001.png": ("truncated", "is truncated"),
        "dogs/000.png": ("unreadable", "is empty (0 bytes)"),
        "dogs/gone.png": ("unreadable", "cannot be read: No such file or directory"),
    }
    cut_record = next(record for record in records if record.path == "cats/001.png")
    assert (cut_record.bytes, cut_record.format, cut_record.width) == (200, None, None)
    assert cut_record.sha256 == hashlib.sha256(cut).hexdigest()
    gone = next(record for record in records if record.path == "dogs/gone.png")
    assert (gone.sha256, gone.bytes) == (None, None)


def test_a_file_that_could_not_be_opened_is_tried_again(tmp_path, paint_folder, memory):
    root = paint_folder(tmp_path / "images", {"cats": 2, "dogs": 2})
    (root / "cats" / "link.png").symlink_to(tmp_path / "later.png")
    assert read(root, memory())[2][2].findings
    shutil.copy(root / "cats" / "000.png", tmp_path / "later.png")
    _, reading, records = read(root, memory())
    assert records[2].findings == ()
    assert records[2].sha256 == records[0].sha256
    assert reading.decoded == 0


@pytest.mark.parametrize(
    ("size", "kinds"),
    [
        ((8, 8), []),
        ((8, 64), []),
        ((7, 40), ["tiny"]),
        ((3, 3), ["tiny"]),
        ((1000, 125), []),
        ((1001, 125), ["extreme aspect"]),
        ((20, 1000), ["extreme aspect"]),
        ((1, 1000), ["tiny", "extreme aspect"]),
    ],
)
def test_odd_sizes_are_found(tmp_path, paint_folder, texture, memory, size, kinds):
    root = paint_folder(tmp_path, {"cats": 1, "dogs": 1})
    texture(1, size).save(root / "cats" / "000.png")
    findings = read(root, memory())[2][0].findings
    assert [finding.kind for finding in findings] == kinds
    for finding in findings:
        assert f"({size[0]}×{size[1]} pixels)" in finding.text


def test_blank_pictures_are_found(tmp_path, paint_folder, memory):
    root = paint_folder(tmp_path, {"cats": 1, "dogs": 1})
    Image.new("RGB", (3, 3), "white").save(root / "cats" / "000.png")
    findings = read(root, memory())[2][0].findings
    assert [finding.text for finding in findings] == [
        "is blank (one colour)",
        "is tiny (3×3 pixels)",
    ]


def test_what_is_known_is_not_decoded_again(tmp_path, paint_folder, texture, memory):
    root = paint_folder(tmp_path / "images", {"cats": 3, "dogs": 3})
    first = read(root, memory())
    assert first[1].decoded == 6
    texture(5).save(root / "cats" / "x.png")
    (root / "dogs" / "000.png").rename(root / "dogs" / "renamed.png")
    shutil.copy(root / "cats" / "001.png", root / "dogs" / "copy.png")
    opened = memory()
    files, reading, records = read(root, opened)
    assert reading.decoded == 1
    by_path = {record.path: record.sha256 for record in records}
    assert by_path["dogs/copy.png"] == by_path["cats/001.png"]
    assert by_path["dogs/renamed.png"] == first[2][3].sha256
    pixels = pixels_of(opened, reading, tmp_path / "pixels")
    thumbs = opened.thumbs(reading.places)
    for file, row, thumb in zip(files, pixels, thumbs, strict=True):
        assert np.array_equal(row, read_picture((root / file.path).read_bytes(), SIZE))
        with Image.open(file.location) as image:
            assert np.array_equal(thumb, np.asarray(thumbs_of(image)[0]))


def test_files_that_rest_have_a_status_and_new_ones_have_none(tmp_path, paint_folder, memory):
    root = paint_folder(tmp_path, {"cats": 1, "dogs": 1})
    time.sleep(0.12)
    (root / "dogs" / "000.png").touch()
    (root / "dogs" / "gone.png").symlink_to(tmp_path / "nothing")
    statuses = read(root, memory())[1].statuses
    assert [status != b"" for status in statuses] == [True, False, False]


def test_a_file_exchanged_after_it_was_seen_is_told_by_what_was_read(
    tmp_path, paint_folder, memory
):
    root = paint_folder(tmp_path, {"cats": 2, "dogs": 1})
    time.sleep(0.12)
    files = find_pictures(root, root).files
    os.replace(root / "cats" / "001.png", root / "cats" / "000.png")
    opened = memory()
    reading = read_files(files, opened, image_size=SIZE, resize="squash")
    records = file_records(files, opened.records(reading.places))
    digest = hashlib.sha256((root / "cats" / "000.png").read_bytes()).hexdigest()
    assert records[0].sha256 == digest
    assert records[1].findings[0].text == "cannot be read: No such file or directory"


def test_progress_is_shown_to_a_terminal_only(tmp_path, paint_folder, memory, monkeypatch, capsys):
    root = paint_folder(tmp_path, {"cats": 2, "dogs": 2})
    read(root, memory())
    assert capsys.readouterr().err == ""
    for path in root.rglob("*.png"):
        path.write_bytes(path.read_bytes() + b"more")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    read(root, memory())
    assert "4/4" in capsys.readouterr().err
