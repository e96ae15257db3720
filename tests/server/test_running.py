"""The command `pawprint serve`: how it begins, what it says and how it ends."""

import contextlib
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
import requests
from web_server import Registry, picture

from pawprint.config.compose import project_root

ROOT = project_root()


def prepare(files):
    """Let Ctrl-C end the process, and so many files be open in it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # children of a background shell ignore it
    if files:
        resource.setrlimit(resource.RLIMIT_NOFILE, files)


@pytest.fixture
def start(tmp_path):
    """A function that starts the command in an empty folder of a project; ends what still runs."""
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    started = []

    def begin(*arguments, program=("-m", "pawprint"), files=None):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
        environment |= {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}"}
        folder, temporary = tmp_path / "here", tmp_path / "temporary"
        for one in (folder, temporary):
            one.mkdir(exist_ok=True)
        environment["TMPDIR"] = str(temporary)
        process = subprocess.Popen(
            [sys.executable, *program, "serve", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=environment,
            preexec_fn=lambda: prepare(files),
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)


def address(process):
    line = process.stdout.readline()
    found = re.search(r" answers on (http://127\.0\.0\.1:\d+/) \(Ctrl-C stops it\)$", line)
    assert found, line + process.stderr.read()
    return found[1]


def wait_until_refused(where):
    """Wait until nobody listens there any more."""
    while True:
        try:
            socket.create_connection(where, timeout=20).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_request_in_work_is_answered_before_the_server_ends(start, network, number):
    server = start("--port", "0", "--model", str(network))
    where = address(server)
    host, port = where.removeprefix("http://").rstrip("/").split(":")
    body = (
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
        + picture(1)
        + b"\r\n--x--\r\n"
    )
    head = "POST /predict HTTP/1.1\r\nHost: localhost\r\n"
    head += "Content-Type: multipart/form-data; boundary=x\r\n"
    head += f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(head.encode())
        assert client.recv(65536).startswith(b"HTTP/1.1 100 ")
        client.sendall(body[:100])
        server.send_signal(number)
        wait_until_refused((host, int(port)))
        client.sendall(body[100:])
        answer = client.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200 ")
    out, err = server.communicate(timeout=20)
    assert (server.returncode, out, err) == (0, "", "")


def begin_to_send(client):
    """Send a part of a request, until the server waits for its rest; so large that it may take
    minutes to arrive.
    """
    head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += "Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n"
    client.sendall(head.encode())
    assert client.recv(65536).startswith(b"HTTP/1.1 100 ")
    client.sendall(b" " * 200_000)


def test_a_second_ctrl_c_ends_the_server_at_once_and_without_a_word(start, network):
    server = start("--port", "0", "--model", str(network))
    host, port = address(server).removeprefix("http://").rstrip("/").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        begin_to_send(client)
        server.send_signal(signal.SIGINT)
        wait_until_refused((host, int(port)))
        assert server.poll() is None  # it waits for the request
        server.send_signal(signal.SIGINT)
        out, err = server.communicate(timeout=60)
        assert b" 408 " not in client.recv(65536)  # it was cut off, and did not take too long
    assert (server.returncode, out, err) == (0, "", "")


def test_ctrl_c_again_and_again_until_the_process_is_gone_does_no_harm(start, network):
    server = start("--port", "0", "--model", str(network))
    address(server)
    while server.poll() is None:  # while it ends, and while Python does
        server.send_signal(signal.SIGINT)
        time.sleep(0.001)
    out, err = server.communicate(timeout=60)
    assert (server.returncode, out, err) == (0, "", "")


def test_clients_that_leave_do_not_end_the_server(start, network):
    server = start("--port", "0", "--model", str(network))
    where = address(server)
    host, port = where.removeprefix("http://").rstrip("/").split(":")
    for _ in range(20):  # each leaves before its many answers come
        with socket.create_connection((host, int(port)), timeout=20) as client:
            client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 500)
    form = [("files", ("a.jpg", picture(1)))]
    assert requests.post(f"{where}predict", files=form, timeout=30).status_code == 200
    assert server.poll() is None


@pytest.mark.parametrize("files", [(200, 200), (100, 1000)])
def test_more_connections_than_files_may_be_open_harm_nobody(start, network, files):
    server = start("--port", "0", "--model", str(network), files=files)
    where = address(server)
    host, port = where.removeprefix("http://").rstrip("/").split(":")
    with contextlib.ExitStack() as stack:
        for _ in range(400):
            stack.enter_context(socket.create_connection((host, int(port)), timeout=20))
        form = [("files", ("a.jpg", picture(1)))]
        assert requests.post(f"{where}predict", files=form, timeout=30).status_code == 200
    server.send_signal(signal.SIGTERM)
    _, err = server.communicate(timeout=20)
    assert (server.returncode, err) == (0, "")


@pytest.mark.parametrize("what", ["file", "champion"])
def test_the_server_imports_neither_tensorflow_nor_mlflow_and_writes_nothing(
    start, network, tmp_path, what
):
    if what == "champion":
        Registry(tmp_path, "pawprint").add()
    model = ("--model", str(network)) if what == "file" else ()
    program = (
        "import sys, pawprint.cli as cli\n"
        "try: cli.main()\n"
        "finally: print(sorted({'tensorflow', 'mlflow', 'pandas'} & set(sys.modules)))"
    )
    server = start("--port", "0", *model, program=("-c", program))
    where = address(server)
    form = [("files", ("a.jpg", picture(1)))]
    assert requests.post(f"{where}predict?maps=true", files=form, timeout=30).status_code == 200
    time.sleep(2.5)  # until it looked for another champion
    server.send_signal(signal.SIGTERM)
    out, _ = server.communicate(timeout=20)
    assert out == "[]\n"
    for folder in ("here", "temporary"):
        assert not list((tmp_path / folder).iterdir())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--model", "nowhere.onnx"], "nowhere.onnx is no file"),
        (["--model", "models:/nobody@champion"], "no champion of nobody is registered"),
        (["--port", "70000"], "--port is 70000"),
        (["--max-files", "0"], "--max-files is 0"),
        (["--max-megabytes", "nan"], "--max-megabytes is nan"),
        (["--sure-precision", "2"], "sure_precision is 2"),
        (
            ["--allow-host", "http://a.example/"],
            "--allow-host is http://a.example/; give a name alone",
        ),
        (["--host", "nowhere.invalid"], "--host is nowhere.invalid, which is no address"),
        (["--host", "999.1.1.1"], "--host is 999.1.1.1, which is no address"),
        (["--host", "192.0.2.1"], "--host is 192.0.2.1, which is no address of this machine"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(start, network, arguments, sentence):
    if arguments and arguments[0] not in ("--model", "--sure-precision"):
        arguments = [*arguments, "--model", str(network)]
    server = start(*arguments)
    out, err = server.communicate(timeout=60)
    assert server.returncode == 1
    assert err.startswith("error: ")
    assert sentence in err
    assert err.count("\n") == 1
    assert out == ""


def test_a_port_that_is_in_use_is_one_sentence(start, network):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = start("--port", str(port), "--model", str(network))
        _, err = server.communicate(timeout=60)
    assert server.returncode == 1
    assert re.fullmatch(rf"error: 127\.0\.0\.1 port {port} .*in use.*\n", err)


@pytest.mark.parametrize(
    ("options", "host", "status"),
    [
        ((), "evil.example", 421),
        (("--allow-host", "a.example", "--allow-host", "b.example"), "b.example", 200),
        (("--host", "0.0.0.0"), "pets.example", 200),
    ],
)
def test_it_answers_under_the_names_that_it_has(start, network, options, host, status):
    where = address(start("--port", "0", "--model", str(network), *options))
    response = requests.get(f"{where}health", headers={"Host": host}, timeout=10)
    assert response.status_code == status


def test_limits_are_those_that_were_given(start, network):
    options = ("--max-megabytes", "0.5", "--max-megapixels", "2", "--max-files", "3")
    where = address(start("--port", "0", "--model", str(network), *options))
    limits = requests.get(f"{where}limits", timeout=10).json()
    assert {"file_bytes": 2**19, "pixels": 2_000_000, "files": 3}.items() <= limits.items()
