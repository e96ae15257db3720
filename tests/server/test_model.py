"""Who answers: the champion, also when another network becomes it."""

import hashlib
import json
import logging
import os
import threading
import time

import numpy as np
import pytest
import requests
from web_server import NAMES, Registry, picture, serving, write_network

from pawprint.data.decode import read_picture
from pawprint.inference.predictor import Predictor
from pawprint.registry import source
from pawprint.registry.source import record_file
from pawprint.server.model import WatchedModel
from pawprint.system.errors import UserError

CHAMPION = "models:/colours@champion"


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path)


def eventually(true, seconds=10):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def answered(server, seed=1):
    response = server.send(picture(seed))
    assert response.status_code == 200
    content = response.json()
    return content["version"], [content["predictions"][0]["probabilities"][n] for n in NAMES]


def test_the_champion_answers_and_its_facts_are_told(registry):
    version, _ = registry.add()
    with serving(WatchedModel(CHAMPION, registry.uri)) as server:
        assert answered(server)[0] == version
        facts = server.get("model").json()
        assert facts["name"] == "colours version 1"
        assert (facts["test_accuracy"], facts["test_accuracy_low"]) == (0.9, 0.88)
        assert (facts["run_id"], facts["data_digest"]) == ("r" * 32, "d" * 64)


def test_a_new_champion_answers_soon_and_no_request_fails_meanwhile(registry):
    _, first = registry.add(strength=1)
    networks = {1: first}
    results, wrong, stop = [], [], threading.Event()
    with serving(WatchedModel(CHAMPION, registry.uri)) as server:  # with the usual pauses

        def ask():
            with requests.Session() as session:
                while not stop.is_set():
                    form = [("files", ("a.jpg", picture(1)))]
                    response = session.post(server.address + "predict", files=form, timeout=30)
                    if response.status_code != 200:
                        wrong.append(response.text)
                        continue
                    row = response.json()
                    answer = [row["predictions"][0]["probabilities"][n] for n in NAMES]
                    results.append((row["version"], answer))

        clients = [threading.Thread(target=ask) for _ in range(4)]
        for client in clients:
            client.start()
        try:
            for strength in (2, 3):
                version, networks[version] = registry.add(strength=strength)
                eventually(lambda now=version: results and results[-1][0] == now, seconds=10)
        finally:
            stop.set()
            for client in clients:
                client.join()
    assert not wrong
    assert {version for version, _ in results} == {1, 2, 3}
    pixels = read_picture(picture(1), 8)[np.newaxis]
    right = {v: Predictor(path).probabilities(pixels)[0] for v, path in networks.items()}
    for version, answer in results:  # each by the network that it says
        np.testing.assert_allclose(answer, right[version], rtol=0, atol=1e-6)


def test_a_champion_of_other_classes_and_size_of_batches_takes_over(registry):
    registry.add()
    with serving(WatchedModel(CHAMPION, registry.uri, seconds=0.05)) as server:
        registry.add(names=["red", "green", "blue"], resize="crop")
        eventually(lambda: server.get("model").json()["class_names"][0] == "red")
        row = server.send(picture(1)).json()["predictions"][0]
        assert set(row["probabilities"]) == {"red", "green", "blue"}


@pytest.mark.parametrize("harm", ["gone", "broken", "unfit", "nobody"])
def test_a_champion_that_cannot_answer_leaves_the_old_one_and_is_told_once(registry, caplog, harm):
    registry.add()
    caplog.set_level(logging.WARNING, "pawprint")
    with serving(WatchedModel(CHAMPION, registry.uri, seconds=0.05)) as server:
        names = NAMES[:2] if harm == "unfit" else NAMES
        version, path = registry.add(crown=False, names=names)
        if harm == "gone":
            path.unlink()
        elif harm == "broken":
            path.write_bytes(b"no network")
        if harm == "nobody":
            registry.client.delete_registered_model_alias("colours", "champion")
        else:
            registry.crown(version)
        eventually(lambda: "goes on answering" in caplog.text)
        time.sleep(0.5)
        assert caplog.text.count("colours version 1 goes on answering") == 1
        assert answered(server)[0] == 1
        problem = server.get("health").json()["problem"]
        assert f"goes on answering: {problem}" in caplog.text
        assert harm != "unfit" or "class_names are 2, but it gives 3 probabilities" in problem
        version, _ = registry.add()
        eventually(lambda: answered(server)[0] == version)


def test_a_store_that_goes_away_leaves_the_champion(registry, caplog):
    registry.add()
    database = registry.folder / "mlflow.db"
    with serving(WatchedModel(CHAMPION, registry.uri, seconds=0.05)) as server:
        database.rename(registry.folder / "away.db")
        eventually(lambda: "goes on answering" in caplog.text, seconds=10)
        assert not database.exists()
        assert answered(server)[0] == 1
        assert "\npawprint_champion_looked_up 0.0\n" in server.get("metrics").text
        (registry.folder / "away.db").rename(database)
        version, _ = registry.add()
        eventually(lambda: answered(server)[0] == version)
        eventually(lambda: "pawprint_champion_looked_up 1.0" in server.get("metrics").text)


