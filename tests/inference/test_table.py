import csv
import io
import json
import os
import shutil
from pathlib import Path

import pyarrow.parquet
import pytest

from pawprint.inference.predictor import Prediction
from pawprint.inference.table import (
    Columns,
    output,
    read_csv,
    write_csv,
    write_json,
    write_lines,
    write_parquet,
)
from pawprint.system.errors import UserError
from pawprint.system.files import read_rows, replacing_table

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
    write_json(direct, map(columns.row, PREDICTIONS), columns)
    write_json(indirect, read_csv(io.StringIO(written(PREDICTIONS, columns)), columns), columns)
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


@pytest.fixture
def pictures(tmp_path, paint_folder):
    """Nine pictures and a file that is none."""
    folder = paint_folder(tmp_path / "pictures", {"a": 3, "b": 3, "c": 3}, size=(20, 16))
    (folder / "b" / 'notes, "1"\n.txt').write_text("no picture")
    return sorted(str(path) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def columns(network):
    return Columns(tuple(network.class_names))


def write(path, pictures, network, columns, *, stop_after=None, form="csv"):
    """What was predicted on the way to the table, which is given up after so many rows."""
    asked = []

    def predictions(table):
        for count, prediction in enumerate(network.classify(table.missing(pictures))):
            if count == stop_after:
                raise KeyboardInterrupt
            asked.append(str(prediction.path))
            yield prediction

    with output(path, form, columns, network) as table:
        table.write(predictions(table))
        table.finish()
    return asked


def parts(folder):
    return sorted(path for path in folder.iterdir() if path.name.endswith((".part", ".lock")))


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_stopped_it_goes_on_and_ends_with_the_same(tmp_path, pictures, network, columns, form):
    whole, other = tmp_path / f"whole.{form}", tmp_path / f"other.{form}"
    assert write(whole, pictures, network, columns, form=form) == pictures
    with pytest.raises(KeyboardInterrupt):
        write(other, pictures, network, columns, stop_after=6, form=form)
    assert not other.exists()
    assert write(other, pictures, network, columns, form=form) == pictures[6:]
    assert other.read_bytes() == whole.read_bytes()
    assert parts(tmp_path) == []


def test_wherever_it_is_cut_off_the_whole_rows_stay(tmp_path, pictures, network, columns):
    whole, other = tmp_path / "whole.csv", tmp_path / "other.csv"
    write(whole, pictures, network, columns)
    content = whole.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        write(other, pictures, network, columns, stop_after=1)
    (part,) = [path for path in parts(tmp_path) if path.name.endswith(".part")]
    for end in range(0, len(content), 7):
        part.write_bytes(content[:end])
        asked = write(other, pictures, network, columns)
        assert other.read_bytes() == content
        rows = len(pictures) - len(asked)
        assert rows <= content[:end].count(b"\n")
        other.unlink()


def test_another_threshold_or_other_columns_begin_anew(tmp_path, pictures, network, columns):
    path = tmp_path / "table.csv"
    with pytest.raises(KeyboardInterrupt):
        write(path, pictures, network, columns, stop_after=4)
    top = Columns(columns.class_names, top=1)
    assert write(path, pictures, network, top) == pictures
    assert parts(tmp_path) == []  # the other one's rows are of no use any more


def test_files_that_came_since_are_answered_too(tmp_path, pictures, network, columns):
    path = tmp_path / "table.csv"
    with pytest.raises(KeyboardInterrupt):
        write(path, pictures[1:], network, columns, stop_after=4)
    assert write(path, pictures, network, columns) == [pictures[0], *pictures[5:]]


def test_rows_of_files_that_are_not_asked_for_any_more_are_left_out(
    tmp_path, pictures, network, columns
):
    whole, path = tmp_path / "whole.csv", tmp_path / "table.csv"
    write(whole, pictures[4:], network, columns)
    with pytest.raises(KeyboardInterrupt):
        write(path, pictures, network, columns, stop_after=6)
    assert write(path, pictures[4:], network, columns) == pictures[6:]
    assert path.read_bytes() == whole.read_bytes()


def test_a_file_named_twice_has_two_rows_also_after_a_stop(tmp_path, pictures, network, columns):
    whole, path = tmp_path / "whole.csv", tmp_path / "table.csv"
    write(whole, pictures * 2, network, columns)
    with pytest.raises(KeyboardInterrupt):
        write(path, pictures * 2, network, columns, stop_after=11)
    write(path, pictures * 2, network, columns)
    assert path.read_bytes() == whole.read_bytes()


def test_from_another_folder_the_same_names_are_others(
    tmp_path, pictures, network, columns, monkeypatch
):
    path = tmp_path / "table.csv"
    with pytest.raises(KeyboardInterrupt):
        write(path, pictures, network, columns, stop_after=4)
    monkeypatch.chdir(tmp_path)
    assert write(path, pictures, network, columns) == pictures


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_names_with_any_character_are_gone_on_with(
    tmp_path, pictures, network, columns, form, monkeypatch
):
    names = ["Icon\r", "a\r\nb", "c\nd", 'e"f', "g,h", "\u2028"]
    names += ["=1+1.jpg", "-a", "'=b"]
    folder = tmp_path / "odd"
    folder.mkdir()
    odd = [str(shutil.copy(pictures[0], folder / name)) for name in names]
    whole, path = tmp_path / f"whole.{form}", tmp_path / f"table.{form}"
    monkeypatch.chdir(folder)
    odd = [*names, *odd]
    write(whole, odd, network, columns, form=form)
    with pytest.raises(KeyboardInterrupt):
        write(path, odd, network, columns, stop_after=4, form=form)
    assert write(path, odd, network, columns, form=form) == odd[4:]
    assert path.read_bytes() == whole.read_bytes()
    if form == "csv":
        with path.open(newline="") as file:
            _, *rows = read_rows(file)
        assert [row[0] for row in rows] == odd


def test_a_link_stays_one_and_a_pipe_is_refused(tmp_path, pictures, network, columns):
    (tmp_path / "link.csv").symlink_to("table.csv")
    write(tmp_path / "link.csv", pictures, network, columns)
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "table.csv").read_text().startswith("path,label,")
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (tmp_path / "pipe.csv", Path("/dev/stdout")):
        with pytest.raises(UserError, match="without --output"):
            write(path, pictures, network, columns)


def test_one_process_writes_a_table_at_a_time(tmp_path, network, columns):
    path = tmp_path / "table.csv"
    with (
        output(path, "csv", columns, network),
        pytest.raises(UserError, match=r"another process is writing .*table\.csv; wait"),
        output(path, "csv", columns, network),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "words"),
    [("", "is a folder; name a file in it"), ("no/table.csv", "does not exist; make it")],
)
def test_a_place_that_cannot_be_is_one_sentence(tmp_path, network, columns, name, words):
    with (
        pytest.raises(UserError, match=words),
        output(tmp_path / name, "csv", columns, network),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_made_is_one_sentence(tmp_path, network, columns):
    path = tmp_path / f"{'x' * 248}.csv"  # beside it no hidden file has room for its name
    with pytest.raises(UserError, match=r"x\.csv cannot be written \(File name too long\)"):  # noqa: SIM117
        with output(path, "csv", columns, network):
            pass
