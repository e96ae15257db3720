import csv
import io
import os
from pathlib import Path

import pytest

from pawprint.errors import UserError
from pawprint.files import replacing_table
from pawprint.predict import list_pictures, write_predictions
from pawprint.serving.predictor import Prediction


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def written(predictions, class_names, **options):
    file = io.StringIO()
    write_predictions(file, predictions, class_names, **options)
    return file.getvalue()


# Which files


def test_a_folder_is_its_files_sorted_those_of_sub_folders_too(tmp_path):
    touch(tmp_path, "b.jpg", "a.jpg", "sub/c.png", "sub/deeper/d.txt")
    names = [path.relative_to(tmp_path).as_posix() for path in list_pictures([tmp_path])]
    assert names == ["a.jpg", "b.jpg", "sub/c.png", "sub/deeper/d.txt"]


def test_hidden_files_and_folders_inside_a_folder_are_skipped(tmp_path):
    touch(tmp_path, "a.jpg", ".b.jpg", ".git/c.jpg", "sub/.d.jpg", "Thumbs.db", ".DS_Store")
    assert list_pictures([tmp_path]) == [tmp_path / "a.jpg"]


def test_a_folder_below_a_hidden_one_can_be_given(tmp_path):
    touch(tmp_path, ".cache/pictures/a.jpg")
    assert len(list_pictures([tmp_path / ".cache" / "pictures"])) == 1


def test_files_and_folders_come_in_the_order_given(tmp_path):
    touch(tmp_path, "z.jpg", "folder/b.jpg", "folder/a.jpg", ".hidden.jpg")
    given = [tmp_path / "z.jpg", tmp_path / "folder", tmp_path / ".hidden.jpg"]
    names = [path.name for path in list_pictures(given)]
    assert names == ["z.jpg", "a.jpg", "b.jpg", ".hidden.jpg"]


@pytest.mark.parametrize("made", [(), (".hidden.jpg",)], ids=["empty", "only hidden files"])
def test_a_folder_without_files_is_refused(tmp_path, made):
    touch(tmp_path, *made)
    with pytest.raises(UserError, match="holds no file") as caught:
        list_pictures([tmp_path])
    assert str(tmp_path) in str(caught.value)


def test_a_path_that_does_not_exist_stays_for_a_row_of_its_own(tmp_path):
    touch(tmp_path, "a.jpg")
    given = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    assert list_pictures(given) == given


# What is written


def test_a_row_per_file_with_a_column_per_class():
    predictions = [
        Prediction(Path("a.jpg"), {"cats": 0.75, "dogs": 0.25}),
        Prediction(Path("b.txt"), {}, "is not a picture"),
        Prediction(Path("c.jpg"), {"cats": 0.125, "dogs": 0.875}),
    ]
    assert written(predictions, ["cats", "dogs"]) == (
        "path,label,probability,cats,dogs,problem\n"
        "a.jpg,cats,0.750000,0.750000,0.250000,\n"
        "b.txt,,,,,is not a picture\n"
        "c.jpg,dogs,0.875000,0.125000,0.875000,\n"
    )


def test_paths_below_the_given_folder_are_written_relative_to_it():
    probabilities = {"cats": 1.0, "dogs": 0.0}
    paths = [Path("/project/data/a.jpg"), Path("/elsewhere/b.jpg")]
    text = written(
        [Prediction(path, probabilities) for path in paths],
        ["cats", "dogs"],
        relative_to=Path("/project"),
    )
    assert [row["path"] for row in csv.DictReader(io.StringIO(text))] == [
        "data/a.jpg",
        "/elsewhere/b.jpg",
    ]


def test_names_with_commas_quotes_and_line_ends_survive():
    path = Path('a, "b"\n.jpg')
    text = written([Prediction(path, {"a,b": 1.0})], ["a,b"])
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["path"], row["label"], row["a,b"]) == (str(path), "a,b", "1.000000")


def test_names_that_are_no_utf8_are_written_as_they_are(tmp_path):
    name = b"caf\xe9 \xf0\x9f\x90.jpg"
    with replacing_table(tmp_path / "predictions.csv") as file:
        write_predictions(file, [Prediction(Path(os.fsdecode(name)), {"cats": 1.0})], ["cats"])
    lines = (tmp_path / "predictions.csv").read_bytes().splitlines()
    assert lines[1] == name + b",cats,1.000000,1.000000,"


def test_no_files_are_a_header_only():
    assert written([], ["cats", "dogs"]) == "path,label,probability,cats,dogs,problem\n"
