"""Hydra multirun of the train stage: one parent run, a child per trial, a ranked table."""

import csv
import os
import re
import signal
import time
from collections import Counter
from pathlib import Path

import pytest


def _sweeps(project):
    return [r for r in project.runs() if r.data.tags.get("kind") == "sweep"]


def _table(project, run, name, folder):
    path = project.client().download_artifacts(run.info.run_id, name, str(folder))
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _curve(project, run, metric="val_accuracy"):
    history = project.client().get_metric_history(run.info.run_id, metric)
    return [(point.step, point.value) for point in history]


def _children(project, parent):
    return [r for r in project.runs() if r.data.tags.get("mlflow.parentRunId") == parent]


def test_a_sweep_is_one_parent_a_child_per_trial_a_table_and_the_winners_command(project, tmp_path):
    before = (project.root / "models/run.json").read_bytes()
    done = project.stage("train", "-m", "optimizer=adam,sgd", "depth=1,2")
    assert (project.root / "models/run.json").read_bytes() == before
    assert project.stale() == []
    (parent,) = (r for r in project.runs() if r.data.tags.get("kind") == "sweep")
    assert parent.info.run_name == "sweep optimizer=adam,sgd depth=1,2"
    assert parent.info.status == "FINISHED"
    children = _children(project, parent.info.run_id)
    names = {f"optimizer={o} depth={d}" for o in ("adam", "sgd") for d in (1, 2)}
    assert {child.info.run_name for child in children} == names
    scores = [float(x) for x in re.findall(r"│ +(0\.\d{4}|1\.0000) │", done.stdout)]
    assert len(scores) == 4
    assert scores == sorted(scores, reverse=True)
    best = max(c.data.metrics["best_val_accuracy"] for c in children)
    assert parent.data.metrics["best_val_accuracy"] == best
    assert re.search(r"dvc exp run -S optimizer=(adam|sgd) -S depth=[12]\n", done.stdout)
    rows = _table(project, parent, "leaderboard.csv", tmp_path)
    assert [float(row["val_accuracy"]) for row in rows] == scores
    assert {(row["optimizer"], row["depth"]) for row in rows} == {
        (o, d) for o in ("adam", "sgd") for d in ("1", "2")
    }
    assert all(float(row["seconds"]) > 0 for row in rows)
    figures = project.client().list_artifacts(parent.info.run_id, "figures")
    assert {f.path for f in figures} == {"figures/axes.png", "figures/parallel_coordinates.png"}
    note = parent.data.tags["mlflow.note.content"]
    assert note.startswith("**4 trials**\n\n- `optimizer`: adam,sgd\n- `depth`: 1,2\n\n| rank |")
    assert parent.data.metrics["total_seconds"] > parent.data.metrics["seconds_of_trials"] > 0
    for child in children:
        assert {child.data.params[key] for key in ("optimizer", "depth")} == {
            word.partition("=")[2] for word in child.info.run_name.split()
        }
        files = {a.path for a in project.client().list_artifacts(child.info.run_id)}
        assert {"config.yaml", "history.csv", "model.keras"} <= files


def test_a_failed_trial_does_not_stop_the_others_and_the_exit_code_says_so(project):
    done = project.stage("train", "-m", "depth=1,7", code=1)
    assert "\nfailed: depth=7: depth=7 is too deep for pictures of 16 pixels" in f"\n{done.stderr}"
    log = re.search(r"; log: (.*)", done.stderr)[1]
    assert "depth=7 is too deep" in Path(log).read_text(encoding="utf-8")
    assert "error: 1 trial failed, as told above; the same command runs it again" in done.stderr
    assert "Traceback" not in done.stderr
    parent = next(r for r in project.runs() if r.data.tags.get("kind") == "sweep")
    children = {r.info.run_name: r.info.status for r in _children(project, parent.info.run_id)}
    assert children == {"depth=1": "FINISHED", "depth=7": "FAILED"}
    assert parent.data.tags["failed_trials"] == "1"
    assert "too deep" in next(
        r.data.tags["error"] for r in project.runs() if r.info.run_name == "depth=7"
    )


