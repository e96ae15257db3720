"""The answers of the server: the predictor's, whatever form the pictures come in."""

import base64
import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from web_server import NAMES, picture, serving, write_network

from pawprint.data.decode import read_picture
from pawprint.inference.batch_prediction import classify
from pawprint.inference.prediction_log import PredictionLog, log_predictions
from pawprint.inference.predictor import Predictor
from pawprint.registry.source import find_network
from pawprint.server.model import WatchedModel
from pawprint.server.schemas import ModelFacts, Predictions


def figures(row):
    return [row["probabilities"][name] for name in NAMES]


def expected(network, files):
    return Predictor(network).probabilities(np.stack([read_picture(f, 8) for f in files]))


def test_a_picture_gets_the_predictors_probabilities(served, network):
    content = picture(1)
    response = served.send(("cat.jpg", content))
    assert response.status_code == 200
    (row,) = response.json()["predictions"]
    np.testing.assert_allclose(figures(row), expected(network, [content])[0], rtol=0, atol=1e-6)
    assert row["name"] == "cat.jpg"
    assert row["label"] == NAMES[int(np.argmax(figures(row)))]
    assert row["probability"] == max(figures(row))


def test_several_files_are_answered_in_their_order(served, network):
    files = [picture(seed) for seed in range(4)]
    rows = served.send(*files).json()["predictions"]
    assert [row["name"] for row in rows] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    np.testing.assert_allclose(
        [figures(row) for row in rows], expected(network, files), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("prefix", ["", "data:image/jpeg;base64,"], ids=["base64", "data URL"])
def test_base64_is_answered_as_a_file_is(served, prefix):
    files = [picture(seed) for seed in range(3)]
    texts = [prefix + base64.b64encode(file).decode() for file in files]
    as_json = served.post(json={"pictures": texts}).json()["predictions"]
    as_files = served.send(*files).json()["predictions"]
    assert [figures(row) for row in as_json] == [figures(row) for row in as_files]
    assert as_json[0]["name"] == "picture 1"


def test_the_field_may_be_called_file_and_others_are_passed_over(served):
    content = picture(1)
    response = served.post(
        files=[("file", ("a.jpg", content)), ("note", ("b.jpg", content))], data={"words": "hello"}
    )
    assert [row["name"] for row in response.json()["predictions"]] == ["a.jpg"]


def test_many_clients_at_once_get_each_their_own_answer(served, network):
    files = [picture(seed) for seed in range(60)]
    with ThreadPoolExecutor(16) as pool:
        responses = list(pool.map(served.send, files))
    rows = [response.json()["predictions"][0] for response in responses]
    np.testing.assert_allclose(
        [figures(row) for row in rows], expected(network, files), rtol=0, atol=1e-6
    )


def test_a_file_that_is_no_picture_has_a_problem_and_the_others_their_answer(served):
    response = served.send(("notes.txt", b"hello"), ("cat.jpg", picture(1)))
    assert response.status_code == 200
    bad, good = response.json()["predictions"]
    assert bad == {"name": "notes.txt", "problem": "is not a picture"}
    assert good["label"] in NAMES


@pytest.mark.parametrize(
    ("content", "status", "sentence"),
    [
        (b"hello", 415, "a.jpg is not a picture"),
        (b"", 422, "a.jpg is empty (0 bytes)"),
        (picture(1, (200, 200))[:2000], 422, "a.jpg is truncated"),
    ],
)
def test_one_file_that_is_no_picture_is_refused_in_a_sentence(served, content, status, sentence):
    response = served.send(("a.jpg", content))
    assert (response.status_code, response.json()["error"]) == (status, sentence)


def test_where_no_file_is_a_picture_the_request_is_refused(served):
    response = served.send(("a.txt", b"hello"), ("b.txt", b""))
    assert response.status_code == 422
    assert response.json()["error"].startswith("none of 2 files is a picture: a.txt")
    assert len(response.json()["predictions"]) == 2


def test_on_wish_the_answer_tells_where_the_model_looked(served):
    left = np.zeros((60, 60, 3), np.uint8)
    left[:, :30, 0] = 255  # red speaks for the map's class
    content = io.BytesIO()
    Image.fromarray(left).save(content, "PNG")
    (row,) = served.send(content.getvalue(), query="?maps=true").json()["predictions"]
    png = base64.b64decode(row["map"].removeprefix("data:image/png;base64,"))
    drawn = np.asarray(Image.open(io.BytesIO(png)))
    assert drawn.shape[2] == 4
    half = drawn.shape[1] // 2
    assert drawn[:, : half - 8, 3].min() > 150
    assert drawn[:, half + 8 :, 3].max() == 0
    assert "map" not in served.send(content.getvalue()).json()["predictions"][0]


def test_a_network_without_maps_answers_without_them(tmp_path):
    network = write_network(tmp_path / "model.onnx", maps=False)
    with serving(WatchedModel(str(network))) as server:
        response = server.send(picture(1), query="?maps=true")
        assert response.status_code == 200
        assert "map" not in response.json()["predictions"][0]


def test_below_the_threshold_the_label_is_not_sure(tmp_path):
    points = json.dumps([[0.5, 0.8, 0.9], [0.999999, 0.95, 0.1]])
    network = write_network(tmp_path / "model.onnx", temperature="1.0", sure_points=points)
    with serving(WatchedModel(str(network), sure_precision=0.9)) as server:
        (row,) = server.send(picture(1)).json()["predictions"]
        assert row["label"] == "not sure"
        assert server.get("model").json()["threshold"] == 0.999999


def test_answers_have_the_form_that_the_description_promises(served):
    for response in (
        served.send(picture(1), b"hello", query="?maps=true"),
        served.send(b"hello"),
    ):
        Predictions.model_validate_json(response.content)
    ModelFacts.model_validate_json(served.get("model").content)


def test_health_and_model_tell_who_answers(served, network):
    note = f"{network} is not known as the champion: it has no record of `pawprint register`"
    healthy = {"status": "ok", "model": str(network), "notes": [note], "problem": None}
    assert served.get("health").json() == healthy
    facts = served.get("model").json()
    assert facts["class_names"] == NAMES
    assert (facts["image_size"], facts["resize"], facts["threshold"]) == (8, "squash", 0.0)
    assert facts["version"] is None


def test_what_is_seen_is_logged_as_the_command_logs_it(network, tmp_path):
    files = []
    for seed in range(3):
        path = tmp_path / f"{seed}.jpg"
        path.write_bytes(picture(seed, (30 + seed, 20)))
        files.append(str(path))
    predictor, source = Predictor(network), find_network(str(network), None)
    by_command, by_server = (
        PredictionLog(tmp_path / "command.log"),
        PredictionLog(tmp_path / "server.log"),
    )
    list(
        log_predictions(
            classify(files, predictor, measure=True), by_command, source.name, source.run_id
        )
    )
    with serving(WatchedModel(str(network)), seen=by_server) as server:
        server.send(*[Path(file).read_bytes() for file in files], b"no picture")
    logs = [log.path.read_text().splitlines() for log in (by_command, by_server)]
    told = [[json.loads(line) | {"time": None} for line in lines] for lines in logs]
    assert told[0] == told[1]
    assert [(row["width"], row["height"]) for row in told[0]] == [(30, 20), (31, 20), (32, 20)]
    assert {row["model"] for row in told[0]} == {str(network)}
