"""Pictures by their URL, downloaded by `pawprint predict`."""

import functools
import hashlib
import json
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import pawprint
from pawprint.commands.arguments import parse_tool
from pawprint.commands.predict import predict
from pawprint.commands.table import TOOLS
from pawprint.system.errors import UserError


@pytest.fixture
def network(tmp_path):
    """The file of a network that answers with the strongest colour."""
    nodes = [
        helper.make_node("Cast", ["pictures"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["colour"], keepdims=0),
        helper.make_node("Softmax", ["colour"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["n", 8, 8, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(np.array([1, 2], np.int64), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {"class_names": json.dumps(["red", "green", "blue"])})
    onnx.save(model, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


@pytest.fixture
def host(tmp_path):
    """The address of a web server on this machine, which has cat.jpg."""
    folder = tmp_path / "web"
    folder.mkdir()
    Image.new("RGB", (40, 30), "red").save(folder / "cat.jpg")
    (folder / "page.jpg").write_text("<html></html>", encoding="utf-8")

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            """Say nothing."""

    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def answers(network, capsys):
    def answers(*words):
        tool = next(tool for tool in TOOLS if tool.name == "predict")
        code = predict(parse_tool(tool, [*words, "--model", str(network), "--csv"]))
        captured = capsys.readouterr()
        rows = [line.split(",")[:2] for line in captured.out.splitlines()[1:]]
        return code, rows, captured.err

    return answers


def test_a_url_is_answered_under_its_name_without_what_may_be_secret(host, answers, tmp_path):
    Image.new("RGB", (40, 30), "blue").save(tmp_path / "dog.png")
    digest = hashlib.sha256((tmp_path / "web" / "cat.jpg").read_bytes()).hexdigest()
    url = f"http://{host}/cat.jpg"
    secret = f"http://me:password@{host}/cat.jpg?token=1#sha256={digest}"
    code, rows, said = answers(url, str(tmp_path / "dog.png"), secret)
    assert code == 0
    assert rows == [[url, "red"], [str(tmp_path / "dog.png"), "blue"], [url, "red"]]
    assert "token" not in said
    assert "password" not in said


def test_a_url_is_answered_in_python_too(host, network):
    (answer,) = pawprint.load(network).predict(f"http://{host}/cat.jpg?token=1")
    assert (answer.picture, answer.label) == (f"http://{host}/cat.jpg", "red")
    assert answer.preview.startswith(b"\xff\xd8")  # the file is gone


def test_a_url_of_no_picture_is_named_whole(host, answers):
    code, _, said = answers(f"http://{host}/page.jpg")
    assert code == 1
    assert said == f"error: http://{host}/page.jpg is not a picture\n"


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://{host}/none.jpg", "(404 .*|not found).*: correct the URL"),
        ("http://example.org/cat.jpg", "is plain http, .* use https, or add #sha256="),
        ("https://", "is no complete URL: write one like https://"),
    ],
)
def test_a_url_that_gives_nothing_is_one_true_sentence(host, answers, url, sentence):
    with pytest.raises(UserError, match=sentence):
        answers(url.format(host=host))


def test_a_file_whose_name_looks_like_a_url_is_a_file(answers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("http:").mkdir()
    Image.new("RGB", (40, 30), "red").save("http:/cat.jpg")
    assert answers("http://cat.jpg")[1] == [["http:/cat.jpg", "red"]]
