"""The champion gives a picture the same probabilities wherever it is asked."""

import base64
import csv
import importlib.util
import io
import json
import re
import shutil

import numpy as np
import pytest
import requests

from pawprint.data.decode import read_picture
from pawprint.export.litert_predictor import LiteRTPredictor

CHAMPION = "models:/pawprint@champion"
CLASSES = ["cats", "dogs"]


@pytest.fixture(scope="module")
def folder(texture, tmp_path_factory):
    """Pictures that careless readers read differently: turned, CMYK, palette, 16 bits, moving."""
    folder = tmp_path_factory.mktemp("pictures")
    painted = [texture(seed, (160, 120)) for seed in range(7)]
    painted[0].save(folder / "a.jpg", quality=90)
    turned = painted[1].getexif()
    turned[0x0112] = 6
    painted[1].save(folder / "b turned.jpg", exif=turned)
    painted[2].convert("CMYK").save(folder / "c.jpg")
    painted[3].quantize(16).save(folder / "d.png", transparency=3)
    grey = np.asarray(painted[4].convert("L")).astype(np.uint16) * 257
    (folder / "e.pgm").write_bytes(b"P5 160 120 65535\n" + grey.astype(">u2").tobytes())
    painted[5].save(folder / "f.gif", save_all=True, append_images=painted[:2])
    painted[6].save(folder / "g.webp", quality=90)
    return folder


@pytest.fixture(scope="module")
def files(folder):
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def asked(finished, folder, tmp_path_factory):
    """A project that predicted those pictures, and wrote its network for phones."""
    project = finished.copy(tmp_path_factory.mktemp("asked") / "project")
    project.edit("params.yaml", "predict_images: unseen", f"predict_images: {folder}")
    assert project.repro() == ["sample", "predict"]
    return project


@pytest.fixture(scope="module")
def expected(asked, files):
    """Probabilities (pictures, classes) by the stage of the pipeline."""
    answers = table((asked.root / "reports/predict/predictions.csv").read_text())
    assert answers.shape == (len(files), 2)
    assert np.ptp(answers[:, 0]) > 0.05  # of pictures that are told apart
    return answers


def table(text):
    return in_order(csv.DictReader(io.StringIO(text)))


def in_order(rows):
    return np.array([[float(row[name]) for name in CLASSES] for row in rows])


def test_the_command_line(asked, files, expected):
    words = ("python", "-m", "pawprint", "predict", "--csv")
    answers = table(asked.run(*words, *map(str, files)).stdout)
    assert answers == pytest.approx(expected, abs=1e-6)
    alone = [table(asked.run(*words, str(path)).stdout)[0] for path in files[:3]]
    assert np.array(alone) == pytest.approx(expected[:3], abs=1e-6)


@pytest.mark.parametrize("cell", ["bytes", "base64", "path"])
def test_mlflow_s_pyfunc(asked, files, expected, cell):
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{asked.root / 'mlflow.db'}")
    mlflow.set_registry_uri(mlflow.get_tracking_uri())  # not that of an earlier test
    cells = {
        "bytes": [path.read_bytes() for path in files],
        "base64": [base64.b64encode(path.read_bytes()).decode() for path in files],
        "path": [str(path) for path in files],
    }[cell]
    answers = mlflow.pyfunc.load_model(CHAMPION).predict(cells)
    assert answers[CLASSES].to_numpy() == pytest.approx(expected, abs=1e-6)


@pytest.fixture(scope="module")
def address(asked):
    """Where `pawprint serve` answers."""
    server = asked.start("python", "-m", "pawprint", "serve", "--port", "0")
    try:
        yield re.search(r"http://\S+/", server.stdout.readline())[0]
    finally:
        server.terminate()
        server.communicate(timeout=300)


def test_the_server_s_forms_and_json(address, files, expected):
    form = [("files", (path.name, path.read_bytes())) for path in files]
    texts = [base64.b64encode(path.read_bytes()).decode() for path in files]
    for body in ({"files": form}, {"json": {"pictures": texts}}):
        rows = requests.post(f"{address}predict", timeout=300, **body).json()["predictions"]
        answers = in_order(row["probabilities"] for row in rows)
        assert answers == pytest.approx(expected, abs=1e-6)


def test_the_page_in_a_browser(address, chromium, files, expected):
    from selenium.webdriver.support.ui import WebDriverWait

    chromium.get(address)
    chromium.find_element("id", "files").send_keys("\n".join(map(str, files)))
    answered = "#answers .answer:not(.waiting)"
    WebDriverWait(chromium, 120).until(
        lambda _: len(chromium.find_elements("css selector", answered)) == len(files)
    )
    shown = {}
    for card in chromium.find_elements("css selector", answered):
        rows = [row.text.split("\n")[0] for row in card.find_elements("css selector", ".shares li")]
        numbers = card.find_elements("css selector", ".shares .number")
        values = [number.get_attribute("title") for number in numbers]
        name = card.find_element("css selector", ".name").text
        shown[name] = dict(zip(rows, values, strict=True))
    answers = in_order(shown[path.name] for path in files)
    assert answers == pytest.approx(expected, abs=1e-6)


def test_a_phone_s_network(asked, files, expected):
    pytest.importorskip("ai_edge_litert", reason="takes pawprint-classifier[litert]")
    asked.stage("litert")
    network = LiteRTPredictor(asked.root / "models/litert/model_float16.tflite")
    squares = [read_picture(path, network.image_size, network.resize) for path in files]
    assert network.probabilities(np.stack(squares)) == pytest.approx(expected, abs=1e-2)


SPARK = f"""
import sys, json, mlflow
from pyspark.sql import SparkSession
builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
builder = builder.config("spark.driver.host", "127.0.0.1")
spark = builder.config("spark.driver.bindAddress", "127.0.0.1").getOrCreate()
classify = mlflow.pyfunc.spark_udf(spark, "{CHAMPION}", env_manager="local")
pictures = spark.read.format("binaryFile").load(sys.argv[1]).coalesce(1)  # one batch
answers = pictures.select("path", classify("content").alias("answer")).collect()
spark.stop()
print(json.dumps([row.answer.asDict() for row in sorted(answers, key=lambda row: row.path)]))
"""
QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # to start, of a JVM


@pytest.mark.skipif(
    importlib.util.find_spec("pyspark") is None or shutil.which("java") is None,
    reason="Spark needs pyspark and Java: make test-spark",
)
def test_spark_on_a_column_of_bytes(asked, folder, expected, tmp_path):
    shutil.copytree(folder, tmp_path / "pictures")
    (tmp_path / "pictures/z.png").write_text("hello")
    words = ("python", "-c", SPARK, str(tmp_path / "pictures"))
    done = asked.run(*words, JAVA_TOOL_OPTIONS=QUICK)
    *rows, bad = json.loads(done.stdout.splitlines()[-1])
    assert in_order(rows) == pytest.approx(expected, abs=1e-6)
    assert {row["problem"] for row in rows} == {""}
    nothing = dict.fromkeys(["probability", *CLASSES])
    assert bad == {"label": "", **nothing, "problem": "is not a picture"}
