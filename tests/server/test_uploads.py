"""What is too much, or no request at all, gets a sentence; and the next one its answer."""

import base64
import contextlib
import gc
import gzip
import http.client
import json
import socket
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from web_server import picture, serving

from pawprint.server.model import WatchedModel

BOUNDARY = "xyz"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
JSON = {"Content-Type": "application/json"}


def form(*files, end=True):
    parts = [
        b'--xyz\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n%s\r\n'
        % (name, content)
        for name, content in files
    ]
    return b"".join(parts) + (b"--xyz--\r\n" if end else b"")


def head(length=None, path="/predict", kind=FORM, more=""):
    length = f"Content-Length: {length}\r\n" if length is not None else ""
    return f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\n{length}{more}\r\n".encode()


def spoken(served, *chunks, patience=20, half_close=False):
    """Status and error of what a server answers to these bytes."""
    with socket.create_connection(served.where, timeout=patience) as client:
        try:
            for chunk in chunks:
                client.sendall(chunk)
            if half_close:
                client.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the server may have said all
        answer = b""
        while b"\r\n\r\n" not in answer or not answer.rstrip().endswith(b"}"):
            chunk = client.recv(65536)
            if not chunk:
                break
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"], head


def bomb(width, height):
    """A PNG of a few kB that says it has that many pixels, and has them."""

    def chunk(kind, content):
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + width // 8)) for _ in range(height)) + packer.flush()
    size = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.fixture(autouse=True)
def still_alive(served):
    yield
    assert served.send(picture(1)).status_code == 200


def test_a_file_of_too_many_bytes_is_refused_and_the_others_are_answered(served):
    large = picture(1) + bytes(100_000)
    response = served.send(("large.jpg", large))
    assert response.status_code == 413
    assert response.json()["error"].startswith("large.jpg is larger than 97.7 kB")
    response = served.send(("large.jpg", large), ("small.jpg", picture(1)))
    assert response.status_code == 200
    assert "larger than" in response.json()["predictions"][0]["problem"]
    text = base64.b64encode(large).decode()
    assert served.post(json={"pictures": [text]}).status_code == 413


def test_more_bytes_than_a_request_may_have_are_refused_before_they_are_read(served):
    status, error, _ = spoken(served, head(10**9))
    assert status == 413
    assert error.startswith("the request is larger than")
    assert spoken(served, head("9" * 18))[0] == 413


def test_a_body_of_unknown_length_is_cut_off_where_it_grows_too_large(served):
    chunk = b"10000\r\n" + bytes(2**16) + b"\r\n"
    first = b"%x\r\n%s\r\n" % (len(form((b"a", b""), end=False)), form((b"a", b""), end=False))
    begin = head(more="Transfer-Encoding: chunked\r\n")
    status, error, _ = spoken(served, begin, first, *[chunk] * 200)
    assert status == 413
    assert error.startswith("the request is larger than")


def chunked(body, size):
    pieces = (body[at : at + size] for at in range(0, len(body), size))
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize("size", [1, 10_000])
def test_a_picture_may_come_in_chunks(served, size):
    body = form((b"a.jpg", picture(1)))
    with socket.create_connection(served.where, timeout=20) as client:
        client.sendall(head(more="Transfer-Encoding: chunked\r\n") + chunked(body, size))
        assert client.recv(65536).split()[1] == b"200"


LONG_EXTENSIONS = b"1;a=%s\r\na\r\n" % (b"a" * 9000) * 90


@pytest.mark.parametrize("body", [chunked(bytes(300_000), 1), LONG_EXTENSIONS])
def test_chunks_that_hold_next_to_nothing_are_refused_while_others_are_answered(served, body):
    with ThreadPoolExecutor(4) as pool:
        first = head(kind="image/jpeg", more="Transfer-Encoding: chunked\r\n")
        asked = [pool.submit(spoken, served, first, body) for _ in range(4)]
        begin = time.monotonic()
        assert served.send(picture(1)).status_code == 200
        waited = time.monotonic() - begin
        for one in asked:
            status, error, _ = one.result()
            assert status == 413
            assert error == "the body comes in too many small chunks; send larger ones"
    assert waited < 5


