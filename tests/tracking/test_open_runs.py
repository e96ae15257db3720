from pawprint.tracking.store import connect


def test_a_run_that_was_opened_for_a_training_is_found_until_it_ends(tmp_path):
    store = connect(f"sqlite:///{tmp_path / 'mlflow.db'}", "pawprint")
    run, _ = (store.open_run("a run", training=training) for training in ("this", "other"))
    assert store.find_unfinished("this").id == run.id
    assert store.find_unfinished("a third") is None
    run.finish("KILLED")
    assert store.find_unfinished("this") is None


def test_a_run_with_a_model_is_not_unfinished(tmp_path):
    store = connect(f"sqlite:///{tmp_path / 'mlflow.db'}", "pawprint")
    run = store.open_run("a run", training="this")
    run.set_tags({"model_id": "m-1"})
    assert store.find_unfinished("this") is None
