"""Hydra multirun with `hydra/sweeper=optuna`."""

import re

SEARCH = (
    "-m",
    "hydra/sweeper=optuna",
    "epochs=3",
    "optimizer=adam,sgd",
    "learning_rate=tag(log,interval(0.0001,0.1))",
    "depth=range(1,3)",
)


def test_a_search_suggests_prunes_and_goes_on_where_it_ended(project):
    pruner = ("hydra.sweeper.pruner.n_startup_trials=1", "hydra.sweeper.pruner.n_warmup_steps=0")
    done = project.stage("train", *SEARCH, *pruner, "hydra.sweeper.n_trials=5")
    assert ": 0 done, 5 to run\n" in done.stdout
    assert done.stderr == ""
    done = project.stage(
        "train", *SEARCH, *pruner, "hydra.sweeper.n_trials=7", "hydra/launcher=joblib"
    )
    assert ": 5 done, 2 to run\n" in done.stdout
    assert done.stderr == ""
    (parent,) = (r for r in project.runs() if r.data.tags.get("kind") == "sweep")
    children = [
        r for r in project.runs() if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id
    ]
    assert {r.info.status for r in children} == {"FINISHED"}
    assert len({r.data.tags["trial"] for r in children}) == len(children) <= 7
    pruned = [r for r in children if "pruned" in r.data.tags]
    assert 0 < len(pruned) < len(children)
    assert all(r.data.metrics["trained_epochs"] < 3 for r in pruned)
    assert parent.data.tags["pruned_trials"] == str(len(pruned))
    whole = [r.data.metrics["best_val_accuracy"] for r in children if r not in pruned]
    assert parent.data.metrics["best_val_accuracy"] == max(whole)
    assert re.search(
        r"dvc exp run -S epochs=3 -S optimizer=\w+ -S learning_rate=0\.\d+", done.stdout
    )


def test_accuracy_and_speed_are_searched_together(project):
    done = project.stage(
        "train",
        "-m",
        "hydra/sweeper=optuna",
        "hydra/sweeper/sampler=nsga2",
        "epochs=1",
        "hydra.sweeper.objective=[best_val_accuracy,seconds_per_picture]",
        "depth=1,2",
        "hydra.sweeper.n_trials=3",
    )
    assert "seconds_per_picture" in done.stdout
    assert "best_of_both" in done.stdout


def test_a_mistake_in_a_search_is_one_sentence_and_opens_no_run(project):
    for words, sentence in (
        (["depth=2"], "command line: there is nothing to search; give an axis"),
        (["dropout=interval(1,0)"], "command line: dropout=interval(1,0) is no search space"),
        (["depth=1,2", "hydra.sweeper.objective=speed"], "hydra.sweeper.objective is speed"),
    ):
        done = project.stage("train", "-m", "hydra/sweeper=optuna", *words, code=1)
        assert done.stderr.startswith(f"error: {sentence}")
        assert "Traceback" not in done.stderr
    done = project.stage("train", "-m", "dropout=interval(0,1)", code=1)
    assert "add hydra/sweeper=optuna" in done.stderr
    assert len(project.runs()) == 1