@pytest.mark.parametrize("form", ["standard", "no padding", "URL-safe", "in lines", "data URL"])
def test_base64_of_every_kind_is_taken(served, form):
    # Of a length that needs padding, and with the digits in which the alphabets differ.
    content = next(
        one
        for seed in range(99)
        if len(one := picture(seed)) % 3 and {43, 47} <= set(base64.b64encode(one))
    )
    text = {
        "standard": base64.b64encode,
        "no padding": lambda one: base64.b64encode(one).rstrip(b"="),
        "URL-safe": lambda one: base64.urlsafe_b64encode(one).rstrip(b"="),
        "in lines": base64.encodebytes,
        "data URL": lambda one: b"data:image/jpeg;base64," + base64.b64encode(one),
    }[form](content).decode()
    (row,) = served.post(json={"pictures": [text]}).json()["predictions"]
    (expected,) = served.send(content).json()["predictions"]
    assert row["probabilities"] == expected["probabilities"]


def test_more_files_than_a_request_may_have_are_refused(served):
    response = served.send(*[picture(1)] * 5)
    assert response.status_code == 413
    assert response.json()["error"].startswith("there are more than 4 files")
    texts = [base64.b64encode(picture(1)).decode()] * 5
    assert served.post(json={"pictures": texts}).status_code == 413
    assert served.post(json={"pictures": ["a"] * 200}).json()["error"].startswith("there are more")


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ("fields in the form that hold no file", {"files": [("t", b"a")] * 1000}),
        ("fields in the form that hold no file", {"files": [("t", (None, b"a"))] * 1000}),
        ("the JSON has no list", {"data": b"[" * 200_000, "headers": JSON}),
        ("the JSON has no list", {"data": b"[1" + b",1" * 200_000, "headers": JSON}),
        ("Content-Encoding gzip is not taken", {"headers": JSON | {"Content-Encoding": "gzip"}}),
        ("not begin with the boundary", {"data": b"--a\r\n", "headers": {"Content-Type": FORM}}),
        ("(it is empty)", {"data": b"", "headers": {"Content-Type": FORM}}),
    ],
)
def test_what_is_wrong_with_a_body_is_named(served, said, sent):
    response = served.post(**sent)
    assert said in response.json()["error"]
    assert "more than 4 files" not in response.text


@pytest.mark.parametrize("kind", ["image/jpeg", "image/*", "application/octet-stream"])
def test_a_body_may_be_one_picture(served, kind):
    headers = {"Content-Type": kind}
    (row,) = served.post(data=picture(1), headers=headers).json()["predictions"]
    (expected,) = served.send(("picture 1", picture(1))).json()["predictions"]
    assert row == expected
    for content, status in ((b"hello", 415), (b"", 422), (picture(1) + bytes(100_000), 413)):
        assert served.post(data=content, headers=headers).status_code == status


@pytest.mark.parametrize("size", [(1, 900_000), (900_000, 1)])
def test_a_thin_picture_is_refused_undecoded(served, size):
    response = served.send(("thin.png", bomb(*size)))
    assert response.status_code == 413
    sentence = "65,535 on a side are taken at most: send a smaller one"
    assert f"is too long ({size[0]:,} × {size[1]:,} pixels); {sentence}" in response.json()["error"]


