import pytest

from pawprint.tracking.store import connect, link_opened_run
from pawprint.training.recording import recorded


@pytest.fixture
def store(tmp_path):
    return connect(f"sqlite:///{tmp_path / 'mlflow.db'}", "pawprint")


def test_a_run_that_was_opened_for_a_training_is_found_until_it_ends(store):
    run, _ = (store.open_run("a run", training=training) for training in ("this", "other"))
    assert store.find_unfinished("this").id == run.id
    assert store.find_unfinished("a third") is None
    run.finish("KILLED")
    assert store.find_unfinished("this") is None


def test_a_run_with_a_model_is_not_unfinished(store):
    run = store.open_run("a run", training="this")
    run.set_tags({"model_id": "m-1"})
    assert store.find_unfinished("this") is None


def _name(store, run):
    return store.client.get_run(run.id).info.run_name


def test_a_run_that_was_opened_for_a_training_is_the_one_recorded_in(store, tmp_path, monkeypatch):
    opened = store.open_run("bright-gnu-1")
    opened.log_parameters({"depth": "2"})  # as `mlflow run -P` does
    monkeypatch.setenv("MLFLOW_RUN_ID", opened.id)
    with recorded(store, "depth=2", tmp_path, {"a": 1}) as (run, _, _):
        assert run.id == opened.id
    assert _name(store, opened) == "depth=2"


@pytest.mark.parametrize("result", ["a figure", "a training's tags"])
def test_a_run_with_results_is_not_written_over(store, tmp_path, monkeypatch, caplog, result):
    earlier = store.open_run("earlier")
    if result == "a figure":
        earlier.log_metrics({"val_accuracy": 0.5}, step=1)
    else:
        earlier.set_tags({"data_digest": "0"})
    earlier.finish()
    before = store.client.get_run(earlier.id).to_dictionary()
    monkeypatch.setenv("MLFLOW_RUN_ID", earlier.id)
    with recorded(store, "later", tmp_path, {"a": 1}) as (run, _, _):
        assert run.id != earlier.id
        link_opened_run(store, run, "evaluate")
    assert store.client.get_run(earlier.id).to_dictionary() == before
    (said,) = caplog.messages
    assert said == (
        f"MLFLOW_RUN_ID is {earlier.id}, a run that has results already and stays as it is; "
        "recording in another run (`unset MLFLOW_RUN_ID` ends this warning)"
    )


def test_a_stage_within_an_opened_run_is_linked_to_the_training(store, monkeypatch):
    opened, training = store.open_run("opened"), store.open_run("depth=2")
    monkeypatch.setenv("MLFLOW_RUN_ID", opened.id)
    for stage in ("evaluate", "register"):
        link_opened_run(store, training, stage)
        assert _name(store, opened) == f"{stage} of depth=2"
    assert opened.tags["training_run"] == training.id
