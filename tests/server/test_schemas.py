"""The API's description: what comes is what it says."""

import http.client
import json

import jsonschema
import pytest
import requests
from web_server import picture, serving

from pawprint.server.app import find_examples
from pawprint.server.model import WatchedModel


@pytest.fixture(scope="module")
def described(network, tmp_path_factory):
    """A server, the description that it gives, and what was seen of it."""
    (folder := tmp_path_factory.mktemp("examples")).joinpath("a.png").write_bytes(picture(1))
    limits = {"file_bytes": 100_000, "pixels": 1_000_000, "files": 4, "stall_seconds": 0.2}
    examples = find_examples(folder, 10**6)
    with serving(WatchedModel(str(network)), examples=examples, local=True, **limits) as server:
        server.description = server.get("openapi.json").json()
        yield server


def check(description, method, path, response):
    """See that the description of a route has this answer."""
    told = description["paths"][path][method]["responses"][str(response.status_code)]
    kind = response.headers["content-type"].partition(";")[0]
    forms = told["content"]
    form = forms.get(kind) or forms[f"{kind.partition('/')[0]}/*"]
    if kind == "application/json":
        schema = form["schema"] | {"components": description["components"]}
        jsonschema.Draft202012Validator(schema).validate(response.json())
        assert ("error" in response.json()) == (response.status_code != 200)
    else:
        assert form["schema"]["type"] == "string"


def files(*contents):
    return {"files": [("files", (f"{i}.jpg", content)) for i, content in enumerate(contents)]}


PREDICT = [
    (200, files(picture(1), b"hello")),
    (400, {"data": b"{", "headers": {"Content-Type": "application/json"}}),
    (403, files(picture(1)) | {"headers": {"Sec-Fetch-Site": "cross-site"}}),
    (413, files(*[picture(1)] * 5)),
    (413, files(picture(1) + bytes(100_000))),
    (415, {"data": b"hello", "headers": {"Content-Type": "text/plain"}}),
    (415, files(b"hello")),
    (421, files(picture(1)) | {"headers": {"Host": "evil.example"}}),
    (422, {"json": {"pictures": []}}),
    (422, files(b"hello", b"")),
]


@pytest.mark.parametrize(("status", "sent"), PREDICT)
def test_answers_to_pictures_are_as_described(described, status, sent):
    response = requests.post(described.address + "predict?maps=true", timeout=30, **sent)
    assert response.status_code == status
    check(described.description, "post", "/predict", response)


def test_every_described_answer_to_pictures_is_tried(described):
    told = set(described.description["paths"]["/predict"]["post"]["responses"])
    assert told == {str(status) for status, _ in PREDICT} | {"408", "500", "503"}


def test_a_request_that_does_not_end_is_answered_as_described(described):
    connection = http.client.HTTPConnection(*described.where, timeout=10)
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", "10")
    connection.endheaders()
    answer = connection.getresponse()
    response = requests.Response()
    response.status_code, response.headers = answer.status, answer.headers
    response._content = answer.read()
    connection.close()
    assert response.status_code == 408
    check(described.description, "post", "/predict", response)


def test_a_busy_server_s_answer_is_as_described(described, network):
    with serving(WatchedModel(str(network)), waiting_requests=0, waiting_seconds=0.1) as busy:
        response = busy.send(picture(1))
    assert response.status_code == 503
    check(described.description, "post", "/predict", response)


@pytest.mark.parametrize(
    ("asked", "path", "status"),
    [
        ("health", "/health", 200),
        ("model", "/model", 200),
        ("limits", "/limits", 200),
        ("metrics", "/metrics", 200),
        ("examples", "/examples", 200),
        ("examples/0", "/examples/{place}", 200),
        ("examples/1", "/examples/{place}", 404),
        ("examples/x", "/examples/{place}", 422),
    ],
)
def test_answers_of_the_other_routes_are_as_described(described, asked, path, status):
    response = described.get(asked)
    assert response.status_code == status
    check(described.description, "get", path, response)


def test_a_server_that_failed_answers_as_described(described, network):
    watched = WatchedModel(str(network))
    with serving(watched) as broken:
        watched.model.predictor = None
        response = broken.send(picture(1))
    assert response.status_code == 500
    check(described.description, "post", "/predict", response)


def test_the_description_is_json_that_names_no_other_host(described):
    text = json.dumps(described.description)
    assert "http://" not in text
    assert "https://" not in text