@pytest.mark.parametrize("size", [(1008, 1000), (30_000, 30_000)])
def test_a_picture_of_too_many_pixels_is_refused_undecoded(served, size):
    begin = time.monotonic()
    response = served.send(("bomb.png", bomb(*size)[:90_000]))
    assert time.monotonic() - begin < 30
    assert response.status_code == 413
    assert "1,000,000 pixels are taken at most" in response.json()["error"]
    assert f"{size[0] * size[1]:,} pixels" in response.json()["error"]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", FORM, 400),
        (form(), FORM, 422),
        (form((b"a.jpg", picture(1)), end=False), FORM, 400),
        (form((b"a.jpg", picture(1)))[:-20], FORM, 400),
        (b"--other\r\n\r\n", FORM, 400),
        (form((b"a.jpg", picture(1))), "multipart/form-data", 400),
        (form((b"a.jpg", picture(1))), "multipart/form-data; boundary=" + "b" * 5000, 400),
        (form((b"a" * 20_000, picture(1))), FORM, 400),
        (b"--xyz\r\n" + b"A: b\r\n" * 500 + b"\r\n\r\n--xyz--", FORM, 400),
        (b"--xyz\r\nContent-Disposition: nonsense\r\n\r\nx\r\n--xyz--", FORM, 422),
        (picture(1), "", 415),
        (b"{", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 150, "application/json", 400),
        (b"[" * 200_000, "application/json", 422),
        (b'{"pictures": [' + b'"",' * 100_000 + b'""]}', "application/json", 413),
        (b"--xyz\r\nA: b\r\n\r\n\r\n" * 20_000, FORM, 422),
        (b"9" * 60_000, "application/json", 400),
        (b"[]", "application/json", 422),
        (b'{"pictures": 1}', "application/json", 422),
        (b'{"pictures": [null]}', "application/json", 422),
        (b'{"pictures": []}', "application/json", 422),
        (b'{"pictures": ["caf\\u00e9 \\ud800"]}', "application/json", 422),
        (b'{"pictures": ["data:image/png;base64,"]}', "application/json", 422),
    ],
)
def test_what_cannot_be_read_gets_a_sentence(served, body, kind, status):
    response = served.post(data=body, headers={"Content-Type": kind})
    assert response.status_code == status
    error = response.json()["error"]
    assert error
    assert "\n" not in error
    assert "Traceback" not in response.text


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd",
        "C:\\windows\\a.jpg",
        "<img src=x onerror=alert(1)>.png",
        '"; rm -rf /; ".jpg',
        "a\u202ejpg.exe",
        "\N{CAT FACE}" * 200,
    ],
)
def test_names_are_told_back_as_words_and_lead_nowhere(served, name):
    response = served.send((name, picture(1)))
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert len(response.json()["predictions"][0]["name"]) <= 255


@pytest.mark.parametrize("name", [b"caf\xe9.jpg", b"\x00\x01\x7f.jpg", b""])
def test_names_that_are_no_text_are_borne(served, name):
    body = form((name, picture(1)))
    response = served.post(data=body, headers={"Content-Type": FORM})
    assert response.status_code == 200


def test_half_a_body_times_out_with_a_sentence(served):
    body = form((b"a.jpg", picture(1)))
    begin = time.monotonic()
    status, error, _ = spoken(served, head(len(body)), body[:100])
    assert status == 408
    assert "did not come to its end in time" in error
    assert time.monotonic() - begin < 60


