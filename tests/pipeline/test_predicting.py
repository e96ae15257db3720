"""The stage `predict` and the command `pawprint predict` give the same answers."""

import csv
import io
import json
import os
import shutil
import subprocess

import pytest


def _csv(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_the_command_gives_the_stages_probabilities(finished):
    stage = _csv((finished.root / "reports/predict/predictions.csv").read_text())
    done = finished.run("python", "-m", "pawprint.cli", "predict", "unseen", "--csv")
    assert _csv(done.stdout) == stage


def test_the_command_works_from_any_folder_and_prints_json(finished, tmp_path):
    done = finished.run(
        *("python", "-m", "pawprint.cli", "predict", "--json", str(finished.root / "unseen")),
        cwd=tmp_path,
    )
    rows = json.loads(done.stdout)
    assert len(rows) == 3
    assert set(rows[0]) == {"path", "label", "probability", "probabilities"}


def test_the_command_tells_in_a_sentence_what_precision_cannot_be_had(finished):
    command = ("python", "-m", "pawprint.cli", "predict", "unseen", "--sure-precision")
    done = finished.run(*command, "0.9", code=1)  # on four validation pictures
    assert "sure_precision is 0.9, but" in done.stderr
    assert "reached nothing, with fewer than 30 of them on validation pictures" in done.stderr
    done = finished.run(*command, "9", code=1)
    assert "sure_precision is 9" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_file_that_is_no_picture_is_told_and_the_others_are_answered(finished, tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("no picture")
    picture = next((finished.root / "unseen").iterdir())
    done = finished.run(
        *("python", "-m", "pawprint.cli", "predict", str(notes), "/nowhere.jpg", str(picture)),
        code=1,
    )
    assert f"{notes} is not a picture" in done.stderr
    assert "/nowhere.jpg cannot be" in done.stderr or "/nowhere.jpg does not" in done.stderr
    assert str(picture) in done.stdout


ODD = [b"a, 'b' \"c\".png", "🐈\n2.png".encode(), b"caf\xe9.png", b"\xff" + b"x" * 250 + b".png"]


@pytest.fixture
def odd_names(finished, tmp_path):
    """A picture under odd names, and a file of an odd name that is no picture."""
    picture = next((finished.root / "unseen").iterdir())
    folder = tmp_path / "odd"
    folder.mkdir()
    for name in ODD:
        shutil.copy(picture, folder / os.fsdecode(name))
    (folder / os.fsdecode(b"notes\xe9.txt")).write_text("no picture")
    return folder


@pytest.mark.parametrize("form", [(), ("--json",), ("--csv",)])
def test_odd_names_are_printed_as_they_are_whatever_the_terminal(finished, odd_names, form):
    done = subprocess.run(
        ("python", "-m", "pawprint.cli", "predict", str(odd_names), *form),
        cwd=finished.root,
        env=finished.environment(PYTHONIOENCODING="utf-8:strict"),
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert b"is not a picture" in done.stderr
    if form == ("--json",):
        printed = [row["path"] for row in json.loads(done.stdout)]
    elif form == ("--csv",):
        text = io.StringIO(os.fsdecode(done.stdout), newline="")
        printed = [row["path"] for row in csv.DictReader(text)]
    else:
        printed = [os.fsdecode(line) for line in done.stdout.split(b"\n")]
        printed = [line.split("\t")[0] for line in printed]
        printed = [name for name in printed if name.startswith(str(odd_names))]
        assert {os.fsencode(name).rpartition(b"/")[2] for name in printed} == {
            *(name.split(b"\n")[0] for name in ODD),
            b"notes\xe9.txt",
        }
        return
    assert {os.fsencode(name).rpartition(b"/")[2] for name in printed} == {*ODD, b"notes\xe9.txt"}


def test_the_stage_predicts_files_of_odd_names(project, odd_names):
    done = project.stage("predict", f"predict_images={odd_names}", PYTHONIOENCODING="utf-8:strict")
    assert "Traceback" not in done.stdout + done.stderr
    text = (project.root / "reports/predict/predictions.csv").read_bytes()
    rows = list(csv.DictReader(io.StringIO(os.fsdecode(text), newline="")))
    assert {os.fsencode(row["path"]).rpartition(b"/")[2]: bool(row["label"]) for row in rows} == {
        **dict.fromkeys(ODD, True),
        b"notes\xe9.txt": False,
    }


def test_the_command_imports_neither_tensorflow_nor_mlflow(finished):
    program = (
        "import sys, pawprint.cli as cli\n"
        "try: cli.main(['predict', 'unseen'])\n"
        "finally: print(sorted({'tensorflow', 'mlflow', 'pandas'} & set(sys.modules)))"
    )
    assert finished.run("python", "-c", program).stdout.splitlines()[-1] == "[]"


def test_no_champion_is_one_sentence(fresh, tmp_path):
    project = fresh.copy(tmp_path / "project")
    done = project.run("python", "-m", "pawprint.cli", "predict", "unseen", code=1)
    assert done.stderr.startswith("error: no champion of pawprint is registered in sqlite:")
    assert done.stderr.count("\n") == 1
