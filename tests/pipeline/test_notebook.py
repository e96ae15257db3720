"""`docs/notebook.ipynb` runs as it stands, and what it shows is what the commands record."""

import asyncio
import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"

# What a person would not type, asked in the same kernel after the last cell.
CHECKS = {
    "what is recorded is what the command records": """
from pawprint.tracking.recorded import Records
from pawprint.tracking.store import connect

store = connect(None, "pawprint")
recorded = Records(store, "pawprint").read(run.id)
assert recorded.tags["command"].startswith("pawprint train image_size=32 depth=2 augment=light ")
assert recorded.parameters["epochs"] == "10"
assert recorded.metrics["test_accuracy"] == run.metrics["test_accuracy"] == metrics["test_accuracy"]
assert len(run.history) == 10
assert run.history["val_accuracy"].max() == run.metrics["best_val_accuracy"]
""",
    "the champion is the run's network": """
assert (champion.version, champion.run_id) == (1, run.id)
assert run.classifier.predict(image)[0].probabilities == champion.predict(image)[0].probabilities
""",
    "what fits is not prepared again, and a training ends with the button that stops": """
import signal
import threading
import time
from pathlib import Path

def stop():  # in its midst: when it has kept its first epoch
    while not list(Path("models/.checkpoints").glob("*.npz")):
        time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)

before = os.stat("data/prepared/summary.json").st_mtime_ns
threading.Thread(target=stop).start()
try:
    pawprint.train(model="cnn", depth=1, image_size=32, growth="none", epochs=500)
except KeyboardInterrupt:
    pass
else:
    raise AssertionError("not stopped")
assert os.stat("data/prepared/summary.json").st_mtime_ns == before
statuses = [one.info.status for one in store.client.search_runs([store.experiment_id])]
assert sorted(statuses) == ["FINISHED", "KILLED"], statuses
""",
    "what a stage refuses is its sentence": """
try:
    pawprint.train(images="nowhere")
except pawprint.UserError as error:
    assert "nowhere" in str(error) and not str(error).startswith("error"), error
else:
    raise AssertionError("not refused")
""",
    "a run whose network was replaced says so": """
import json

record = Path("models/run.json")
record.write_text(json.dumps(json.loads(record.read_text()) | {"run_id": "other"}))
for call in (run.evaluate, run.register):
    try:
        call()
    except pawprint.UserError as error:
        assert "any more; train it again" in str(error), error
    else:
        raise AssertionError("not refused")
""",
}


def outputs(cell, kind):
    return [out["data"][kind] for out in cell["outputs"] if kind in out.get("data", {})]


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """The notebook after it ran in an empty folder, with the checks behind it."""
    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook["cells"] += [nbformat.v4.new_code_cell(check) for check in CHECKS.values()]
    mine = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "MLFLOW_"))}
    mine |= {
        "PYTHONPATH": str(ROOT / "src"),
        "IPYTHONDIR": str(folder / ".ipython"),
        "JUPYTER_RUNTIME_DIR": str(folder / ".jupyter"),
    }
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    asyncio.run(client.async_execute(env=mine))
    return notebook


def test_the_notebook_runs_and_shows_curves_pictures_and_a_map(notebook):
    by_code = {cell["source"].splitlines()[-1]: cell for cell in notebook["cells"]}
    (curves,) = outputs(by_code["run"], "text/html")
    assert re.search(r'<img src="data:image/png;base64,.{1000,}" .*alt="Accuracy and loss', curves)
    printed = "".join(out.get("text", "") for out in by_code["run"]["outputs"])
    assert "epoch" in printed  # the progress of the training
    (answers,) = outputs(by_code["answers"], "text/html")
    assert answers.count("<img src=") == 12
    (registered,) = outputs(by_code["run.register()"], "text/plain")
    assert registered.startswith("Registered(version=1, champion=True, reason='")
    assert outputs(by_code["champion.explain(image)"], "image/png")


def test_the_notebook_stands_in_git_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
