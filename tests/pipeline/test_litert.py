"""The network for phones, end to end: files, figures, the training's run."""

import shutil
import zipfile

import pytest

from pawprint.data.store import load_split
from pawprint.export.litert_predictor import LiteRTPredictor
from pawprint.inference.predictor import Predictor

pytest.importorskip("ai_edge_litert", reason="takes pawprint-classifier[litert]")

FIGURES = {
    "megabytes",
    "test_accuracy",
    "largest_difference",
    "mean_difference",
    "milliseconds",
}


@pytest.fixture(scope="module")
def converted(finished, tmp_path_factory):
    """A project whose network was written for phones, with what was said."""
    project = finished.copy(tmp_path_factory.mktemp("litert") / "project")
    return project, project.stage("litert", "mirror=false")  # training had it true


def test_both_files_answer_as_the_project_s_network_does(converted):
    project, _ = converted
    folder = project.root / "models/litert"
    names = {path.name for path in folder.iterdir()}
    assert names == {"model_float16.tflite", "model_int8.tflite", "metrics.json"}
    onnx = Predictor(project.root / "models/model.onnx")
    test = load_split(project.root / "data/prepared", "test")
    expected = onnx.probabilities(test.pictures)
    for kind in ("float16", "int8"):
        network = LiteRTPredictor(folder / f"model_{kind}.tflite")
        assert network.class_names == onnx.class_names == ["cats", "dogs"]
        assert network.run_id == project.json("models/run.json")["run_id"]
        figures = project.json("models/litert/metrics.json")[kind]
        assert set(figures) == FIGURES
        answers = network.probabilities(test.pictures)
        assert figures["test_accuracy"] == (answers.argmax(axis=1) == test.labels).mean()
        difference = abs(answers - expected)
        assert figures["largest_difference"] == pytest.approx(difference.max(), abs=1e-5)
        assert figures["mean_difference"] == pytest.approx(difference.mean(), abs=1e-5)
        assert figures["megabytes"] == (folder / f"model_{kind}.tflite").stat().st_size / 1e6
        assert figures["milliseconds"] > 0
        assert difference.max() < (0.01 if kind == "float16" else 0.1)


def test_the_figures_stand_beside_those_of_onnx_which_are_evaluate_s(converted):
    project, done = converted
    figures = project.json("models/litert/metrics.json")["onnx"]
    evaluated = project.json("reports/evaluate/metrics.json")
    assert figures["test_accuracy"] == pytest.approx(evaluated["test_accuracy"])
    assert figures["largest_difference"] == 0
    rows = [line.split("│") for line in done.stdout.splitlines() if line.startswith("│")]
    assert [row[1].strip() for row in rows] == ["onnx", "float16", "int8"]
    assert rows[0][3].strip() == f"{figures['test_accuracy']:.4f}"


def test_files_and_figures_go_into_the_run_of_the_training(converted):
    project, _ = converted
    run_id = project.json("models/run.json")["run_id"]
    (run,) = project.runs()
    assert run.info.run_id == run_id
    written = project.json("models/litert/metrics.json")
    for kind in ("float16", "int8"):
        for name, value in written[kind].items():
            assert run.data.metrics[f"{kind}_{name}"] == pytest.approx(value)
    artifacts = {a.path for a in project.client().list_artifacts(run_id, "litert")}
    assert artifacts == {
        f"litert/{name}" for name in ("model_float16.tflite", "model_int8.tflite", "metrics.json")
    }


def test_it_says_what_it_does_and_nothing_of_others_machinery(converted):
    _, done = converted
    lines = done.stdout.splitlines()
    assert lines[:3] == [
        "converting to float16",
        "converting to int8",
        "measuring on 8 test pictures",
    ]
    assert lines[-1].startswith("for phones: ")
    assert done.stderr == ""
    for word in ("Assets", "fully_quantize", "XNNPACK", "Warning"):
        assert word not in done.stdout


def test_the_pipeline_has_nothing_to_do_afterwards(converted):
    project, _ = converted
    assert project.stale() == []


def test_what_a_phone_reads_names_the_classes(converted):
    project, _ = converted
    with zipfile.ZipFile(project.root / "models/litert/model_int8.tflite") as parts:
        assert parts.read("labels.txt") == b"cats\ndogs\n"


def test_before_anything_was_prepared_or_trained_it_says_so(fresh, finished, tmp_path):
    refused = fresh.stage("litert", code=1)
    assert refused.stderr.count("\n") == 1
    assert "prepare" in refused.stderr
    project = finished.copy(tmp_path / "project")
    shutil.rmtree(project.root / "models")
    refused = project.stage("litert", code=1)
    assert refused.stderr.count("\n") == 1
    assert (
        "models/run.json is missing, broken or of an earlier version; train first" in refused.stderr
    )
    assert not (project.root / "models").exists()


def test_a_broken_network_leaves_the_earlier_files(converted, tmp_path):
    project = converted[0].copy(tmp_path / "project")
    before = {p.name: p.read_bytes() for p in (project.root / "models/litert").iterdir()}
    (project.root / "models/model.keras").write_bytes(b"no network")
    refused = project.stage("litert", code=1)
    assert refused.stderr.count("\n") == 1
    assert "models/model.keras is not a network that Keras can read" in refused.stderr
    after = {p.name: p.read_bytes() for p in (project.root / "models/litert").iterdir()}
    assert after == before
    assert [p.name for p in (project.root / "models").glob(".litert*")] == []


def test_pictures_that_were_prepared_anew_are_refused(converted, tmp_path):
    project = converted[0].copy(tmp_path / "project")
    project.stage("prepare", "image_size=24")
    refused = project.stage("litert", code=1)
    assert (
        'at 16 pixels, but the test split has "cats", "dogs" at 24; train again' in refused.stderr
    )
