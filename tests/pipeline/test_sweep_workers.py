"""Trials in other processes: of this machine, of submitit, of Ray."""

import os
import re
import select
import signal
import time
from pathlib import Path

import pytest


def _children(project):
    return {r.info.run_name: r for r in project.runs() if "mlflow.parentRunId" in r.data.tags}


@pytest.mark.parametrize(
    "words",
    [
        ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
        ["hydra/launcher=submitit", "hydra.launcher.cluster=local"],
        ["hydra/launcher=ray"],
    ],
)
def test_trials_run_elsewhere_and_are_recorded_whole(project, words):
    project.run("rm", "mlflow.db")  # it is there before the first of them writes
    done = project.stage("train", "-m", *words, "depth=1,2,7", code=1)
    assert re.search(r"^failed: depth=7: .*too deep.*; log: ", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr
    children = _children(project)
    assert {name: r.info.status for name, r in children.items()} == {
        "depth=1": "FINISHED",
        "depth=2": "FINISHED",
        "depth=7": "FAILED",
    }
    for name in ("depth=1", "depth=2"):
        run = children[name]
        files = {a.path for a in project.client().list_artifacts(run.info.run_id)}
        assert {"config.yaml", "history.csv", "model.keras"} <= files
        history = project.client().get_metric_history(run.info.run_id, "val_accuracy")
        assert [point.step for point in history] == [1, 2]
    log = re.search(r"log: (.*)", done.stderr)[1]
    assert "epoch 2/2: " in (Path(log).parents[1] / "0" / "trial.log").read_text()
    done = project.stage("train", "-m", "depth=1,2")
    assert ": 2 done, 0 to run" in done.stdout


def test_a_trial_that_the_system_kills_is_told_at_once_and_the_others_finish(project):
    sweep = project.start(
        "python",
        "-u",
        "-m",
        "pawprint",
        "train",
        "-m",
        "hydra/launcher=joblib",
        "hydra.launcher.n_jobs=2",
        "dropout=0.1,0.2",
        "epochs=150",
        "patience=150",
        "steps_per_epoch=1",
    )
    killed, said = False, ""
    for line in sweep.stdout:
        said += line
        if line.startswith("trial 1: "):
            while not (logs := list(project.root.glob("multirun/*/*/0/trial.log"))):
                time.sleep(0.05)
            (log,) = logs
            while "epoch 3/" not in log.read_text():
                time.sleep(0.05)
            os.kill(_process_of(log, sweep.pid), signal.SIGKILL)
            killed = True
        if line.startswith("failed: "):
            assert "(SIGKILL), probably for want of memory" in line
            assert "finished" not in said
    assert killed
    assert sweep.wait(300) == 1, said
    statuses = {name: r.info.status for name, r in _children(project).items()}
    assert sorted(statuses.values()) == ["FAILED", "FINISHED"], said
    assert said.count("\nfailed: ") == 1


def _process_of(log, parent):
    """The child of a process that writes this log."""
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text("utf-8").split():
        for file in Path(f"/proc/{child}/fd").iterdir():
            try:
                if file.readlink() == log:
                    return int(child)
            except FileNotFoundError:
                continue
    raise AssertionError(f"nobody writes {log}")


def test_processes_end_with_a_sweep_that_is_killed(project):
    sweep = project.start(
        "python",
        "-u",
        "-m",
        "pawprint",
        "train",
        "-m",
        "hydra/launcher=joblib",
        "hydra.launcher.n_jobs=1",
        "dropout=0.1,0.2",
        "epochs=2000",
        "patience=2000",
    )
    for line in sweep.stdout:
        if line.startswith("trial 0: "):
            break
    workers = []
    while not workers:
        time.sleep(0.05)
        children = Path(f"/proc/{sweep.pid}/task/{sweep.pid}/children").read_text("utf-8").split()
        command = {int(child): Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
        workers = [child for child, words in command.items() if b"spawn_main" in words]
    (worker,) = workers
    os.kill(sweep.pid, signal.SIGKILL)
    sweep.wait()
    descriptor = None
    try:
        descriptor = os.pidfd_open(worker)
        assert select.select([descriptor], [], [], 300)[0], "the worker lives on"
    except ProcessLookupError:
        pass
    finally:
        if descriptor is not None:
            os.close(descriptor)


def test_a_cluster_that_is_not_there_is_one_sentence(project):
    for words, sentence in (
        (["hydra/launcher=submitit"], "hydra/launcher=submitit cannot submit to slurm"),
        (["hydra/launcher=submitit", "hydra.launcher.cluster=moon"], "hydra.launcher.cluster is"),
        (
            ["hydra/launcher=ray", "hydra.launcher.num_cpus=-1"],
            "hydra.launcher.num_cpus is -1, but",
        ),
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=0"], "hydra.launcher.n_jobs is 0, but"),
        (["hydra/launcher=joblib", "+hydra.launcher.cores=2"], "hydra/launcher=joblib cannot be"),
    ):
        done = project.stage("train", "-m", *words, "depth=1,2", code=1)
        assert f"error: {sentence}" in done.stderr
        assert "Traceback" not in done.stderr
