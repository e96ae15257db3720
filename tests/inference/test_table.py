import csv
import io
import json
import os
from pathlib import Path

import pyarrow.parquet
import pytest

from pawprint.inference.predictor import Prediction
from pawprint.inference.table import (
    Columns,
    read_csv,
    write_csv,
    write_json,
    write_json_rows,
    write_lines,
    write_parquet,
)
from pawprint.system.files import replacing_table

NAMES = ("cats", "dogs", "newts")
PREDICTIONS = [
    Prediction(Path("a.jpg"), {"cats": 0.75, "dogs": 0.15, "newts": 0.1}),
    Prediction(Path("b.txt"), {}, "is not a picture"),
    Prediction(Path("c.jpg"), {"cats": 0.125, "dogs": 0.5, "newts": 0.375}, threshold=0.6),
]


def written(predictions, columns):
    file = io.StringIO()
    write_csv(file, predictions, columns)
    return file.getvalue()


def test_a_row_per_file_with_a_column_per_class():
    assert written(PREDICTIONS, Columns(NAMES)) == (
        "path,label,probability,cats,dogs,newts,problem\n"
        "a.jpg,cats,0.750000,0.750000,0.150000,0.100000,\n"
        "b.txt,,,,,,is not a picture\n"
        "c.jpg,not sure,0.500000,0.125000,0.500000,0.375000,\n"
    )


def test_the_most_probable_classes_instead_of_all():
    assert written(PREDICTIONS, Columns(NAMES, top=2)) == (
        "path,label,probability,label_1,probability_1,label_2,probability_2,problem\n"
        "a.jpg,cats,0.750000,cats,0.750000,dogs,0.150000,\n"
        "b.txt,,,,,,,is not a picture\n"
        "c.jpg,not sure,0.500000,dogs,0.500000,newts,0.375000,\n"
    )
    assert Columns(NAMES, top=9).names == Columns(NAMES, top=3).names


def test_paths_below_the_given_folder_are_written_relative_to_it():
    paths = [Path("/project/data/a.jpg"), Path("/elsewhere/b.jpg")]
    text = written(
        [Prediction(path, {"cats": 1.0, "dogs": 0.0}) for path in paths],
        Columns(("cats", "dogs"), root=Path("/project")),
    )
    assert [row["path"] for row in csv.DictReader(io.StringIO(text))] == [
        "data/a.jpg",
        "/elsewhere/b.jpg",
    ]


def test_names_with_commas_quotes_and_line_ends_survive():
    path = Path('a, "b"\n.jpg')
    text = written([Prediction(path, {"a,b": 1.0})], Columns(("a,b",)))
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["path"], row["label"], row["a,b"]) == (str(path), "a,b", "1.000000")


def test_names_that_are_no_utf8_are_written_as_they_are(tmp_path):
    name = b"caf\xe9 \xf0\x9f\x90.jpg"
    with replacing_table(tmp_path / "predictions.csv") as file:
        write_csv(file, [Prediction(Path(os.fsdecode(name)), {"cats": 1.0})], Columns(("cats",)))
    lines = (tmp_path / "predictions.csv").read_bytes().splitlines()
    assert lines[1] == name + b",cats,1.000000,1.000000,"


def test_no_files_are_a_header_only():
    assert written([], Columns(("cats",))) == "path,label,probability,cats,problem\n"


@pytest.mark.parametrize("top", [None, 2])
def test_json_is_the_same_from_predictions_and_from_rows(top):
    direct, indirect = io.StringIO(), io.StringIO()
    columns = Columns(NAMES, top)
    write_json(direct, PREDICTIONS, columns)
    write_json_rows(
        indirect, read_csv(io.StringIO(written(PREDICTIONS, columns)), columns), columns
    )
    assert direct.getvalue() == indirect.getvalue()
    first, second, third = json.loads(direct.getvalue())
    assert first["probabilities"] == dict(list(PREDICTIONS[0].probabilities.items())[:top])
    assert second == {"path": "b.txt", "problem": "is not a picture"}
    assert (third["label"], third["probability"]) == ("not sure", 0.5)


def test_json_of_no_files_is_an_empty_list():
    file = io.StringIO()
    write_json(file, [], Columns(NAMES))
    assert json.loads(file.getvalue()) == []


@pytest.mark.parametrize("top", [None, 1])
def test_parquet_has_the_rows_of_the_csv_with_numbers_as_numbers(tmp_path, top):
    columns = Columns(NAMES, top)
    odd = Prediction(Path(os.fsdecode(b"caf\xe9.jpg")), PREDICTIONS[0].probabilities)
    text = written([*PREDICTIONS, odd], columns)
    write_parquet(tmp_path / "p.parquet", read_csv(io.StringIO(text), columns), columns)
    table = pyarrow.parquet.read_table(tmp_path / "p.parquet")
    assert table.column_names == columns.names
    first, second, _, last = table.to_pylist()
    assert (first["path"], first["label"], first["probability"]) == ("a.jpg", "cats", 0.75)
    assert first["problem"] is None
    assert (second["label"], second["probability"]) == (None, None)
    assert second["problem"] == "is not a picture"
    assert last["path"] == "caf\\udce9.jpg"


def test_a_class_called_like_a_column_keeps_its_figures(tmp_path):
    columns = Columns(("label", "cats"))
    text = written([Prediction(Path("a"), {"label": 0.25, "cats": 0.75})], columns)
    assert list(read_csv(io.StringIO(text), columns)) == [["a", "cats", 0.75, 0.25, 0.75, None]]


def test_lines_name_the_answer_or_the_most_probable_classes():
    file = io.StringIO()
    write_lines(file, PREDICTIONS, None)
    assert file.getvalue().splitlines() == [
        "a.jpg\tcats\t0.7500",
        "b.txt\tis not a picture",
        "c.jpg\tnot sure\t0.5000",
    ]
    file = io.StringIO()
    write_lines(file, PREDICTIONS, 2)
    assert file.getvalue().splitlines()[::2] == [
        "a.jpg\tcats\t0.7500\tdogs\t0.1500",
        "c.jpg\tnot sure\tdogs\t0.5000\tnewts\t0.3750",
    ]
