"""The stage `predict` and the command `pawprint predict` give the same answers."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess

import pytest


def _csv(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_the_command_gives_the_stages_probabilities(finished):
    stage = _csv((finished.root / "reports/predict/predictions.csv").read_text())
    done = finished.run("python", "-m", "pawprint", "predict", "unseen", "--csv")
    assert _csv(done.stdout) == stage


@pytest.fixture(scope="module")
def predict(finished):
    """The command in the project's folder; ``name`` is the registered version's run."""

    def run(*words, **options):
        return finished.run("python", "-m", "pawprint", "predict", *words, **options)

    return run


def test_a_network_is_asked_by_each_of_its_names(finished, predict, tmp_path):
    by_default = predict("unseen", "--csv").stdout
    run_id = json.loads((finished.root / "models/run.json").read_text())["run_id"]
    shutil.copy(finished.root / "models/model.onnx", tmp_path / "mine.onnx")
    names = ["models:/pawprint@champion", "models:/pawprint/1", f"runs:/{run_id}"]
    for name in (*names, f"runs:/{run_id}/model", str(tmp_path / "mine.onnx")):
        assert predict("unseen", "--csv", "--model", name).stdout == by_default


def test_a_file_answers_outside_of_any_project(finished, predict, tmp_path):
    picture = next((finished.root / "unseen").iterdir())
    shutil.copy(finished.root / "models/model.onnx", tmp_path / "mine.onnx")
    shutil.copytree(finished.root / "src", tmp_path / "elsewhere")
    words = (str(picture), "--csv", "--model", "mine.onnx")
    done = predict(*words, cwd=tmp_path, PYTHONPATH=str(tmp_path / "elsewhere"))
    assert done.stdout == predict(str(picture), "--csv").stdout


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("models:/pawprint@nobody", "has no alias nobody of pawprint; `mlflow ui` shows"),
        ("models:/pawprint/7", "has no version 7 of pawprint"),
        ("models:/other@champion", "no champion of other is registered in sqlite:"),
        ("models:/pawprint", "models:/pawprint names no model; give models:/NAME@ALIAS, "),
        ("runs:/0123", "has no network of a run 0123"),
        ("nowhere.onnx", "nowhere.onnx is no file; give models:/NAME@ALIAS, models:/NAME/VER"),
        ("params.yaml", "params.yaml is not a network that pawprint exported"),
    ],
)
def test_a_name_of_no_network_is_one_sentence(predict, name, words):
    done = predict("unseen", "--model", name, code=1)
    assert words in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_a_list_on_standard_input_is_answered(finished, predict):
    files = sorted((finished.root / "unseen").iterdir())
    done = subprocess.run(
        ("python", "-m", "pawprint", "predict", "-", "--csv"),
        input="".join(f"{path}\n" for path in files),
        cwd=finished.root,
        env=finished.environment(),
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout == predict(*map(str, files), "--csv").stdout


def test_a_threshold_and_the_most_probable_classes(predict):
    sure = predict("unseen", "--top", "2")
    assert all(len(line.split("\t")) == 5 for line in sure.stdout.splitlines())
    unsure = predict("unseen", "--threshold", "1.0", "--csv")
    assert {row["label"] for row in _csv(unsure.stdout)} == {"not sure"}


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_a_file_of_predictions_takes_the_form_of_its_name(predict, tmp_path, form):
    done = predict("unseen", "-o", str(tmp_path / f"p.{form}"))
    assert done.stdout == ""
    assert done.stderr == f"3 files: {tmp_path / f'p.{form}'}\n"
    (file,) = tmp_path.iterdir()
    if form == "csv":
        assert file.read_text() == predict("unseen", "--csv").stdout
    elif form == "json":
        assert file.read_text() == predict("unseen", "--json").stdout
    else:
        assert file.read_bytes().startswith(b"PAR1")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--parquet",), "--parquet needs a file; add --output FILE"),
        (("-o", "table.xlsx"), "--output table.xlsx does not say what to write; name it .csv,"),
        (("-o", "unseen", "--csv"), "unseen is a folder; name a file in it"),
        (("-o", "/dev/stdout", "--csv"), "/dev/stdout is a pipe, a device or the like"),
        (("-o", "t.csv", "--log", "./t.csv"), "--output and --log are both t.csv; name two files"),
        (("params.yaml", "-o", "params.yaml", "--csv"), "params.yaml is to be read and to be writ"),
    ],
)
def test_words_that_do_not_fit_are_one_sentence_and_nothing_is_written(
    finished, predict, words, said
):
    before = sorted(path.name for path in finished.root.iterdir())
    done = predict("unseen", *words, code=1)
    assert f"error: {said}" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in finished.root.iterdir()) == before


def test_ctrl_c_stops_and_the_same_command_goes_on(finished, paint_folder, tmp_path):
    pictures = paint_folder(tmp_path / "pictures", {"a": 300}, size=(800, 600), suffix=".jpg")
    table = tmp_path / "table.csv"
    command = ("python", "-m", "pawprint", "predict", str(pictures), "-r", "-o", str(table))
    whole = finished.run(*command)
    assert whole.stderr == f"300 files: {table}\n"
    content = table.read_bytes()
    table.unlink()
    process = finished.start(*command)
    while not (parts := list(tmp_path.glob(".table.csv.*.part"))) or not parts[0].stat().st_size:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=300)
    assert (process.returncode, said) == (130, "stopped\n")
    assert not table.exists()
    done = finished.run(*command)
    assert re.match(r"going on after \d+ files\n300 files: ", done.stderr)
    assert table.read_bytes() == content
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pictures", "table.csv"]


def test_the_command_works_from_any_folder_of_the_project_and_prints_json(finished):
    done = finished.run(
        "python",
        "-m",
        "pawprint",
        "predict",
        "--json",
        "../../unseen",
        cwd=finished.root / "reports" / "predict",
    )
    rows = json.loads(done.stdout)
    assert len(rows) == 3
    assert set(rows[0]) == {"path", "label", "probability", "probabilities"}


def test_the_command_tells_in_a_sentence_what_precision_cannot_be_had(finished):
    command = ("python", "-m", "pawprint", "predict", "unseen", "--sure-precision")
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
        "python",
        "-m",
        "pawprint",
        "predict",
        str(notes),
        "/nowhere.jpg",
        str(picture),
        code=1,
    )
    assert f"{notes} is not a picture" in done.stderr
    assert "/nowhere.jpg cannot be" in done.stderr or "/nowhere.jpg does not" in done.stderr
    assert str(picture) in done.stdout


def test_a_folder_without_pictures_has_a_row_and_the_others_are_answered(finished, tmp_path):
    (tmp_path / "empty").mkdir()
    picture = str(next((finished.root / "unseen").iterdir()))
    command = ("python", "-m", "pawprint", "predict", "--csv")
    done = finished.run(*command, str(tmp_path / "empty"), "pictures", picture, code=1)
    rows = _csv(done.stdout)
    nothing = "is a folder that holds no file"
    assert [row["problem"] for row in rows] == [nothing, nothing, ""]
    assert done.stderr.splitlines() == [
        "2 folders in pictures not entered; --recursive enters",
        f"error: {tmp_path / 'empty'} {nothing}",
        f"error: pictures {nothing}",
    ]


@pytest.mark.parametrize(
    ("shell", "code", "out", "err"),
    [
        ("predict unseen > /dev/full", 1, "", "error: standard output has no room left; free"),
        ("predict - <&-", 0, "", "standard input named no file"),
        ("predict - </dev/null", 0, "", "standard input named no file"),
        ("predict unseen >&-", 0, "", ""),
        ("predict ''", 2, "", "usage: "),
        ("predict unseen --model ''", 1, "", "error: an empty name is no file; give models:/"),
        ("predict unseen --model models:/pawprint/9999999999999999999", 1, "", "error: models:/pa"),
        ("PYTHONIOENCODING=ascii predict 猫.png", 1, "", "error: \\u732b.png cannot be read"),
        ("MLFLOW_TRACKING_URI=foo://x predict unseen", 1, "", "error: the tracking store foo://x"),
        ("MLFLOW_TRACKING_URI=sqlite:///params.yaml predict unseen", 1, "", "error: "),
    ],
)
def test_streams_names_and_stores_that_are_none_end_in_a_sentence(finished, shell, code, out, err):
    done = finished.run(
        "bash", "-c", shell.replace("predict", "python -m pawprint predict"), code=code
    )
    assert done.stdout.startswith(out)
    assert done.stderr.startswith(err)
    assert "Traceback" not in done.stderr
    assert err.startswith("usage") or done.stderr.count("\n") <= 1


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
        ("python", "-m", "pawprint", "predict", str(odd_names), *form),
        cwd=finished.root,
        env=finished.environment(PYTHONIOENCODING="utf-8:strict"),
        check=False,
        capture_output=True,
        timeout=300,
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
        printed = [os.fsdecode(line) for line in done.stdout.splitlines()]
        printed = [line.split("\t")[0] for line in printed]
        assert {os.fsencode(name).rpartition(b"/")[2] for name in printed} == {
            *(name.replace(b"\n", b"\\n") for name in ODD),
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
    done = project.run("python", "-m", "pawprint", "predict", "unseen", code=1)
    assert done.stderr.startswith("error: no champion of pawprint is registered in sqlite:")
    assert done.stderr.count("\n") == 1
