import csv
import os
import shutil
from pathlib import Path

import pytest

from pawprint.inference.output import output
from pawprint.inference.table import Columns
from pawprint.system.errors import UserError


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
def test_names_with_any_character_are_gone_on_with(tmp_path, pictures, network, columns, form):
    names = ["Icon\r", "a\r\nb", "c\nd", 'e"f', "g,h", "\u2028"]
    folder = tmp_path / "odd"
    folder.mkdir()
    odd = [str(shutil.copy(pictures[0], folder / name)) for name in names]
    whole, path = tmp_path / f"whole.{form}", tmp_path / f"table.{form}"
    write(whole, odd, network, columns, form=form)
    with pytest.raises(KeyboardInterrupt):
        write(path, odd, network, columns, stop_after=4, form=form)
    assert write(path, odd, network, columns, form=form) == odd[4:]
    assert path.read_bytes() == whole.read_bytes()
    if form == "csv":
        with path.open(newline="") as file:
            assert [row["path"] for row in csv.DictReader(file)] == odd


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
