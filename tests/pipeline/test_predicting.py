"""The stage `predict` and the command `pawprint predict` give the same answers."""

import csv
import io
import json


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
