"""`mlflow run`: its parameters are Hydra's overrides, the run that it opened is the one used."""


def _mlflow_run(project, entry, *parameters):
    project.run(
        "mlflow",
        "run",
        ".",
        "-e",
        entry,
        "--env-manager",
        "local",
        "--experiment-name",
        "pawprint",
        *parameters,
    )


def test_train_uses_the_run_that_mlflow_opened_and_takes_its_parameters(project):
    before = {run.info.run_id for run in project.runs()}
    _mlflow_run(
        project, "train", "-P", "optimizer=sgd", "-P", "depth=2", "-P", "learning_rate=null"
    )
    (run,) = [r for r in project.runs() if r.info.run_id not in before]
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "depth=2 optimizer=sgd"
    assert run.data.params["optimizer"] == "sgd"
    assert run.data.params["resolved.learning_rate"] == "0.02"
    assert "val_accuracy" in run.data.metrics


def test_a_sweep_uses_the_run_that_mlflow_opened_as_its_parent(project):
    before = {run.info.run_id for run in project.runs()}
    _mlflow_run(project, "sweep", "-P", "depth=1,2", "-P", "epochs=1")
    runs = [r for r in project.runs() if r.info.run_id not in before]
    parents = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    assert len(runs) == 3
    assert len(parents) == 1
    assert parents[0].data.tags["kind"] == "sweep"


def test_the_pipeline_takes_parameters_and_ends_in_one_evaluated_run(project):
    before = {run.info.run_id for run in project.runs()}
    project.write("conf/recipe/mine.yaml", "epochs: 1\n")
    _mlflow_run(project, "pipeline", "-P", "depth=2", "-P", "recipe=mine")
    (run,) = [r for r in project.runs() if r.info.run_id not in before]
    params = {key: run.data.params[key] for key in ("depth", "epochs", "recipe")}
    assert params == {"depth": "2", "epochs": "1", "recipe": "mine"}
    assert "test_accuracy" in run.data.metrics
    text = (project.root / "params.yaml").read_text()
    assert "\ndepth: 2\n" in text
    assert "\nrecipe: mine " in text
