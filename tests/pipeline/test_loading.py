"""Networks that `pawprint.load` finds by their names, in a project whose pipeline ran once."""

import csv
import json
import shutil

import pytest

PROGRAM = """
import json, sys, warnings
warnings.simplefilter("error")
import pawprint
answers = {}
for name in sys.argv[2:]:
    classifier = pawprint.load(name)
    answers[name] = [
        classifier.source, [list(a.probabilities.values()) for a in classifier.predict(sys.argv[1])]
    ]
print(json.dumps([answers, sorted(sys.modules)]))
"""


def asked(project, *words, **options):
    done = project.run("python", "-c", PROGRAM, *words, **options)
    return json.loads(done.stdout)


def test_each_name_of_the_champion_is_its_network_and_loads_no_tensorflow_nor_mlflow(finished):
    run_id = finished.json("models/run.json")["run_id"]
    of_version = ["champion", "challenger", "v1", "1", "models:/pawprint@champion", "."]
    of_version += ["models:/pawprint/1", str(finished.root), str(finished.root / "models/champion")]
    names = [*of_version, f"runs:/{run_id}", "models/model.onnx"]
    answers, modules = asked(finished, "unseen", *names)
    assert {name: answers[name][0] for name in names} == {
        **dict.fromkeys(of_version, "pawprint version 1"),
        f"runs:/{run_id}": f"run {run_id}",
        "models/model.onnx": str(finished.root / "models/model.onnx"),
    }
    assert all(found[1] == answers["champion"][1] for found in answers.values())
    assert not {"tensorflow", "keras", "mlflow", "pandas", "hydra"} & set(modules)
    rows = finished.root.joinpath("reports/predict/predictions.csv").read_text().splitlines()
    written = [[float(row["cats"]), float(row["dogs"])] for row in csv.DictReader(rows)]
    assert [[round(p, 6) for p in row] for row in answers["champion"][1]] == written


def test_a_project_is_loaded_from_elsewhere(finished, tmp_path):
    """The code in the project's own folder is not this, so the code is copied away with it."""
    elsewhere = finished.copy(tmp_path / "project")
    shutil.move(elsewhere.root / "src", tmp_path / "src")
    options = {"cwd": tmp_path, "PYTHONPATH": str(tmp_path / "src")}
    answers, _ = asked(elsewhere, "project/unseen", "project", **options)
    assert answers["project"][0] == "pawprint version 1"


def test_a_store_that_the_environment_names_is_asked_outside_of_any_project(finished, tmp_path):
    run_id = finished.json("models/run.json")["run_id"]
    names = ["models:/pawprint@champion", "models:/pawprint/1", f"runs:/{run_id}"]
    file = str(finished.root / "unseen" / "000.png")
    own = asked(finished, file, *names)[0]
    shutil.copy(finished.root / "mlflow.db", tmp_path)
    uri = f"sqlite:///{finished.root}/mlflow.db"
    for store in (uri, "sqlite:///mlflow.db"):  # the latter from the current folder, as MLflow
        answers, modules = asked(finished, file, *names, cwd=tmp_path, MLFLOW_TRACKING_URI=store)
        assert answers == own
        assert "mlflow" not in modules
    words = ("pawprint", "predict", file, "--model", names[0], "--csv")
    outside = {"cwd": tmp_path, "MLFLOW_TRACKING_URI": uri}
    assert finished.run("python", "-m", *words, **outside).stdout == (
        finished.run("python", "-m", *words).stdout
    )
    for name, sentence in {
        "models:/other@champion": "no champion of other is registered in sqlite:///",
        "models:/pawprint/7": "has no version 7 of pawprint",
        "runs:/0123": "run 0123",
    }.items():
        said = finished.run("python", "-m", *words[:4], name, code=1, **outside).stderr
        assert sentence in said
        assert said.count("\n") == 1


def test_what_is_not_expected_of_the_champion_is_a_warning_and_a_note(project):
    (project.root / "mlflow.db").unlink()
    program = """
import warnings, pawprint
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    classifier = pawprint.load()
assert [str(one.message) for one in caught] == list(classifier.notes)
assert caught[0].filename == "<string>"
print(*classifier.notes)
"""
    done = project.run("python", "-c", program)
    assert done.stdout.startswith("no champion of pawprint is registered in sqlite:")


@pytest.mark.parametrize("name", ["v7", "nobody", "runs:/0123"])
def test_a_name_of_no_network_is_one_sentence(finished, name):
    program = f"""
import pawprint
try:
    pawprint.load({name!r})
except pawprint.UserError as error:
    print(error)
"""
    said = finished.run("python", "-c", program).stdout
    assert said.count("\n") == 1
    assert name.removeprefix("v").removeprefix("runs:/") in said
