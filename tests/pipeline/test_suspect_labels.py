"""Suspect labels end to end: a network per fold, a table, a page and a run."""

import csv
import re
import signal

import pytest

FLIPPED = {"dogs/of_cats.png", "dogs/of_cats_2.png", "cats/of_dogs.png"}
SETTINGS = ("epochs=30", "learning_rate=0.02", "folds=2", "mirror=false", "teacher=gone.onnx")


@pytest.fixture(scope="module")
def prepared(fresh, tmp_path_factory):
    """A project of 40 prepared pictures, three of them in the folder of the other class."""
    project = fresh.copy(tmp_path_factory.mktemp("suspects") / "project")
    pictures = project.root / "pictures"
    (pictures / "cats/001.png").rename(pictures / "dogs/of_cats.png")
    (pictures / "cats/002.png").rename(pictures / "dogs/of_cats_2.png")
    (pictures / "dogs/003.png").rename(pictures / "cats/of_dogs.png")
    project.stage("prepare")
    return project


@pytest.fixture(scope="module")
def looked(prepared, tmp_path_factory):
    """The same after suspects were looked for, with what was said."""
    project = prepared.copy(tmp_path_factory.mktemp("looked") / "project")
    return project, project.stage("suspects", *SETTINGS)


def _table(project):
    with (project.root / "reports/suspects/suspects.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_flipped_labels_stand_first_whatever_their_split(looked):
    project, _ = looked
    rows = _table(project)
    assert {row["path"] for row in rows[:3]} == FLIPPED
    assert [row["rank"] for row in rows] == [str(n) for n in range(1, len(rows) + 1)]
    for row in rows[:3]:
        assert row["label"] == row["path"].split("/")[0]
        assert row["suggested"] == ("cats" if row["label"] == "dogs" else "dogs")
        assert float(row["probability_of_label"]) == float(row[row["label"]])
        assert float(row["probability_of_suggested"]) == float(row[row["suggested"]]) > 0.5


def test_the_run_has_parameters_counts_table_and_page(looked):
    project, done = looked
    (run,) = project.runs()
    assert run.info.run_name == "suspects of learning_rate=0.02 epochs=30 mirror=false"
    assert run.info.status == "FINISHED"
    assert run.data.tags["kind"] == "suspects"
    assert run.data.params["folds"] == "2"
    assert run.data.metrics["suspects"] == len(_table(project)) >= 3
    assert run.data.metrics["labels"] == 40
    assert 0 <= run.data.metrics["probably_wrong"] <= run.data.metrics["suspects"]
    artifacts = project.client().list_artifacts(run.info.run_id, "suspects")
    assert {a.path for a in artifacts} == {"suspects/suspects.csv", "suspects/suspects.html"}
    assert re.search(r"fold 1 of 2: .* about \d+ (s|min) left", done.stdout)
    assert re.search(r"the network agrees with [\d.]+ % of 40 labels", done.stdout)


def test_it_leaves_its_two_files_and_nothing_of_its_work(looked):
    project, _ = looked
    left = {path.name for path in (project.root / "reports/suspects").iterdir()}
    assert left == {"suspects.csv", "suspects.html"}
    assert not list((project.root / "models/.checkpoints").iterdir())
    assert {path.name for path in (project.root / "models").iterdir()} == {".checkpoints"}


def test_the_page_shows_every_suspect_with_both_classes(looked):
    project, _ = looked
    page = (project.root / "reports/suspects/suspects.html").read_text()
    assert page.count("data:image/jpeg;base64,") == len(_table(project))
    assert "<script" not in page
    for path in FLIPPED:
        assert path.replace("/", "/<wbr>") in page


def test_stopped_and_killed_it_goes_on_with_the_next_fold(looked, prepared, tmp_path):
    project = prepared.copy(tmp_path / "project")
    for mark, sent, code in (
        ("fold 2 of 2: learning", signal.SIGKILL, -9),
        ("going on after fold", signal.SIGINT, 130),
    ):
        process = project.start("python", "-m", "pawprint", "suspects", *SETTINGS)
        for line in process.stdout:
            if line.startswith(mark):
                process.send_signal(sent)
                break
        said, _ = process.communicate(timeout=300)
        assert process.returncode == code, said
        assert "Traceback" not in said
        assert not (project.root / "reports/suspects").exists()
    assert project.runs()[0].info.status == "KILLED"
    done = project.stage("suspects", *SETTINGS)
    assert "going on after fold 1 of 2" in done.stdout
    assert "fold 1 of 2: learning" not in done.stdout
    assert _table(project) == _table(looked[0])
    (run,) = project.runs()
    assert run.info.status == "FINISHED"
    assert not list((project.root / "models/.checkpoints").iterdir())


def test_given_splits_are_judged_too(fresh, tmp_path):
    project = fresh.copy(tmp_path / "project")
    given = project.root / "given"
    for split, digits in (("train", "0123456"), ("val", "78"), ("test", "9")):
        for path in sorted((project.root / "pictures").glob("*/*.png")):
            if path.stem[-1] in digits:
                (given / split / path.parent.name).mkdir(parents=True, exist_ok=True)
                path.rename(given / split / path.parent.name / path.name)
    for path in (given / "train/cats/004.png", given / "val/cats/007.png"):
        path.rename(path.parents[1] / "dogs" / f"of_{path.name}")
    project.stage("prepare", "images=given")
    project.stage("suspects", *SETTINGS, "images=given")
    found = {(row["path"], row["split"]) for row in _table(project)[:2]}
    assert found == {
        ("train/dogs/of_004.png", "train"),
        ("val/dogs/of_007.png", "validation"),
    }


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["-m", "depth=1,2"], "only train sweeps; leave out -m"),
        (["folds=1"], "folds is 1, but must be at least 2 and at most 20; change it"),
        (["folds=20"], "fewer than folds=20; add pictures to it or set folds to "),
        (["image_size=32"], "image_size is 32, but the pictures were prepared with 16; run"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_opens_no_run(prepared, settings, said):
    refused = prepared.stage("suspects", *settings, code=1)
    assert refused.stderr.startswith("error: ")
    assert said in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (prepared.root / "mlflow.db").exists()
