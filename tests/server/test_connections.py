"""Connections that do nothing, or do not take their answer, make room for others."""

import asyncio
import contextlib
import logging
import socket
import time

import pytest
from web_server import picture, serving

from pawprint.server.connections import LoopErrors
from pawprint.server.model import WatchedModel

HALF = (
    b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 14\r\n"
    b"Content-Type: application/json\r\n\r\n{"
)


@pytest.fixture
def crowded(network, monkeypatch):
    """A server that takes ten connections at a time."""
    monkeypatch.setattr("pawprint.server.connections._MOST", 10)
    with serving(WatchedModel(str(network))) as server:
        yield server


def ended(client, patience=5.0):
    """Whether the server gave up the connection."""
    client.settimeout(patience)
    try:
        return client.recv(100) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def connected(server, said=b""):
    client = socket.create_connection(server.where, timeout=10)
    if said:
        client.sendall(said)
    return client


def test_idle_connections_make_room_for_others_the_oldest_first(crowded):
    with contextlib.ExitStack() as stack:
        asking = stack.enter_context(connected(crowded, HALF))
        time.sleep(0.1)
        idle = [stack.enter_context(connected(crowded)) for _ in range(30)]
        for _ in range(3):
            assert crowded.send(picture(1)).status_code == 200
        assert all(map(ended, idle[:20]))
        assert not ended(idle[-1], 0.1)
        asking.sendall(b'"pictures":1}')
        assert b" 422 " in asking.recv(65536)


def test_where_all_are_in_work_one_more_is_sent_away_at_once(crowded):
    with contextlib.ExitStack() as stack:
        asking = [stack.enter_context(connected(crowded, HALF)) for _ in range(10)]
        time.sleep(0.2)
        assert ended(stack.enter_context(connected(crowded)))
        for client in asking:
            client.sendall(b'"pictures":1}')
            assert b" 422 " in client.recv(65536)
    assert crowded.send(picture(1)).status_code == 200


def test_an_answer_that_nobody_takes_is_given_up(network, tmp_path, monkeypatch):
    monkeypatch.setattr("pawprint.server.connections.TAKEN_SECONDS", 0.3)
    (tmp_path / "a.jpg").write_bytes(bytes(20_000_000))
    example = tmp_path / "a.jpg"
    with (
        serving(WatchedModel(str(network)), examples=[example]) as server,
        socket.socket() as client,
    ):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(10)
        client.connect(server.where)
        client.sendall(b"GET /examples/0 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(1.5)
        taken = 0
        with contextlib.suppress(ConnectionResetError):
            while chunk := client.recv(2**16):
                taken += len(chunk)
        assert taken < 15_000_000
        assert len(server.get("examples/0").content) == 20_000_000  # who takes it gets it


def test_an_example_comes_in_pieces_and_only_as_a_whole(network, tmp_path):
    content = bytes(range(256)) * 1000
    (tmp_path / "a.png").write_bytes(content)
    example = tmp_path / "a.png"
    with serving(WatchedModel(str(network)), examples=[example]) as server:
        for asked in ("bytes=0-9", "nonsense", "bytes=9999999-"):
            response = server.get("examples/0", headers={"Range": asked})
            assert (response.status_code, response.content) == (200, content)
            assert response.headers["content-type"] == "image/png"
        (tmp_path / "a.png").unlink()
        assert server.get("examples/0").status_code == 404


def test_connections_that_cannot_be_taken_in_are_told_once(caplog):
    async def fail():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(LoopErrors())
        for _ in range(100):
            context = {"exception": OSError(24, "Too many open files")}
            context["message"] = "socket.accept() out of system resource"
            loop.call_exception_handler(context)

    with caplog.at_level(logging.WARNING):
        asyncio.run(fail())
    assert caplog.messages == ["connections have to wait: [Errno 24] Too many open files"]
