"""A SQLite store is made whole or not at all, in any folder, and nobody waits for it for long."""

import contextlib
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from pawprint.registry.source import find_network
from pawprint.system.errors import BusyError, UserError
from pawprint.system.lock import locked
from pawprint.tracking.location import sqlite_path, sqlite_uri
from pawprint.tracking.store import connect

KILLED = """
import os, signal, sys
from mlflow.store.db import utils
from pawprint.tracking.store import connect
def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)
utils._upgrade_db = killed
connect(sys.argv[1], "pawprint")
"""
HALF = "CREATE TABLE experiments (experiment_id INTEGER)"


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_kill_while_the_store_is_made_leaves_none_and_the_next_command_makes_it(tmp_path):
    uri = sqlite_uri(tmp_path / "mlflow.db")
    done = subprocess.run([sys.executable, "-c", KILLED, uri], timeout=300, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(names_in(tmp_path)) > 1
    assert "mlflow.db" not in names_in(tmp_path)
    connect(uri, "pawprint").open_run("a run")
    assert names_in(tmp_path) == ["mlflow.db", "mlflow.db.lock"]


@pytest.mark.parametrize("more", ["", "; CREATE TABLE alembic_version (version_num TEXT)"])
def test_a_half_made_store_is_one_sentence_with_the_cure(tmp_path, more):
    path = tmp_path / "mlflow.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript(HALF + more)
    for reach in (
        lambda: connect(sqlite_uri(path), "pawprint"),
        lambda: find_network("models:/pawprint@champion", sqlite_uri(path)),
    ):
        with pytest.raises(UserError, match=f"^the store {path} is half made, because .* remove"):
            reach()
    path.unlink()
    connect(sqlite_uri(path), "pawprint").open_run("a run")


@pytest.mark.parametrize("name", ["100% sure?", "#1: 50%25?uri=false&x"])
def test_a_store_works_in_a_folder_of_any_name(tmp_path, monkeypatch, name):
    folder, elsewhere = tmp_path / name, tmp_path / name / "elsewhere"
    elsewhere.mkdir(parents=True)
    for file in ("dvc.yaml", "params.yaml"):
        (folder / file).touch()
    monkeypatch.chdir(elsewhere)
    path = folder / "mlflow.db"
    uri = sqlite_uri(path)
    assert sqlite_path(uri) == path
    for kind in ("TRACKING", "REGISTRY"):  # MLflow sets them for the whole process
        monkeypatch.setenv(f"MLFLOW_{kind}_URI", uri)
    store = connect(uri, "pawprint")
    run = store.open_run("a run")
    run.log_metrics({"accuracy": 0.5})
    assert run.metrics == {"accuracy": 0.5}
    network = folder / "a model" / "model.onnx"
    network.parent.mkdir()
    network.write_bytes(b"a network")
    store.client.create_registered_model("pawprint")
    store.client.create_model_version("pawprint", network.parent.as_uri())
    assert find_network("models:/pawprint/1", uri).network == network
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT name FROM registered_models").fetchall() == [("pawprint",)]
        (place,) = database.execute("SELECT artifact_location FROM experiments").fetchone()
    assert place == (folder / "mlruns" / "0").as_uri()
    assert names_in(tmp_path) == [name]
    assert names_in(elsewhere) == []


def test_a_store_that_another_process_keeps_locked_is_told_at_once_after_the_first_time(
    tmp_path, caplog
):
    store = connect(sqlite_uri(tmp_path / "mlflow.db"), "pawprint")
    run = store.open_run("a run")
    run._answered = False  # the first time takes MLflow's own 20 seconds
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        begin = time.monotonic()
        run.set_tags({"a": "b"})
        assert time.monotonic() - begin < 15
    run.tell_missed()
    assert "not recorded in" in caplog.text
    run.set_tags({"a": "b"})
    assert run.tags["a"] == "b"


def test_who_opens_a_store_for_long_is_told_to_those_who_wait(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr("pawprint.tracking.store.OPENING_SECONDS", 0.4)
    monkeypatch.setattr("pawprint.system.lock._QUIET_SECONDS", 0.1)
    path = tmp_path / "mlflow.db"
    with (
        locked(tmp_path / "mlflow.db.lock", busy=""),
        pytest.raises(BusyError, match=f"^another process is opening the store {path}; wait"),
    ):
        connect(sqlite_uri(path), "pawprint")
    assert "is opening the store" in caplog.text


def test_each_project_of_a_process_has_a_store_of_its_own(tmp_path, monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)
    for project in (tmp_path / "flowers", tmp_path / "fruit"):
        project.mkdir()
        for file in ("dvc.yaml", "params.yaml"):
            (project / file).touch()
        monkeypatch.chdir(project)
        store = connect(None, "pawprint")
        assert store.uri == sqlite_uri(project / "mlflow.db")
        assert list(store.search("")) == []
        store.open_run("a run")
