"""What DVC brings back from its cache meets a store that never saw its run."""

import shutil


def _forget_the_store(project):
    shutil.rmtree(project.root / "mlruns")
    (project.root / "mlflow.db").unlink()


def test_evaluate_says_that_the_run_is_missing_and_opens_a_restored_one(project):
    record = project.json("models/run.json")
    _forget_the_store(project)
    done = project.stage("evaluate")
    assert record["run_id"] in done.stdout + done.stderr
    (run,) = project.runs()
    assert run.data.tags["restored_from"] == record["run_id"]
    assert run.data.params["depth"] == "1"
    assert "test_accuracy" in run.data.metrics
    points = project.client().get_metric_history(run.info.run_id, "val_accuracy")
    assert [p.step for p in points] == [1, 2]


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