def test_half_a_head_times_out_with_a_sentence(served, monkeypatch):
    monkeypatch.setattr("pawprint.server.connections.HEAD_SECONDS", 0.5)
    status, error, _ = spoken(served, b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-")
    assert status == 408
    assert "did not come to its end in time" in error
    with socket.create_connection(served.where, timeout=5) as client:  # which says nothing at all
        assert client.recv(100) == b""


def test_a_body_that_nobody_reads_is_not_listened_to_for_ever(served, monkeypatch):
    monkeypatch.setattr("pawprint.server.connections.HEAD_SECONDS", 0.5)
    with socket.create_connection(served.where, timeout=10) as client:
        client.sendall(head(10**9))
        assert b" 413 " in client.recv(65536)
        begin = time.monotonic()
        try:
            while time.monotonic() - begin < 60:
                client.sendall(bytes(1000))
                time.sleep(0.01)
        except OSError:  # reset, or a broken pipe
            pass
        assert time.monotonic() - begin < 55


@pytest.mark.parametrize("end", ["close", "half"])
def test_a_client_that_leaves_in_the_middle_harms_nobody(served, end):
    body = form((b"a.jpg", picture(1)))
    if end == "half":
        status, error, _ = spoken(served, head(len(body)), body[:100], half_close=True)
        assert (status, error) == (400, "the request ended before it was whole")
        status, error, _ = spoken(served, b"POST /predict HT", half_close=True)
        assert status == 400
    else:
        for _ in range(20):
            with socket.create_connection(served.where) as client:
                client.sendall(head(len(body)) + body[:100])


def test_who_only_stops_sending_still_gets_the_answer(served):
    body = form((b"a.txt", b"hello"))
    assert spoken(served, head(len(body)) + body, half_close=True)[:2] == (
        415,
        "a.txt is not a picture",
    )


@pytest.mark.parametrize(
    "said",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",  # TLS
        b"GET\r\n\r\n",
        head(-5),
        head("5, 6"),
        head(more="Transfer-Encoding: chunked\r\n") + b"zz\r\n",
        b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    ],
)
def test_what_is_no_http_gets_a_sentence(served, said):
    status, error, answered = spoken(served, said)
    assert 400 <= status < 500
    assert "no HTTP request" in error
    assert b"connection: close" in answered.lower()


@pytest.mark.parametrize("lines", [b"X: " + b"a" * 400_000 + b"\r\n", b"A: b\r\n" * 80_000])
def test_a_head_that_is_too_large_gets_a_sentence(served, lines):
    begin = b"POST /predict HTTP/1.1\r\nHost: a\r\n"
    status, error, answered = spoken(served, begin + lines + b"\r\n")
    assert (status, error) == (
        431,
        "the head of the request is too large; send shorter or fewer headers",
    )
    assert b"connection: close" in answered.lower()


@pytest.mark.parametrize("path", ["", "health", "model", "metrics"])
def test_head_is_answered_as_get_without_a_body(served, path):
    got, head = served.get(path), requests.head(served.address + path, timeout=10)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
    if path != "metrics":  # which change
        assert head.headers["content-length"] == str(len(got.content))
    assert requests.head(served.address + "nowhere", timeout=10).status_code == 404


@pytest.mark.parametrize("target", ["http://a/health", "HTTPS://b:1/%68ealth?c"])
def test_whole_addresses_are_taken_as_their_paths(served, target):
    connection = http.client.HTTPConnection(*served.where, timeout=10)
    connection.request("GET", target, headers={"Host": "a"})
    assert json.loads(connection.getresponse().read())["status"] == "ok"
    connection.close()


@pytest.mark.parametrize("more", [b"", b'; filename="__.jpg"'])
def test_encoded_names_are_decoded(served, more):
    disposition = b'form-data; name="files"' + more + b"; filename*=UTF-8''caf%C3%A9%20%ff.jpg"
    body = b"--xyz\r\nContent-Disposition: %s\r\n\r\n%s\r\n--xyz--" % (disposition, picture(1))
    response = served.post(data=body, headers={"Content-Type": FORM})
    assert response.json()["predictions"][0]["name"] == "caf\xe9 \ufffd.jpg"


def test_other_paths_and_methods_get_a_sentence(served):
    assert served.get("nowhere").json() == {"error": "there is no /nowhere here; see /docs"}
    response = served.get("predict")
    assert response.status_code == 405
    assert response.json() == {"error": "/predict does not take GET; see /docs"}
    response = served.send(picture(1), query="?maps=perhaps")
    assert response.status_code == 422
    assert response.json()["error"].startswith("maps: ")
    for path in ("examples/0", "examples/-1", "examples/..%2f..%2fparams.yaml", "examples/x"):
        assert 404 <= served.get(path).status_code <= 422


def test_a_compressed_body_is_not_unpacked(served):
    body = gzip.compress(form((b"a.jpg", picture(1))))
    headers = {"Content-Type": FORM, "Content-Encoding": "gzip"}
    assert served.post(data=body, headers=headers).status_code == 415


