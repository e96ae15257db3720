"""Hydra multirun of the train stage: one parent run, a child per trial, a ranked table."""

import re
import signal


def _children(project, parent):
    return [r for r in project.runs() if r.data.tags.get("mlflow.parentRunId") == parent]


def test_a_sweep_is_one_parent_a_child_per_trial_a_table_and_the_winners_command(project):
    done = project.stage("train", "-m", "optimizer=adam,sgd", "depth=1,2")
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
    artifacts = project.client().list_artifacts(parent.info.run_id)
    assert "leaderboard.csv" in {a.path for a in artifacts}


def test_a_trial_leaves_the_pipelines_own_results_alone(project):
    before = (project.root / "models/run.json").read_bytes()
    project.stage("train", "-m", "optimizer.beta_1=0.8,0.9")
    assert (project.root / "models/run.json").read_bytes() == before
    assert project.run("dvc", "status").stdout.strip() == "Data and pipelines are up to date."


def test_a_failed_trial_does_not_stop_the_others_and_the_exit_code_says_so(project):
    done = project.stage("train", "-m", "depth=1,7", code=1)
    assert "depth=7 is too deep for pictures of 16 pixels" in done.stderr
    assert "Traceback" not in done.stderr
    parent = next(r for r in project.runs() if r.data.tags.get("kind") == "sweep")
    children = {r.info.run_name: r.info.status for r in _children(project, parent.info.run_id)}
    assert children == {"depth=1": "FINISHED", "depth=7": "FAILED"}
    assert parent.data.tags["failed_trials"] == "1"


def test_the_winners_command_names_the_conf_file_of_a_value_inside_a_choice(project):
    done = project.stage("train", "-m", "optimizer.epsilon=0.01,0.02", "epochs=1")
    command = done.stdout.strip().splitlines()[-1].split()
    assert command[:3] == ["dvc", "exp", "run"]
    assert command[4].startswith("conf/optimizer/adamw.yaml:+epsilon=0.0")  # that file has none
    assert command[-1] == "epochs=1"
    project.run(*command)
    assert project.runs()[-1].data.params["optimizer.epsilon"] == command[4].partition("=")[2]
    names = {run.info.run_name for run in project.runs()}
    assert {"optimizer.epsilon=0.01", "optimizer.epsilon=0.02"} <= names


def test_a_sweep_over_a_key_that_does_not_exist_leaves_no_run_open(project):
    for key, statuses in (("optimizer.lr", []), ("optimizer.beta_1.lr", ["FAILED"])):
        done = project.stage("train", "-m", f"{key}=1,2", code=1)
        assert done.stderr.startswith("error: ")
        assert "Traceback" not in done.stderr
        assert [r.info.status for r in project.runs() if r.data.tags.get("kind")] == statuses


def test_ctrl_c_marks_the_trial_and_the_sweep_as_killed(project):
    sweep = project.start(
        *("python", "-m", "pawprint.train", "-m", "depth=1,2", "epochs=500", "patience=500")
    )
    for line in sweep.stdout:
        if line.startswith("epoch 2/"):
            sweep.send_signal(signal.SIGINT)
            break
    said, _ = sweep.communicate(timeout=60)
    assert sweep.returncode == 130, said
    assert "Traceback" not in said
    assert {r.info.status for r in project.runs()[1:]} == {"KILLED"}
