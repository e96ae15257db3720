import hashlib
import sys

import numpy as np
import pytest

from pawprint.errors import UserError
from pawprint.images.audit import FileRecord, read_files, refuse_unusable
from pawprint.images.decode import read_picture
from pawprint.images.layout import find_pictures


def read(root, image_size=8):
    files = find_pictures(root, root).files
    pixels = np.zeros((len(files), image_size, image_size, 3), np.uint8)
    return read_files(files, pixels), pixels


def test_every_file_is_decoded_into_its_own_row(tmp_path, paint_folder):
    records, pixels = read(paint_folder(tmp_path, {"cats": 40, "dogs": 40}))
    for record, row in zip(records, pixels, strict=True):
        assert np.array_equal(row, read_picture(tmp_path / record.path, 8))


def test_a_record_holds_the_facts_of_its_file(tmp_path, paint_folder):
    records, _ = read(paint_folder(tmp_path, {"cats": 1, "dogs": 1}, size=(20, 10)))
    content = (tmp_path / "cats" / "000.png").read_bytes()
    expected = FileRecord(
        path="cats/000.png",
        label="cats",
        given_split=None,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        format="PNG",
        mode="RGB",
        width=20,
        height=10,
        frames=1,
    )
    assert records[0] == expected


def test_an_unreadable_file_is_recorded_with_its_problem_and_the_rest_is_read(
    tmp_path, paint_folder
):
    paint_folder(tmp_path, {"cats": 3, "dogs": 3})
    cut = (tmp_path / "cats" / "001.png").read_bytes()[:200]
    (tmp_path / "cats" / "001.png").write_bytes(cut)
    (tmp_path / "dogs" / "000.png").write_bytes(b"")
    (tmp_path / "dogs" / "gone.png").symlink_to(tmp_path / "nothing")
    records, _ = read(tmp_path)
    problems = {record.path: record.problem for record in records if record.problem}
    assert problems == {
        "cats/001.png": "is truncated",
        "dogs/000.png": "is empty (0 bytes)",
        "dogs/gone.png": "cannot be read: No such file or directory",
    }
    cut_record = next(record for record in records if record.path == "cats/001.png")
    assert (cut_record.bytes, cut_record.format) == (200, None)
    assert cut_record.sha256 == hashlib.sha256(cut).hexdigest()


def test_progress_is_shown_to_a_terminal_only(tmp_path, paint_folder, monkeypatch, capsys):
    paint_folder(tmp_path, {"cats": 2, "dogs": 2})
    read(tmp_path)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    read(tmp_path)
    assert "4/4" in capsys.readouterr().err


def records_of(**problems):
    return [
        FileRecord(f"{label}/{index}.jpg", label, None, problem=problem)
        for label, inside in problems.items()
        for index, problem in enumerate(inside)
    ]


def test_as_many_refused_files_as_allowed_are_let_through(tmp_path):
    records = records_of(cats=["is truncated"] + [None] * 9, dogs=[None] * 10)
    refuse_unusable(records, tmp_path, max_refused_fraction=0.05)


def test_more_refused_files_are_an_error_that_names_count_files_and_key(tmp_path):
    bad = ["is truncated", "is not a picture", "is truncated", "is truncated"]
    records = records_of(cats=[*bad, None], dogs=[None] * 5)
    with pytest.raises(UserError) as caught:
        refuse_unusable(records, tmp_path, max_refused_fraction=0.1)
    message = str(caught.value)
    assert "4 of 10 files" in message
    assert "cats/0.jpg is truncated; cats/1.jpg is not a picture; " in message
    assert "cats/3.jpg" not in message
    assert "raise max_refused_fraction" in message


def test_a_class_with_nothing_readable_is_an_error_at_any_allowance(tmp_path):
    records = records_of(cats=["is truncated"] * 2, dogs=[None] * 50)
    with pytest.raises(UserError, match=r'"cats" in .* has no readable pictures'):
        refuse_unusable(records, tmp_path, max_refused_fraction=1.0)


def test_a_given_split_with_nothing_readable_of_a_class_is_an_error(tmp_path):
    records = [
        FileRecord("train/cats/0.jpg", "cats", "train"),
        FileRecord("test/cats/0.jpg", "cats", "test", problem="is truncated"),
    ]
    with pytest.raises(UserError, match='"cats" of the test split'):
        refuse_unusable(records, tmp_path, max_refused_fraction=1.0)