def test_requests_that_are_still_to_come_take_nobodys_place(network):
    with serving(WatchedModel(str(network)), waiting_requests=3, waiting_seconds=0.5) as server:
        body = form((b"a.jpg", picture(1)))
        halves = [socket.create_connection(server.where) for _ in range(6)]
        for half in halves:
            half.sendall(head(len(body)) + body[:50])
        for _ in range(5):
            assert server.send(picture(1)).status_code == 200
        for half in halves:
            half.sendall(body[50:])
            assert b" 200 " in half.recv(65536)
            half.close()


def test_a_body_that_trickles_times_out_with_a_sentence(network):
    body = form((b"a.jpg", picture(1)))
    limits = {"grace_seconds": 0.5, "least_speed": 1000}
    with serving(WatchedModel(str(network)), **limits) as server:
        with socket.create_connection(server.where, timeout=10) as client:
            client.sendall(head(len(body)))
            client.setblocking(False)
            begin, answer = time.monotonic(), b""
            for place in range(600):
                time.sleep(0.05)
                with contextlib.suppress(BlockingIOError, ConnectionResetError):
                    answer += client.recv(65536)
                if answer:
                    break
                client.sendall(body[place : place + 1])
        assert b" 408 " in answer
        assert 0.4 < time.monotonic() - begin < 20
        assert server.send(picture(1)).status_code == 200


def test_eight_clients_with_the_largest_requests_see_no_error(network):
    limits = {"file_bytes": 1_000_000}
    with serving(WatchedModel(str(network)), **limits) as server:
        large = [picture(1) + bytes(999_000 - 3_000)] * 4
        with ThreadPoolExecutor(8) as pool:
            responses = list(pool.map(lambda _: server.send(*large), range(16)))
        assert [r.status_code for r in responses] == [200] * 16


def test_sixteen_clients_with_large_files_see_no_error(network):
    with serving(WatchedModel(str(network))) as server:
        large = picture(1) + bytes(2_000_000)
        with ThreadPoolExecutor(16) as pool:
            responses = list(pool.map(lambda _: server.send(large), range(32)))
        assert [r.status_code for r in responses] == [200] * 32


def test_what_was_sent_is_given_back_at_once(network):
    def megabytes():
        return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * 4096 / 1e6

    with serving(WatchedModel(str(network))) as server:
        gc.disable()  # nothing may have to wait for it
        try:
            sent = [picture(1) + bytes(8_000_000), bytes(8_000_000), picture(1)[:300]]
            for round_ in range(12):
                for content in sent:
                    server.send(content)
                if round_ == 1:
                    before = megabytes()
            assert megabytes() - before < 60
        finally:
            gc.enable()


def test_nothing_is_written_to_disk(network, tmp_path, monkeypatch):
    # Every kind of temporary file begins in this folder; files that are open but unlinked too.
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    seen, done = set(), threading.Event()

    def watch():
        while not done.is_set():
            for descriptor in Path("/proc/self/fd").iterdir():
                with contextlib.suppress(OSError):  # closed by now
                    seen.add(str(descriptor.readlink()))

    watcher = threading.Thread(target=watch)
    with serving(WatchedModel(str(network))) as server:
        watcher.start()
        try:
            large = picture(1) + bytes(8_000_000)
            for _ in range(5):
                assert server.send(large, query="?maps=true").status_code == 200
            text = base64.b64encode(large).decode()
            assert server.post(json={"pictures": [text]}).status_code == 200
        finally:
            done.set()
            watcher.join()
    assert not list(tmp_path.iterdir())
    assert not [path for path in seen if path.startswith(str(tmp_path))]


def test_a_connection_serves_many_requests(served):
    with requests.Session() as session:
        for _ in range(20):
            form = [("files", ("a.jpg", picture(1)))]
            assert session.post(served.address + "predict", files=form).status_code == 200
