"""The registered champion, asked by MLflow's own ways, answers as the network itself does."""

import base64
import json
import os
import signal
import subprocess
import urllib.request
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from servers import free_port, wait_until_it_answers

from pawprint.inference.predictor import Predictor

CHAMPION = "models:/pawprint@champion"
COLUMNS = ["label", "probability", "cats", "dogs", "problem"]


@pytest.fixture(scope="module")
def files(finished):
    return sorted((finished.root / "unseen").iterdir())


@pytest.fixture(scope="module")
def rows(finished, files):
    """The table's rows of ``files`` by the network itself, without MLflow."""
    predictor = Predictor(finished.root / "models/model.onnx")
    answers = predictor.probabilities(np.stack([predictor.read(path) for path in files]))
    names = np.array(predictor.class_names)[answers.argmax(axis=1)]
    return [
        dict(zip(COLUMNS, [name, max(row), *row, ""], strict=True))
        for name, row in zip(names.tolist(), answers.tolist(), strict=True)
    ]


@pytest.fixture
def model(finished):
    mlflow.set_tracking_uri(f"sqlite:///{finished.root / 'mlflow.db'}")
    mlflow.set_registry_uri(mlflow.get_tracking_uri())  # not that of an earlier test
    return mlflow.pyfunc.load_model(CHAMPION)


def text(path):
    return base64.b64encode(path.read_bytes()).decode()


CELLS = {
    "bytes": lambda path: path.read_bytes(),
    "base64": text,
    "path": str,
    "Pillow image": Image.open,
    "array": lambda path: np.asarray(Image.open(path)),
}
FORMS = {
    "a table": lambda cells: pd.DataFrame({"image": pd.Series(cells, dtype=object)}),
    "a table of another name": lambda cells: pd.DataFrame({"x": pd.Series(cells, dtype=object)}),
    "a series": lambda cells: pd.Series(cells, dtype=object),
    "a list": list,
}


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("form", FORMS)
def test_a_loaded_model_takes_bytes_text_and_paths_in_any_form(model, files, rows, form, cell):
    answers = model.predict(FORMS[form]([CELLS[cell](path) for path in files]))
    assert answers.to_dict(orient="records") == rows


def test_a_loaded_model_takes_one_array_of_all_pictures(model, files, rows):
    pixels = np.stack([np.asarray(Image.open(path)) for path in files])
    assert model.predict(pixels).to_dict(orient="records") == rows


def test_the_input_example_is_a_picture_of_which_the_signature_tells(model):
    (answer,) = model.predict(model.input_example).to_dict(orient="records")
    assert list(answer) == COLUMNS == model.metadata.get_output_schema().input_names()
    assert answer["problem"] == ""
    assert [p.name for p in model.metadata.get_params_schema()] == [
        "sure_precision",
        "threshold",
    ]
    with pytest.raises(Exception, match=r"sure_precision is 0\.9, but"):  # too few pictures for any
        model.predict(model.input_example, params={"sure_precision": 0.9})


def test_the_models_folder_holds_the_networks_file_and_little_else(finished, model):
    folder = Path(mlflow.artifacts.download_artifacts(CHAMPION))
    network = (finished.root / "models/model.onnx").read_bytes()
    assert (folder / "model.onnx").read_bytes() == network
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    size = sum(path.stat().st_size for path in files)
    assert size < len(network) + 100_000
    names = [output.name for output in mlflow.onnx.load_model(str(folder)).graph.output]
    assert names == ["probabilities"]


def test_a_loaded_model_leaves_the_installed_pawprint_alone(finished):
    program = (
        f"import mlflow; mlflow.pyfunc.load_model('{CHAMPION}'); import pawprint.cli\n"
        "print(pawprint.__file__)"
    )
    done = finished.run("python", "-c", program)
    assert done.stdout.splitlines()[-1] == f"{finished.root}/src/pawprint/__init__.py"


def test_a_model_answers_where_pawprint_is_not_installed(finished, files, rows, tmp_path):
    absent = ("pawprint", "tensorflow", "keras", "onnx", "cv2", "hydra", "dvc")
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({absent}))\n"
        f"import mlflow; model = mlflow.pyfunc.load_model('{CHAMPION}')\n"
        "print(model.predict(sys.argv[1:]).to_json(orient='records', double_precision=15))"
    )
    store = f"sqlite:///{finished.root / 'mlflow.db'}"
    names = map(str, files)
    command = ("python", "-c", program, *names)
    done = finished.run(*command, cwd=tmp_path, MLFLOW_TRACKING_URI=store, PYTHONPATH="")
    same(json.loads(done.stdout.splitlines()[-1]), rows)


def same(answers, rows):
    assert [list(answer) for answer in answers] == [COLUMNS] * len(rows)
    for answer, row in zip(answers, rows, strict=True):
        assert (answer["label"], answer["problem"]) == (row["label"], "")
        for name in COLUMNS[1:-1]:
            assert answer[name] == pytest.approx(row[name], abs=1e-6)


# From the command line


def test_mlflow_models_predict_takes_a_table_of_paths_and_text(finished, files, rows, tmp_path):
    cells = [str(files[0]), *map(text, files[1:])]
    pd.DataFrame({"image": cells}).to_csv(tmp_path / "pictures.csv", index=False)
    done = finished.run(
        "mlflow",
        "models",
        "predict",
        "-m",
        CHAMPION,
        "--env-manager",
        "local",
        "-t",
        "csv",
        "-i",
        str(tmp_path / "pictures.csv"),
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("{"))
    same(json.loads(line)["predictions"], rows)


# Over HTTP


@pytest.fixture(scope="module")
def ask(finished):
    """A function that posts to `mlflow models serve` and returns the predictions."""
    port = str(free_port())
    process = subprocess.Popen(
        ("mlflow", "models", "serve", "-m", CHAMPION, "--env-manager", "local", "--port", port),
        cwd=finished.root,
        env=finished.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def post(body):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=300) as response:
            return json.loads(response.read(), parse_constant=pytest.fail)["predictions"]

    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}/ping")
        yield post
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=300)


def test_mlflow_models_serve_answers_pictures_in_all_its_forms(ask, files, rows):
    cells = [*map(text, files)]
    url = [f"data:image/png;base64,{cell}" for cell in cells]
    for body in (
        {"inputs": cells},
        {"instances": cells},
        {"inputs": url},
        {"dataframe_split": {"columns": ["image"], "data": [[cell] for cell in cells]}},
        {"dataframe_records": [{"image": cell} for cell in cells]},
        {"inputs": cells, "params": {"sure_precision": 0, "threshold": 0.01}},
    ):
        same(ask(body), rows)


def test_mlflow_models_serve_reads_no_file_of_its_machine(ask, files, rows):
    cells = [str(files[0]), "unseen/000.png", text(files[0])]
    *refused, answered = ask({"inputs": cells})
    nothing = dict.fromkeys(COLUMNS[1:-1])
    told = {"label": "", **nothing, "problem": "is not base64 (paths are not read here)"}
    assert refused == [told, told]
    same([answered], rows[:1])