def test_the_winners_command_names_the_conf_file_of_a_value_inside_a_choice(project):
    project.write("conf/recipe/mine.yaml", "epochs: 1\nlabel_smoothing: 0.0\n")
    project.edit("params.yaml", "recipe: none", "recipe: mine")
    words = ("optimizer.epsilon=0.01,0.02", "label_smoothing=0.2")
    done = project.stage("train", "-m", *words)
    command = done.stdout.strip().splitlines()[-1].split()
    assert command[:4] == ["dvc", "exp", "run", "-S"]
    recipe, epochs, epsilon, smoothing = command[4::2]
    assert (recipe, epochs, smoothing) == ("recipe=none", "epochs=1", "label_smoothing=0.2")
    assert epsilon.startswith("conf/optimizer/adamw.yaml:+epsilon=0.0")  # that file has none
    project.run(*command)
    best = project.client().get_run(_sweeps(project)[0].data.tags["best_run"])
    assert _curve(project, project.runs()[-1], "val_loss") == _curve(project, best, "val_loss")
    assert project.runs()[-1].data.params["optimizer.epsilon"] == epsilon.partition("=")[2]
    names = {run.info.run_name for run in project.runs()}
    assert {"optimizer.epsilon=0.01", "optimizer.epsilon=0.02"} <= names


def test_a_sweep_over_what_does_not_exist_opens_no_run(project):
    for axis in ("optimizer.lr=1,2", "optimizer.beta_1.lr=1,2", "dropout=0.1,1.5"):
        done = project.stage("train", "-m", axis, code=1)
        assert done.stderr.startswith("error: ")
        assert "Traceback" not in done.stderr
        assert _sweeps(project) == []


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_ctrl_c_marks_the_running_trials_as_killed_and_ranks_what_is_there(project, launcher):
    sweep = project.start(
        "python",
        "-u",
        "-m",
        "pawprint",
        "train",
        "-m",
        f"hydra/launcher={launcher}",
        *(["hydra.launcher.n_jobs=2"] if launcher == "joblib" else []),
        "epochs=2,500",
        "patience=500",
    )
    said = ""
    for line in sweep.stdout:
        said += line
        if line.startswith("finished: epochs=2,") and launcher == "joblib":
            while "epochs=500" not in {run.info.run_name for run in project.runs()}:
                time.sleep(0.1)
            break
        if line.startswith("epoch 3/"):
            break
    sweep.send_signal(signal.SIGINT)
    rest, _ = sweep.communicate(timeout=300)
    said += rest
    assert sweep.returncode == 130, said
    assert "Traceback" not in said
    assert re.search(r"│ +1 │ +2 │ +[01]\.\d{4} │.*finished", said)
    (parent,) = _sweeps(project)
    assert parent.info.status == "KILLED"
    children = {r.info.run_name: r.info.status for r in _children(project, parent.info.run_id)}
    assert children == {"epochs=2": "FINISHED", "epochs=500": "KILLED"}


def test_killed_it_goes_on_runs_what_is_missing_and_takes_more_values(project):
    axes = ("optimizer=adam,sgd", "depth=1,2")
    sweep = project.start("python", "-u", "-m", "pawprint", "train", "-m", "epochs=3", *axes)
    for line in sweep.stdout:
        if line.startswith("trial 2: "):
            break
    os.kill(sweep.pid, signal.SIGKILL)
    sweep.wait()
    done = project.stage("train", "-m", "epochs=3", *axes)
    assert "sweep optimizer=adam,sgd depth=1,2: 2 done, 2 to run\n" in done.stdout
    done = project.stage("train", "-m", "epochs=3", "depth=2,1", "optimizer=sgd,adam,muon")
    assert ": 4 done, 2 to run\n" in done.stdout
    (parent,) = _sweeps(project)
    assert parent.info.status == "FINISHED"
    assert parent.info.run_name == "sweep depth=2,1 optimizer=sgd,adam,muon"
    children = _children(project, parent.info.run_id)
    assert Counter(child.info.status for child in children) == {"FINISHED": 6}
    settings = [(c.data.params["optimizer"], c.data.params["depth"]) for c in children]
    assert len(set(settings)) == 6
    for child in children:
        assert [step for step, _ in _curve(project, child)] == [1, 2, 3, 3][
            : len(_curve(project, child))
        ]


def test_a_trial_learns_what_it_learns_alone_also_after_another_apart_and_afresh(project):
    project.stage("train", "optimizer=sgd", "dropout=0.3")
    alone = project.runs()[-1]
    sweep = ("-m", "optimizer=adam,sgd", "dropout=0.3")
    project.stage("train", *sweep)
    done = project.stage("train", *sweep, "hydra/launcher=joblib", "sweep.fresh=true")
    assert "0 done, 2 to run" in done.stdout
    first, second = _sweeps(project)
    assert [len(_children(project, p.info.run_id)) for p in (first, second)] == [2, 2]
    found = [r for r in project.runs() if r.info.run_name == "optimizer=sgd"]
    assert len(found) == 2
    for metric in ("loss", "val_loss", "val_accuracy"):
        curves = {tuple(_curve(project, run, metric)[:2]) for run in (alone, *found)}
        assert len(curves) == 1, metric
    count = len(project.runs())
    done = project.stage("train", *sweep)
    assert "2 done, 0 to run" in done.stdout
    assert len(project.runs()) == count


