"""A training that is killed goes on when the same command is given again."""

import io
import signal
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from pawprint.data.store import load_split

CURVES = ("accuracy", "loss", "val_accuracy", "val_loss", "learning_rate")
SETTINGS = ("epochs=5", "augment=strong", "optimizer=muon", "model=resnet", "ema=0.1")
COMMAND = ("python", "-m", "pawprint", "train", *SETTINGS)


@pytest.fixture(scope="module")
def prepared(fresh, tmp_path_factory):
    """A project with prepared pictures, for reading only."""
    project = fresh.copy(tmp_path_factory.mktemp("prepared") / "project")
    project.stage("prepare")
    return project


def _stop(project, mark, sent):
    """Start the training and send it a signal once it says this; returns exit code and output."""
    training = project.start(*COMMAND)
    lines = []
    for line in training.stdout:
        lines.append(line)
        if line.startswith(mark):
            training.send_signal(sent)
            break
    rest, _ = training.communicate(timeout=300)
    return training.returncode, "".join(lines) + rest


def _weights(project):
    with zipfile.ZipFile(project.root / "models" / "model.keras") as file:
        weights = h5py.File(io.BytesIO(file.read("model.weights.h5")))
    found = {}

    def note(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = item[...]

    weights.visititems(note)
    return found


def _curves(project):
    client = project.client()
    (run,) = project.runs()
    assert run.info.status == "FINISHED"
    histories = {name: client.get_metric_history(run.info.run_id, name) for name in CURVES}
    return {name: [(m.step, m.value) for m in found] for name, found in histories.items()}


def test_killed_and_stopped_it_ends_as_an_undisturbed_training(prepared, tmp_path):
    undisturbed, disturbed = (prepared.copy(tmp_path / name) for name in ("one", "other"))
    undisturbed.run(*COMMAND)
    for mark in ("training ", "epoch 1/"):
        code, said = _stop(disturbed, mark, signal.SIGKILL)
        assert code == -signal.SIGKILL
    code, said = _stop(disturbed, "epoch 2/", signal.SIGTERM)
    assert code == 143, said
    assert "going on after epoch" in said
    assert "epoch 1/5" not in said
    assert "the same command goes on with this training" in said
    assert "Traceback" not in said
    done = disturbed.run(*COMMAND)
    assert "going on after" in done.stdout
    history = "models/history.csv"
    assert (disturbed.root / history).read_bytes() == (undisturbed.root / history).read_bytes()
    ours, theirs = _weights(disturbed), _weights(undisturbed)
    assert ours.keys() == theirs.keys()
    assert len(theirs) > 10
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    assert _curves(disturbed) == _curves(undisturbed)
    assert not list((disturbed.root / "models" / ".checkpoints").iterdir())


def test_another_training_does_not_go_on_from_it_and_leaves_it_alone(prepared, tmp_path):
    project = prepared.copy(tmp_path / "project")
    _stop(project, "epoch 2/", signal.SIGKILL)
    (saved,) = (project.root / "models" / ".checkpoints").glob("*.npz")

    def train_anew(*settings):
        done = project.stage("train", *SETTINGS, *settings)
        assert "going on" not in done.stdout
        assert "epoch 1/5" in done.stdout
        assert saved.exists()

    train_anew("dropout=0.3")
    split = Path(load_split(project.root / "data" / "prepared", "train").paths[0]).parent
    one, other = sorted((project.root / "pictures" / split).iterdir())[:2]
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())  # the same pictures, in another order
    other.write_bytes(kept)
    project.stage("prepare")
    train_anew()
    project.edit(
        "src/pawprint/models/convolutional.py", "\ndef resnet(", "\n# Other code.\ndef resnet("
    )
    train_anew()


def test_killed_while_it_exports_it_leaves_all_files_of_the_last_training(prepared, tmp_path):
    project = prepared.copy(tmp_path / "project")
    models = project.root / "models"

    def files():
        return {path.name: path.read_bytes() for path in models.iterdir() if path.is_file()}

    project.stage("train", "epochs=1")
    before = files()
    assert set(before) == {"history.csv", "model.keras", "model.onnx", "run.json"}
    training = project.start("python", "-m", "pawprint", "train", "epochs=1", "seed=1")
    while not list(models.glob("*.tmp.onnx")):
        assert training.poll() is None
        time.sleep(0.01)
    training.kill()
    training.communicate()
    assert {name: content for name, content in files().items() if ".tmp" not in name} == before
    project.stage("train", "epochs=1", "seed=1")
    assert not before.items() & files().items()


def test_two_processes_never_have_the_same_training(prepared, tmp_path):
    project = prepared.copy(tmp_path / "project")
    settings = [*SETTINGS, "epochs=500"]  # so many that it runs until it is killed
    training = project.start("python", "-m", "pawprint", "train", *settings)
    try:
        for line in training.stdout:
            if line.startswith("training "):
                break
        refused = project.stage("train", *settings, code=1)
    finally:
        training.kill()
        training.communicate()
    assert refused.stderr == (
        "error: the same training runs in another process; wait until it has ended, or change a "
        "parameter\n"
    )
    assert len(project.runs()) == 1


def test_a_loss_that_is_not_a_number_leaves_the_best_weights_before(prepared, tmp_path):
    project = prepared.copy(tmp_path / "project")
    # The warm-up begins at zero: the first epoch, of one step, is harmless.
    settings = ("optimizer=sgd", "learning_rate=1e38", "steps_per_epoch=1", "epochs=9")
    done = project.stage("train", *settings, "schedule.warmup_fraction=0.9", code=1)
    assert done.stderr.startswith("error: the ")
    assert "learning rate" in done.stderr
    assert "try a lower learning_rate" in done.stderr
    assert "last_good.keras" in done.stderr
    assert done.stderr.count("\n") == 1
    assert (project.root / "models" / "last_good.keras").is_file()
    (run,) = project.runs()
    assert run.info.status == "FAILED"
    recorded = [file.path for file in project.client().list_artifacts(run.info.run_id)]
    assert "last_good.keras" in recorded
    project.stage("train", "epochs=1")
    assert not (project.root / "models" / "last_good.keras").exists()
