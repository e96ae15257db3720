"""A tracking server that is away, or goes away."""

import re
import subprocess
import time
from contextlib import contextmanager

import pytest
from servers import free_port, wait_until_it_answers


@contextmanager
def _server(project, folder):
    """A real tracking server on a free port, ended by its process group's id."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    folder.mkdir()
    process = subprocess.Popen(
        [
            *("mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
            *("--backend-store-uri", f"sqlite:///{folder}/server.db"),
            *("--artifacts-destination", str(folder / "artifacts")),
        ],
        env=project.environment(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until_it_answers(f"{address}/health")
        yield address, process
    finally:
        _end(process)


def _end(process):
    import os
    import signal

    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)


@pytest.mark.parametrize("how", ["variable", "choice"])
def test_a_server_that_is_not_there_is_one_sentence_soon(finished, how):
    address = f"http://127.0.0.1:{free_port()}"
    settings = ["tracking=server"] if how == "choice" else []
    begin = time.monotonic()
    done = finished.stage("evaluate", *settings, MLFLOW_TRACKING_URI=address, code=1)
    assert time.monotonic() - begin < 10
    assert re.fullmatch(
        rf"error: the tracking server {address} does not answer \(.*\); start it, or [^\n]*\n",
        done.stderr,
    )


def test_everything_is_recorded_on_a_server(project, tmp_path):
    with _server(project, tmp_path / "server") as (address, _):
        for stage in ("train", "evaluate", "register", "predict"):
            project.stage(stage, "tracking=server", MLFLOW_TRACKING_URI=address)
        from mlflow import MlflowClient

        client = MlflowClient(address, address)
        version = client.get_model_version_by_alias("pawprint", "champion")
        run = client.get_run(version.run_id)
        assert "test_accuracy" in run.data.metrics
        assert client.list_artifacts(run.info.run_id, "figures")
    assert len(project.runs()) == 1  # the project's own store got nothing of this


def test_training_goes_on_without_its_server_and_says_what_was_not_recorded(project, tmp_path):
    with _server(project, tmp_path / "server") as (address, server):
        training = project.start(
            *("python", "-m", "pawprint.train", "epochs=8", "steps_per_epoch=40", "patience=8"),
            MLFLOW_TRACKING_URI=address,
        )
        said = ""
        for line in training.stdout:
            said += line
            if line.startswith("epoch 2/8"):
                _end(server)
        assert training.wait(timeout=120) == 0, said
    assert "epoch 8/8" in said
    told = re.search(rf"not recorded in {address}: metrics of steps (\d) to (\d+)(.*)", said)
    assert told, said
    assert int(told[1]) in (2, 3)
    assert "the model" in told[3]
    assert (project.root / "models/history.csv").read_text().count("\n") == 9