def test_seeds_give_each_setting_a_mean_and_a_spread(project, tmp_path):
    done = project.stage("train", "-m", "depth=1,2", "seeds=0,1", "epochs=1")
    (parent,) = _sweeps(project)
    assert len(_children(project, parent.info.run_id)) == 4
    first, second = _table(project, parent, "seeds.csv", tmp_path)
    assert {first["trials"], second["trials"]} == {"depth=1", "depth=2"}
    assert float(first["mean val_accuracy"]) >= float(second["mean val_accuracy"])
    assert first["seeds"] == "2"
    assert "Means over seeds" in done.stdout
    assert parent.data.tags["best_trial"].startswith(first["trials"])


def test_a_trial_of_another_sweep_is_taken_in_this_ones_words(project, tmp_path):
    project.stage("train", "-m", "depth=1,2", "optimizer=adam", "epochs=1")
    axes = ("optimizer=adam", "depth=1,2", "seeds=0,1", "epochs=1")
    done = project.stage("train", "-m", *axes)
    assert ": 2 done (2 of them in other sweeps), 2 to run\n" in done.stdout
    _, parent = _sweeps(project)
    children = _children(project, parent.info.run_id)
    names = {f"depth={depth} seed={seed}" for depth in (1, 2) for seed in (0, 1)}
    assert {child.info.run_name for child in children} == names
    same = [child for child in children if "same_as" in child.data.tags]
    assert len(same) == 2
    for child in same:
        trained = project.client().get_run(child.data.tags["same_as"])
        assert child.data.params == trained.data.params
        assert _curve(project, child) == _curve(project, trained)
    groups = _table(project, parent, "seeds.csv", tmp_path)
    assert {(row["trials"], row["seeds"]) for row in groups} == {("depth=1", "2"), ("depth=2", "2")}
    done = project.stage("train", "-m", "depth=1", "seeds=0,1", "optimizer=adam", "epochs=1")
    assert "2 done" in done.stdout
    assert "│ 1    │ 2 " not in done.stdout


def test_two_sweeps_that_share_a_trial_train_it_once(project):
    first = project.start("python", "-u", "-m", "pawprint", "train", "-m", "optimizer=adam,sgd")
    for line in first.stdout:
        if line.startswith("epoch 1/"):
            first.send_signal(signal.SIGSTOP)  # until the second has come to the same trial
            break
    second = project.start(
        "python", "-u", "-m", "pawprint", "train", "-m", "depth=1,2", "optimizer=adam"
    )
    for line in second.stdout:
        if line.startswith("another process trains depth=1; waiting for it"):
            first.send_signal(signal.SIGCONT)
            break
    said, _ = second.communicate(timeout=300)
    assert second.returncode == 0, said
    first.communicate(timeout=300)
    assert first.returncode == 0
    trials = [r for r in project.runs() if "trial" in r.data.tags]
    assert Counter(r.info.status for r in trials) == {"FINISHED": 3}


def test_the_winner_is_evaluated_and_registered_once_and_the_project_keeps_its_own(project):
    before = {
        file: (project.root / file).read_bytes()
        for file in ("models/run.json", "models/model.onnx", "reports/evaluate/metrics.json")
    }
    command = ("-m", "depth=1,2", "epochs=3", "sweep.promote=true", "gate=always")
    project.stage("train", *command)
    (parent,) = _sweeps(project)
    winner = project.client().get_run(parent.data.tags["best_run"])
    assert winner.data.tags["registered_version"] == "2"
    assert "test_accuracy" in winner.data.metrics
    champion = project.client().get_model_version_by_alias("pawprint", "champion")
    assert champion.run_id == winner.info.run_id
    others = [
        r for r in _children(project, parent.info.run_id) if r.info.run_id != winner.info.run_id
    ]
    assert all("test_accuracy" not in run.data.metrics for run in others)
    for file, content in before.items():
        assert (project.root / file).read_bytes() == content
    assert project.json("models/champion/registered.json")["run_id"] == winner.info.run_id
    done = project.stage("train", *command)
    assert "is version 2 already" in done.stdout
    assert len(_curve(project, winner, "test_accuracy")) == 1
    project.stage("predict")


def test_what_only_sweeps_have_is_refused_without_one_and_sweeps_where_there_are_none(project):
    done = project.stage("train", "sweep.promote=true", code=1)
    assert done.stderr == "error: sweep.promote is of sweeps; add -m and an axis, or leave it out\n"
    done = project.stage("evaluate", "-m", "sure_precision=0.9,0.95", code=1)
    assert done.stderr == "error: only train sweeps; leave out -m\n"