def test_the_same_version_of_another_run_takes_over(registry, tmp_path):
    registry.add()
    with serving(WatchedModel(CHAMPION, registry.uri, seconds=0.05)) as server:
        (tmp_path / "again").mkdir()
        again = Registry(tmp_path / "again")
        assert again.add(run_id="s" * 32)[0] == 1
        os.replace(tmp_path / "again" / "mlflow.db", tmp_path / "mlflow.db")
        eventually(lambda: server.get("model").json()["run_id"] == "s" * 32)


def test_without_a_champion_there_is_a_sentence(registry):
    registry.add(crown=False)
    with pytest.raises(UserError, match="no champion of colours is registered"):
        WatchedModel(CHAMPION, registry.uri)


def test_the_champion_s_file_stands_in_until_the_store_has_one(tmp_path, monkeypatch, caplog):
    network = write_network(tmp_path / "models/champion/model.onnx")
    digest = hashlib.sha256(network.read_bytes()).hexdigest()
    record = {"model": "colours", "version": 7, "champion": 7, "run_id": "r", "network": digest}
    record_file(network).write_text(json.dumps(record))
    (tmp_path / "data/prepared").mkdir(parents=True)
    (tmp_path / "data/prepared/summary.json").write_text('{"class_names": ["cats", "dogs"]}')
    monkeypatch.setattr(source, "find_project", lambda: tmp_path)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with serving(WatchedModel(CHAMPION, uri, seconds=0.05)) as server:
        health = server.get("health").json()
        assert health["model"] == "colours version 7"
        assert health["notes"] == [
            f"no champion of colours is registered in {uri}; the answers are of {network}, "
            "colours version 7",
            f"colours version 7 has other classes than the pictures in {tmp_path}/data/prepared: "
            "they have no newts; `dvc repro` takes a network of theirs to the gate, and `pawprint "
            "register gate=always` makes one champion that was kept back",
        ]
        assert caplog.messages == server.get("model").json()["notes"] == health["notes"]
        time.sleep(0.3)
        assert len(caplog.messages) == 2  # once, not at each look
        version, _ = Registry(tmp_path).add(names=["cats", "dogs", "dogs 2"])
        eventually(lambda: server.get("health").json()["model"] == f"colours version {version}")
        assert len(server.get("health").json()["notes"]) == 1


def test_a_version_by_its_number_stays(registry):
    registry.add()
    with serving(WatchedModel("models:/colours/1", registry.uri, seconds=0.05)) as server:
        registry.add()
        time.sleep(0.3)
        assert answered(server)[0] == 1


def test_maps_and_answers_come_from_the_bytes_that_were_read_first(tmp_path):
    network = write_network(tmp_path / "model.onnx")
    with serving(WatchedModel(str(network))) as server:
        network.write_bytes(b"no network")
        (row,) = server.send(picture(1), query="?maps=true").json()["predictions"]
        assert row["map"].startswith("data:image/png")


@pytest.mark.parametrize("how", ["overwritten", "replaced"])
def test_a_file_that_is_another_network_now_is_seen(tmp_path, caplog, how):
    network = write_network(tmp_path / "model.onnx")
    with serving(WatchedModel(str(network), seconds=0.05)) as server:
        first = answered(server)[1]
        if how == "overwritten":
            write_network(network, strength=3)
        else:
            os.replace(write_network(tmp_path / "new.onnx", strength=3), network)
        eventually(lambda: answered(server)[1] != first)
        eventually(lambda: f"{network} answers now" in caplog.text)
        pixels = read_picture(picture(1), 8)[np.newaxis]
        expected = Predictor(network).probabilities(pixels)[0]
        np.testing.assert_allclose(answered(server)[1], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("harm", ["gone", "broken"])
def test_a_file_that_cannot_answer_any_more_leaves_the_old_network(tmp_path, caplog, harm):
    caplog.set_level(logging.WARNING, "pawprint")
    network = write_network(tmp_path / "model.onnx")
    with serving(WatchedModel(str(network), seconds=0.05)) as server:
        first = answered(server)
        if harm == "gone":
            network.unlink()
        else:
            network.write_bytes(b"no network")
        eventually(lambda: "goes on answering" in caplog.text)
        time.sleep(0.5)
        assert caplog.text.count("goes on answering") == 1
        assert answered(server) == first
        write_network(network, strength=3)
        eventually(lambda: answered(server) != first)


def test_a_file_is_known_as_soon_as_it_is_registered_beside_it(tmp_path):
    network = write_network(tmp_path / "model.onnx")
    with serving(WatchedModel(str(network), seconds=0.05)) as server:
        assert server.get("model").json()["version"] is None
        digest = hashlib.sha256(network.read_bytes()).hexdigest()
        (note,) = server.get("health").json()["notes"]
        assert note.startswith(f"{network} is not known as the champion: ")
        facts = {"model": "colours", "version": 7, "champion": 7, "run_id": "r", "network": digest}
        facts |= {"test_accuracy": 0.9, "test_accuracy_low": float("nan")}
        (tmp_path / "registered.json").write_text(json.dumps(facts))
        eventually(lambda: server.get("health").json()["model"] == "colours version 7")
        facts = server.get("model").json()
        assert (facts["version"], facts["run_id"], facts["notes"]) == (7, "r", [])
        assert (facts["test_accuracy"], facts["test_accuracy_low"]) == (0.9, None)
