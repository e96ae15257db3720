"""What DVC brings back from its cache meets a store that never saw its run."""

import shutil


def _forget_the_store(project):
    shutil.rmtree(project.root / "mlruns")
    (project.root / "mlflow.db").unlink()


def _files(project, run):
    client, folders = project.client(), ("", "evaluate", "figures", "prepare")
    listed = (client.list_artifacts(run.info.run_id, folder) for folder in folders)
    return {file.path for files in listed for file in files}


def test_evaluate_says_that_the_run_is_missing_and_opens_a_whole_restored_one(finished, project):
    record = project.json("models/run.json")
    (trained,) = finished.runs()
    recorded = _files(finished, trained)
    _forget_the_store(project)
    done = project.stage("evaluate")
    assert record["run_id"] in done.stdout + done.stderr
    (run,) = project.runs()
    assert run.data.tags["restored_from"] == record["run_id"]
    assert run.data.params["depth"] == "1"
    assert "test_accuracy" in run.data.metrics
    points = project.client().get_metric_history(run.info.run_id, "val_accuracy")
    assert [p.step for p in points] == [1, 2]
    # All that it was, but for the drawing of training pictures.
    assert run.data.metrics == trained.data.metrics
    assert run.data.params == trained.data.params
    assert {i.dataset.digest for i in run.inputs.dataset_inputs} == {
        i.dataset.digest for i in trained.inputs.dataset_inputs
    }
    assert _files(project, run) == recorded - {"augmentation.png"}
    assert run.data.tags["network_sha256"] == record["network_sha256"]
    # Evaluated again, it has the same figures once.
    project.stage("evaluate")
    (run,) = project.runs()
    for name, value in run.data.metrics.items():
        points = project.client().get_metric_history(run.info.run_id, name)
        assert len({p.step for p in points}) == len(points), name
        assert points[-1].value == value


def test_a_pipeline_restored_from_the_run_cache_registers_and_predicts(project):
    _forget_the_store(project)
    for name in ("models", "reports", "data"):
        shutil.rmtree(project.root / name)
    (project.root / "dvc.lock").unlink()
    project.run("dvc", "repro")
    (run,) = project.runs()
    assert "restored_from" in run.data.tags
    assert "test_accuracy" in run.data.metrics
    version = project.client().get_model_version_by_alias("pawprint", "champion")
    assert version.run_id == run.info.run_id
