"""What Prometheus reads of a server."""

import socket
import time

from web_server import picture, serving

from pawprint.inference.prediction_log import PredictionLog
from pawprint.server.model import WatchedModel


def measured(server):
    """Values by name and labels, as they are exposed."""
    text = server.get("metrics").text
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_requests_pictures_batches_and_the_model_are_counted(network):
    with serving(WatchedModel(str(network))) as server:
        labels = []
        for seed in range(5):
            rows = server.send(picture(seed), picture(seed + 10)).json()["predictions"]
            labels += [row["label"] for row in rows]
        server.send(b"hello")
        server.get("nowhere")
        values = measured(server)
    assert values['pawprint_requests_total{route="/predict",status="200"}'] == 5
    assert values['pawprint_requests_total{route="/predict",status="415"}'] == 1
    assert values['pawprint_requests_total{route="other",status="404"}'] == 1
    for label in set(labels):
        assert values[f'pawprint_pictures_total{{label="{label}"}}'] == labels.count(label)
    assert values["pawprint_problems_total"] == 1
    assert values["pawprint_batch_pictures_sum"] == 10
    assert 5 <= values["pawprint_batch_pictures_count"] <= 10
    assert values["pawprint_predict_seconds_count"] == 6
    assert values["pawprint_waiting_pictures"] == 0
    assert values[f'pawprint_model_version{{name="{network}",run_id=""}}'] == 0
    assert values["process_resident_memory_bytes"] > 1e7


def test_paths_that_do_not_exist_make_no_new_series(network):
    with serving(WatchedModel(str(network))) as server:
        for place in range(5):
            server.get(f"nowhere/{place}")
        values = measured(server)
    named = [name for name in values if name.startswith("pawprint_requests_total")]
    assert named == ['pawprint_requests_total{route="other",status="404"}']
    assert values[named[0]] == 5


def test_what_the_app_never_sees_is_counted_too(network, monkeypatch):
    monkeypatch.setattr("pawprint.server.connections.HEAD_SECONDS", 0.2)
    with serving(WatchedModel(str(network))) as server:
        for said in (b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nHost"):
            with socket.create_connection(server.where, timeout=10) as client:
                client.sendall(said)
                while client.recv(65536):
                    pass
        values = measured(server)
    assert values['pawprint_requests_total{route="none",status="400"}'] == 1
    assert values['pawprint_requests_total{route="none",status="408"}'] == 1


def test_pictures_that_could_not_be_logged_are_counted(network, tmp_path):
    log = PredictionLog(tmp_path / "seen.jsonl")
    with serving(WatchedModel(str(network)), seen=log) as server:
        server.send(picture(1))
        log.path.unlink()
        log.path.symlink_to("/dev/full")
        server.send(picture(1), picture(2), b"hello")
        assert measured(server)["pawprint_not_logged_pictures_total"] == 2


def test_a_body_that_ends_in_the_middle_is_counted_once(network):
    with serving(WatchedModel(str(network))) as server:
        with socket.create_connection(server.where, timeout=10) as client:
            client.sendall(
                b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n"
                b"Content-Type: application/json\r\n\r\n{"
            )
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass
        deadline = time.monotonic() + 5
        while not (counted := refused(server)) and time.monotonic() < deadline:
            time.sleep(0.02)
    assert counted == {'pawprint_requests_total{route="/predict",status="400"}': 1}


def refused(server):
    """The counted requests with status 400."""
    values = measured(server).items()
    return {name: value for name, value in values if "total{" in name and 'status="400"' in name}
