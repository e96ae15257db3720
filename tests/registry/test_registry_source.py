"""What is known of a network's file, and of a server that does not let us know."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pawprint.registry.source import Source, champion_file, find_network, version_now, with_facts
from pawprint.system.errors import UserError

NETWORK = b"a network"
RUN = "a" * 32


@pytest.fixture
def folder(tmp_path):
    """A network's file, with what register writes beside it."""
    (tmp_path / "model.onnx").write_bytes(NETWORK)
    digest = hashlib.sha256(NETWORK).hexdigest()
    registered = {"model": "pawprint", "version": 3, "run_id": RUN, "network": digest}
    registered["champion"] = 3
    registered |= {"test_accuracy": 0.875, "test_accuracy_low": None}
    registered |= {"data_digest": "d" * 64, "git_commit": "c" * 40}
    write(tmp_path, json.dumps(registered))
    return tmp_path


def write(folder, text):
    (folder / "registered.json").write_text(text)


def change(folder, **changes):
    content = json.loads((folder / "registered.json").read_text())
    write(folder, json.dumps(content | changes))


def known(folder, content=NETWORK):
    network = folder / "model.onnx"
    return with_facts(Source(str(network), network), content)


def test_version_run_data_and_accuracy_are_known(folder):
    found = known(folder)
    assert (found.name, found.model, found.version) == ("pawprint version 3", "pawprint", 3)
    assert (found.run_id, found.network) == (RUN, folder / "model.onnx")
    assert found.tags["data_digest"] == "d" * 64
    assert found.tags["git_commit"] == "c" * 40
    assert found.tags["test_accuracy"] == "0.875"
    assert "test_accuracy_low" not in found.tags
    assert found.notes == ()
    assert champion_file(folder, "pawprint") == found
    assert champion_file(folder, "other") is None


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: change(folder, network="0" * 64),
        lambda folder: change(folder, network=None),
        lambda folder: change(folder, run_id=None),
        lambda folder: change(folder, version=True),
        lambda folder: write(folder, '["odd"]'),
        lambda folder: write(folder, "[" * 100_000),
        lambda folder: (folder / "registered.json").write_bytes(b"\xff{"),
        lambda folder: (folder / "registered.json").unlink(),
    ],
)
def test_nothing_is_known_by_a_record_that_is_missing_odd_or_of_another_network(folder, harm):
    harm(folder)
    network = folder / "model.onnx"
    note = f"{network} is not known as the champion: it has no record of `pawprint register`"
    assert known(folder) == Source(str(network), network, notes=(note,))
    assert champion_file(folder, "pawprint") is None


def test_a_record_of_a_network_that_was_kept_back_says_so(folder):
    change(folder, champion=2)
    note = "pawprint version 3 is not the champion: the gate kept it back"
    assert (known(folder).version, known(folder).notes) == (3, (note,))
    assert champion_file(folder, "pawprint") is None


def test_a_network_that_was_trained_since_is_not_taken_for_the_registered_one(folder):
    assert known(folder, b"the next network").version is None


def test_what_the_store_tells_stays(folder):
    source = Source("run b", folder / "model.onnx", run_id="b" * 32)
    assert with_facts(source, NETWORK) is source


@pytest.fixture(params=[401, 403, 500])
def refusing(request, monkeypatch):
    """A server, as a proxy before MLflow may be one, that answers all but /health with a status."""

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/health" else request.param)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", request.param
        server.shutdown()


@pytest.mark.parametrize("name", ["models:/pawprint@champion", "models:/pawprint/1", "runs:/0123"])
def test_a_server_that_refuses_or_fails_is_one_sentence(refusing, name):
    address, status = refusing
    looks = [find_network, version_now] if "@" in name else [find_network]
    for look in looks:
        with pytest.raises(UserError) as raised:
            look(name, address)
        said = str(raised.value)
        assert said.startswith("the tracking ")
        assert address in said
        assert "\n" not in said
        assert str(status) in said
        assert ("MLFLOW_TRACKING_TOKEN" in said) == (status < 500)
        with pytest.raises(UserError) as raised:  # a password is sent, and not told
            look(name, address.replace("//", "//me:secret@"))
        assert str(raised.value) == said
