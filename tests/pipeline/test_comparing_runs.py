"""`pawprint compare` on runs that the pipeline recorded."""

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

COMPARE = ("python", "-m", "pawprint", "compare")


@pytest.fixture(scope="module")
def compared(finished, tmp_path_factory):
    """A project with three evaluated runs; the last one has other test pictures."""
    project = finished.copy(tmp_path_factory.mktemp("compared") / "project")
    project.stage("train", "epochs=12", "learning_rate=0.01")
    project.stage("evaluate")
    _call(project, "longer")
    for stage in ("prepare", "train", "evaluate"):
        project.stage(stage, "epochs=1", "seed=1")
    _call(project, "elsewhere")
    return project


def _call(project, name):
    project.client().update_run(project.json("models/run.json")["run_id"], name=name)


def answers_of(project, run, folder):
    name = "evaluate/predictions.csv"
    path = Path(project.client().download_artifacts(run.info.run_id, name, folder))
    with path.open(encoding="utf-8", newline="") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def test_two_runs_are_told_with_what_differs_and_what_changed_sides(compared, tmp_path):
    first, second, _ = compared.runs()
    done = compared.run(*COMPARE, "champion", "longer", "--json", cwd=compared.root / "data")
    told = json.loads(done.stdout)
    assert [run["id"] for run in told["runs"]] == [first.info.run_id, second.info.run_id]
    assert set(told["parameters"]) == {"epochs", "learning_rate"}
    for place, run in enumerate((first, second)):
        value = told["figures"]["test_accuracy"][place]["value"]
        assert value == run.data.metrics["test_accuracy"]

    before, after = (answers_of(compared, run, tmp_path) for run in (first, second))
    right = [
        {p for p, row in a.items() if row["label"] == row["predicted"]} for a in (before, after)
    ]
    assert right[0] ^ right[1], "the tests need pictures that change sides"
    (pair,) = told["pairs"]
    assert pair["gained"] == len(right[1] - right[0])
    assert pair["lost"] == len(right[0] - right[1])
    assert pair["difference"] == pytest.approx((pair["gained"] - pair["lost"]) / len(before))

    with (compared.root / "reports/compare/changed.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["path"] for row in rows} == right[0] ^ right[1]
    for row in rows:
        assert row[f"answer_{first.info.run_id}"] == before[row["path"]]["predicted"]
        assert row[f"answer_{second.info.run_id}"] == after[row["path"]]["predicted"]


def test_the_page_and_the_curves_are_written_with_the_pictures_if_those_are_prepared(
    compared, tmp_path
):
    folder = compared.root / "reports/compare"
    done = compared.run(*COMPARE, "champion", "longer")  # prepared last are those of another seed
    assert done.stdout.endswith(f"page: {folder / 'compare.html'}\n")
    assert "test_accuracy" in done.stdout
    assert "McNemar's exact p" in done.stdout
    page = (folder / "compare.html").read_text()
    assert compared.runs()[0].info.run_id in page
    assert "data:image/jpeg" not in page
    with Image.open(folder / "curves.png") as image:
        assert image.width > 500
    assert {path.name for path in folder.iterdir()} == {"compare.html", "curves.png", "changed.csv"}
    project = compared.copy(tmp_path / "project")
    project.stage("prepare")
    project.run(*COMPARE, "champion", "longer")
    assert "data:image/jpeg" in (project.root / "reports/compare/compare.html").read_text()


def test_without_a_name_the_last_two_are_compared_and_other_test_pictures_are_not_paired(compared):
    program = (
        "import sys, pawprint.cli as cli\n"
        "try: cli.main(['compare', '--json'])\n"
        "finally: print({'tensorflow', 'keras'} & set(sys.modules), file=sys.stderr)"
    )
    done = compared.run("python", "-c", program)
    assert done.stderr.splitlines()[-1] == "set()"
    told = json.loads(done.stdout)
    assert [run["name"] for run in told["runs"]] == ["longer", "elsewhere"]
    (pair,) = told["pairs"]
    assert pair["verdict"] is None
    assert "other pictures" in pair["sentence"]
    assert told["changed"] == []
    assert set(told["parameters"]) == {"epochs", "learning_rate", "seed", "split_seed"}
    assert set(told["origins"]) == {"test_digest"}


def test_of_the_last_n_as_many_are_compared_as_there_are_and_that_is_told(compared):
    told = json.loads(compared.run(*COMPARE, "--last", "5", "--json").stdout)
    assert [run["name"] for run in told["runs"]][1:] == ["longer", "elsewhere"]
    assert len(told["runs"]) == 3
    assert "Of 5 runs asked for, 3 are there and evaluated." in told["notes"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("champion", "v1"), "champion and v1 are the same run"),
        (("champion",), "compare takes 2 to 10 runs, not 1"),
        (("champion", "longer", "--last", "2"), "name runs or give --last, not both"),
        (("--last", "11"), "compare takes 2 to 10 runs, not 11"),
    ],
)
def test_a_mistake_is_one_sentence(compared, words, sentence):
    done = compared.run(*COMPARE, *words, code=1)
    assert done.stderr.startswith("error: ")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_project_without_runs_is_told_so_and_gets_no_store(fresh, tmp_path):
    project = fresh.copy(tmp_path / "project")
    done = project.run(*COMPARE, code=1)
    assert "has no run yet" in done.stderr
    assert not (project.root / "mlflow.db").exists()
