import csv
import json
import os
import signal
import subprocess
import sys

import pytest

from pawprint.system.files import (
    mend_file,
    mend_folder,
    read_rows,
    replacing_file,
    replacing_folder,
    write_json,
    write_table,
)


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
    write_table(path, header, rows)
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
    mend_folder(earlier)
    assert names_in(earlier.parent) == ["prepared"]
    assert (earlier / "a.npy").read_text() == "earlier"


def test_a_kill_after_the_exchange_leaves_the_new_folder(earlier):
    old = earlier.parent / ".prepared.old.abcd_123"
    old.mkdir()
    os.replace(earlier, old / "prepared")
    earlier.mkdir()
    (earlier / "a.npy").write_text("new")
    mend_folder(earlier)
    assert names_in(earlier.parent) == ["prepared"]
    assert (earlier / "a.npy").read_text() == "new"


def test_a_kill_before_there_was_any_folder_leaves_none(tmp_path):
    killed_inside(tmp_path / "prepared", "writing")
    assert len(names_in(tmp_path)) == 1
    mend_folder(tmp_path / "prepared")
    assert names_in(tmp_path) == []


def test_a_sound_folder_and_one_that_is_not_there_need_no_mending(earlier, tmp_path):
    mend_folder(earlier)
    assert (earlier / "a.npy").read_text() == "earlier"
    mend_folder(tmp_path / "no" / "such")
    assert names_in(tmp_path) == ["prepared"]


@pytest.mark.parametrize(
    "name",
    [
        ".prepared.memory",
        ".prepared.lock",
        ".prepared.ABCDEFGH",
        ".prepared.abcdefghi",
        ".prepared.summary.json",
        ".prepared2.abcdefgh",
        ".other.abcdefgh",
        "prepared.abcdefgh",
        ".prepared",
    ],
)
def test_what_others_keep_beside_it_stays(earlier, name):
    (earlier.parent / name).mkdir()
    (earlier.parent / name / "a.npy").write_text("another's")
    mend_folder(earlier)
    assert (earlier.parent / name / "a.npy").read_text() == "another's"


def test_a_name_is_not_taken_for_a_pattern(tmp_path):
    (tmp_path / ".prepared.abcdefgh").mkdir()
    mend_folder(tmp_path / "p*")
    mend_folder(tmp_path / "[p]repared")
    assert names_in(tmp_path) == [".prepared.abcdefgh"]
    (tmp_path / ".a[b]*.abcdefgh").mkdir()
    mend_folder(tmp_path / "a[b]*")
    assert names_in(tmp_path) == [".prepared.abcdefgh"]


def test_a_file_that_a_killed_process_left_half_written_is_removed(tmp_path):
    path = tmp_path / "audit.html"
    path.write_text("earlier")
    program = """
import os, signal, sys
from pathlib import Path
from pawprint.system.files import replacing_file
with replacing_file(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program, str(path)], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(names_in(tmp_path)) == 2
    mend_file(path)
    assert names_in(tmp_path) == ["audit.html"]
    assert path.read_text() == "earlier"


@pytest.mark.parametrize(
    "name", [".audit.x.tmp.html", ".audit.1.tmp.json", ".audit.html", ".a.1.tmp.html", "audit.html"]
)
def test_mending_a_file_leaves_others_alone(tmp_path, name):
    (tmp_path / name).write_text("another's")
    mend_file(tmp_path / "audit.html")
    mend_file(tmp_path / "a*.html")
    assert names_in(tmp_path) == [name]


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
