"""A student end to end: a teacher from the registry, pictures without labels, other sizes."""

import hashlib

import crafted
import numpy as np
import pytest
import yaml

from pawprint.data.unlabelled import load_with_unlabelled
from pawprint.inference.predictor import Predictor
from pawprint.training.augmentation import Augmentation
from pawprint.training.teacher import draw_view

SETTINGS = ("image_size=24", "unlabelled=more", "epochs=2")


@pytest.fixture(scope="module")
def taught(finished, tmp_path_factory, paint_folder):
    """A project whose champion has taught a network of larger pictures, and what was said."""
    project = finished.copy(tmp_path_factory.mktemp("taught") / "project")
    paint_folder(project.root / "more", {"a": 3, "b": 3}, seed=5)
    project.stage("prepare", *SETTINGS)
    done = project.stage("train", "teacher=champion", "augment=none", *SETTINGS)
    return project, done.stdout


def test_the_run_says_who_taught_it_and_of_which_pictures(taught):
    project, said = taught
    record, run = project.json("models/run.json"), project.runs()[-1]
    network = (project.root / "models/champion/model.onnx").read_bytes()
    tags = {"teacher": "pawprint version 1", "teacher_sha256": hashlib.sha256(network).hexdigest()}
    assert record["tags"] | tags == record["tags"]
    assert run.data.tags | tags == run.data.tags
    assert run.data.params["teacher"] == "champion"
    assert run.data.metrics["seconds_of_teacher"] > 0
    assert [data["name"] for data in record["datasets"]] == ["train", "validation", "unlabelled"]
    summary = project.json("data/prepared/summary.json")
    assert record["datasets"][2]["digest"] == summary["unlabelled_digest"]
    assert said.count("teacher's answers of view") == 1  # both epochs see the same pictures


def test_a_teacher_of_another_size_has_seen_the_files_at_its_own(taught):
    project, _ = taught
    (file,) = project.root.glob("data/features/*/view1.npy")
    split = load_with_unlabelled(project.root / "data/prepared")
    predictor = Predictor(project.root / "models/champion/model.onnx")
    places = [
        project.root / ("more" if label < 0 else "pictures") / path
        for path, label in zip(split.paths, split.labels, strict=True)
    ]
    pictures = np.stack([predictor.read(place) for place in places])
    shown = Augmentation().apply(pictures, draw_view(Augmentation(), 0, len(places), 24, 0), 16)
    assert len(places) == len(np.load(file)) > 6
    np.testing.assert_allclose(np.load(file), predictor.probabilities(shown), atol=1e-6)


def test_the_same_teacher_by_another_name_is_not_asked_again(taught, tmp_path):
    project = taught[0].copy(tmp_path / "project")
    said = project.stage("train", "teacher=v1", "augment=none", *SETTINGS, "dropout=0.1").stdout
    assert "computed in" not in said
    assert said.count("taken from") == 1


def test_what_cannot_teach_is_refused_in_a_sentence(taught, tmp_path):
    project = taught[0].copy(tmp_path / "project")
    for teacher, said in (
        ("v9", "error: teacher is v9: "),
        ("gone.onnx", f"error: teacher is gone.onnx: {project.root}/gone.onnx is no file; give"),
        ("params.yaml", "error: teacher is params.yaml: "),
    ):
        done = project.stage("train", f"teacher={teacher}", *SETTINGS, code=1)
        assert done.stderr.startswith(said)
        assert done.stderr.count("\n") == 1
    done = project.stage("train", "teacher=champion", "image_size=24", code=1)
    assert "unlabelled is null, but the pictures were prepared with more; run `pawprint" in (
        done.stderr
    )


def test_dvc_trains_again_when_another_network_is_champion(project):
    project.edit("params.yaml", "teacher: null", "teacher: champion")

    def written():
        project.stage("code")
        network = (project.root / "models/champion/model.onnx").read_bytes()
        text = (project.root / "data/code/train.txt").read_text()
        assert f"teacher champion {hashlib.sha256(network).hexdigest()}\n" in text
        return text

    before = written()
    crafted.train(project, "right")
    project.stage("register", "gate=always")
    assert written() != before
    stages = yaml.safe_load((project.root / "dvc.yaml").read_text())["stages"]
    assert "data/code/train.txt" in stages["train"]["deps"]
    assert "data/code/prepare.txt" in stages["prepare"]["deps"]
