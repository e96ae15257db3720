import csv
import json
import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from pawprint.system.errors import UserError, files_explained
from pawprint.system.files import (
    mend,
    read_rows,
    replacing_file,
    replacing_files,
    replacing_folder,
    write_json,
    write_table,
)

DEAD = 999_999_999  # no process has that number


class BrokenError(Exception):
    pass


def fill_half_of_a_file(path):
    with replacing_file(path) as temporary:
        temporary.write_text("half")
        raise BrokenError


def fill_half_of_a_folder(path):
    with replacing_folder(path) as temporary:
        (temporary / "new.npy").write_text("half")
        raise BrokenError


NAMES = ["=1+1.jpg", "+a", "-a", "@a", "\ta", "\ra", "\na", "＝a", "'=a", "''-a", "'-1", "-"]
TAME = ["a=b", "'a", "'", "''", "", " =a", "-1", "-0.500000", "+2e-3"]


@pytest.mark.parametrize("header", [["path", "value"], ["=class", "-"]])
def test_a_spreadsheet_runs_no_cell_of_a_table_and_names_are_read_back(tmp_path, header):
    path = tmp_path / "table.csv"
    rows = [[cell, "-0.5"] for cell in NAMES + TAME]
    write_table(path, header, ([np.str_(cell), value] for cell, value in rows))
    with path.open(newline="") as file:
        cells = [row[0] for row in csv.reader(file)][1:]
    assert cells == [f"'{name}" for name in NAMES] + TAME
    with path.open(newline="") as file:
        assert list(read_rows(file)) == [header, *rows]


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_on_success_and_nothing_else_stays(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("earlier")
    with replacing_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "earlier"
    assert path.read_text() == "new"
    assert names_in(tmp_path) == ["history.csv"]


def test_a_file_keeps_its_earlier_content_on_failure(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("earlier")
    with pytest.raises(BrokenError):
        fill_half_of_a_file(path)
    assert path.read_text() == "earlier"
    assert names_in(tmp_path) == ["history.csv"]


def test_a_file_that_was_never_written_leaves_the_earlier_one(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("earlier")
    with pytest.raises(FileNotFoundError), replacing_file(path):
        pass
    assert path.read_text() == "earlier"


def test_the_temporary_file_has_the_suffix_and_the_folder_of_the_file(tmp_path):
    path = tmp_path / "new" / "folder" / "model.keras"
    with replacing_file(path) as temporary:
        assert temporary.suffix == ".keras"
        assert temporary.parent == path.parent
        temporary.write_bytes(b"")
    assert path.exists()


def test_a_file_is_made_where_there_was_none_and_not_on_failure(tmp_path):
    path = tmp_path / "model.onnx"
    with pytest.raises(BrokenError):
        fill_half_of_a_file(path)
    assert names_in(tmp_path) == []


def test_a_folder_is_replaced_as_a_whole_on_success(tmp_path):
    path = tmp_path / "prepared"
    path.mkdir()
    (path / "old.npy").write_text("earlier")
    with replacing_folder(path) as temporary:
        assert names_in(temporary) == []
        (temporary / "new.npy").write_text("new")
        assert names_in(path) == ["old.npy"]
    assert names_in(path) == ["new.npy"]
    assert names_in(tmp_path) == ["prepared"]


def test_a_folder_keeps_its_earlier_content_on_failure(tmp_path):
    path = tmp_path / "prepared"
    path.mkdir()
    (path / "old.npy").write_text("earlier")
    with pytest.raises(BrokenError):
        fill_half_of_a_folder(path)
    assert names_in(path) == ["old.npy"]
    assert names_in(tmp_path) == ["prepared"]


def test_a_folder_that_cannot_take_its_place_leaves_the_earlier_one(tmp_path):
    path = tmp_path / "prepared"
    path.mkdir()
    (path / "old.npy").write_text("earlier")
    with pytest.raises(FileNotFoundError), replacing_folder(path) as temporary:
        temporary.rmdir()
    assert names_in(tmp_path) == ["prepared"]
    assert (path / "old.npy").read_text() == "earlier"


def test_a_new_folder_can_be_read_by_others(tmp_path):
    with replacing_folder(tmp_path / "deep" / "prepared"):
        pass
    assert (tmp_path / "deep" / "prepared").stat().st_mode & 0o777 == 0o755
    assert names_in(tmp_path / "deep") == ["prepared"]


# After a kill


@pytest.fixture
def earlier(tmp_path):
    """A folder that an earlier call wrote."""
    with replacing_folder(tmp_path / "prepared") as folder:
        (folder / "a.npy").write_text("earlier")
    return tmp_path / "prepared"


def killed_inside(path, when):
    """Kill a process while it replaces ``path``: while it writes, or while it exchanges."""
    program = f"""
import os, signal, sys
from pathlib import Path
from pawprint.system.files import replacing_folder
def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)
path = Path(sys.argv[1])
with replacing_folder(path) as folder:
    (folder / "a.npy").write_text("new")
    if {when!r} == "writing":
        killed()
    replace, calls = os.replace, []
    def counted(*arguments):
        calls.append(arguments)
        if len(calls) == int({when!r}):
            killed()
        replace(*arguments)
    os.replace = counted
"""
    done = subprocess.run([sys.executable, "-c", program, str(path)], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("when", ["writing", "1", "2"])
def test_a_kill_leaves_what_can_be_mended_to_the_earlier_folder(earlier, when):
    killed_inside(earlier, when)
    assert len(names_in(earlier.parent)) > 1
    mend(earlier)
    assert names_in(earlier.parent) == ["prepared"]
    assert (earlier / "a.npy").read_text() == "earlier"


def test_a_kill_after_the_exchange_leaves_the_new_folder(earlier):
    old = earlier.parent / f".prepared.{DEAD}.old"
    old.mkdir()
    os.replace(earlier, old / "prepared")
    earlier.mkdir()
    (earlier / "a.npy").write_text("new")
    mend(earlier)
    assert names_in(earlier.parent) == ["prepared"]
    assert (earlier / "a.npy").read_text() == "new"


def test_a_kill_before_there_was_any_folder_leaves_none(tmp_path):
    killed_inside(tmp_path / "prepared", "writing")
    assert len(names_in(tmp_path)) == 1
    mend(tmp_path / "prepared")
    assert names_in(tmp_path) == []


def test_a_sound_folder_and_one_that_is_not_there_need_no_mending(earlier, tmp_path):
    mend(earlier)
    assert (earlier / "a.npy").read_text() == "earlier"
    mend(tmp_path / "no" / "such")
    assert names_in(tmp_path) == ["prepared"]


@pytest.mark.parametrize(
    "name",
    [
        ".prepared.memory",
        ".prepared.lock",
        f".prepared.{DEAD}",
        f".prepared.{DEAD}0.tmp",
        f".prepared.{DEAD}.tmp.json",
        f".prepared.0123456.{DEAD}.tmp",
        f".prepared2.{DEAD}.tmp",
        f".p.{DEAD}.tmp",
        f"prepared.{DEAD}.tmp",
        ".prepared",
        ".prepared.1.tmp",  # of a process that runs
        f".prepared.01234567.{DEAD}.tmp",  # of another machine
    ],
)
def test_what_others_keep_beside_it_stays(earlier, name):
    (earlier.parent / name).mkdir()
    (earlier.parent / name / "a.npy").write_text("another's")
    mend(earlier)
    for path in (earlier.with_name("p*"), earlier.with_name("[p]repared"), earlier / "no" / "such"):
        mend(path)  # a name is no pattern
    assert (earlier.parent / name / "a.npy").read_text() == "another's"


@pytest.mark.parametrize("name", [".prepared.1.tmp", f".prepared.01234567.{DEAD}.tmp"])
def test_what_nobody_wrote_to_for_a_day_is_removed_whoever_left_it(earlier, name):
    left = earlier.with_name(name)
    left.mkdir()
    yesterday = time.time() - 90_000
    os.utime(left, (yesterday, yesterday))
    mend(earlier)
    assert names_in(earlier.parent) == ["prepared"]


def test_the_next_write_removes_what_a_killed_process_left(tmp_path):
    path = tmp_path / "audit.html"
    path.write_text("earlier")
    program = """
import os, signal, sys
from pathlib import Path
from pawprint.system.files import replacing_file
with replacing_file(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    Path(f"{temporary}-journal").touch()  # as SQLite would leave it
    with replacing_file(temporary) as inner:
        inner.write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program, str(path)], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    (tmp_path / f".audit.{DEAD}.tmp.html").write_text("of an earlier version")
    (tmp_path / f".audit.{os.getpid()}.tmp.html").write_text("of an earlier process of our number")
    assert len(names_in(tmp_path)) == 6
    with replacing_file(path) as temporary:
        temporary.write_text("new")
    assert names_in(tmp_path) == ["audit.html"]
    assert path.read_text() == "new"


def test_the_next_write_puts_an_earlier_folder_in_order_first(earlier):
    killed_inside(earlier, "2")
    assert not earlier.exists()
    with pytest.raises(BrokenError):
        fill_half_of_a_folder(earlier)
    assert names_in(earlier.parent) == ["prepared"]
    assert (earlier / "a.npy").read_text() == "earlier"


# Several files


def write_tables(folder, content, names=("done.json", "a.csv", "z.csv")):
    with replacing_files(folder, "done.json") as temporary:
        for name in names:
            (temporary / name).write_text(content)
        if content == "half":
            raise BrokenError


def test_files_are_replaced_on_success_alone_and_others_beside_them_stay(tmp_path):
    folder = tmp_path / "evaluate"
    write_tables(folder, "earlier")
    (folder / "mine.txt").write_text("earlier")
    write_tables(folder, "new")
    with pytest.raises(BrokenError):
        write_tables(folder, "half")
    texts = {path.name: path.read_text() for path in folder.iterdir()}
    assert texts == {"a.csv": "new", "done.json": "new", "z.csv": "new", "mine.txt": "earlier"}
    assert names_in(tmp_path) == ["evaluate"]


def test_where_not_all_files_could_be_replaced_the_last_one_is_missing(tmp_path):
    folder = tmp_path / "evaluate"
    write_tables(folder, "earlier")
    (folder / "b.csv" / "folder").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        write_tables(folder, "new", names=("done.json", "a.csv", "b.csv"))
    assert names_in(folder) == ["a.csv", "b.csv", "z.csv"]


# Room


@pytest.fixture
def small_disk():
    """No file may have more than a kilobyte."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def write_file(path):
    with replacing_file(path) as temporary:
        temporary.write_bytes(bytes(2000))


def write_folder(path):
    with replacing_folder(path) as temporary:
        (temporary / "a.npy").write_bytes(bytes(2000))


def write_files(path):
    with replacing_files(path, "done.json") as temporary:
        write_file(temporary / "a.npy")


@pytest.mark.parametrize(
    ("write", "name"), [(write_file, ""), (write_folder, ""), (write_files, "/a.npy")]
)
def test_where_there_is_no_room_a_sentence_names_the_file_and_nothing_stays(
    tmp_path, small_disk, write, name
):
    path = tmp_path / "report"
    sentence = f"^{path}{name} cannot be read or written: File too large; free room on the disk"
    with pytest.raises(UserError, match=sentence), files_explained():
        write(path)
    assert names_in(tmp_path) == []


def test_an_error_that_is_not_of_the_disk_is_no_sentence(tmp_path):
    with pytest.raises(FileNotFoundError), files_explained():
        (tmp_path / "nowhere").read_text()


# JSON


def test_json_keeps_the_order_of_its_keys_and_every_letter(tmp_path):
    path = tmp_path / "summary.json"
    write_json(path, {"b": "größer", "a": [1, None]})
    text = path.read_bytes().decode("utf-8")
    assert text.endswith("}\n")
    assert "größer" in text
    assert list(json.loads(text).items()) == [("b", "größer"), ("a", [1, None])]


def test_json_that_cannot_be_written_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "summary.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": os})
    assert json.loads(path.read_text()) == {"a": 1}
    assert names_in(tmp_path) == ["summary.json"]
