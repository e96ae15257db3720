"""Clients that ask a server one after the other's answer, as cheaply as can be: cores are shared.

Each has a connection of its own, which stays open, and sends its next request as soon as the last
one is answered.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Load:
    """What clients saw.

    Attributes:
        seconds: that they asked.
        latencies: seconds of each answer.
        statuses: how often each one came; 0 for a connection that broke.
        wrong: answers of status 200 that were not as expected.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    wrong: int = 0

    @property
    def errors(self) -> int:
        """How many requests had no right answer."""
        return self.wrong + sum(n for status, n in self.statuses.items() if status != 200)

    @property
    def per_second(self) -> float:
        """Right answers per second."""
        return (self.statuses.get(200, 0) - self.wrong) / self.seconds

    def quantile(self, share: float) -> float:
        """The latency, in milliseconds, that this share of the answers kept below."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class _Client:
    def __init__(self, where: tuple[str, int]) -> None:
        self.where = where
        self.connect()

    def connect(self) -> None:
        self.socket = socket.create_connection(self.where, timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.got = bytearray()

    def send(self, request: bytes) -> None:
        self.got.clear()
        self.began = time.perf_counter()
        self.socket.sendall(request)

    def answer(self) -> tuple[int, bytes] | None:
        """Status and body as soon as all is there."""
        chunk = self.socket.recv(2**16)
        if not chunk:
            return 0, b""
        self.got += chunk
        end = self.got.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = bytes(self.got[:end]).lower()
        start = head.index(b"content-length:") + 15
        length = int(head[start:].split(b"\r\n", 1)[0])
        if len(self.got) < end + 4 + length:
            return None
        return int(head[9:12]), bytes(self.got[end + 4 :])


def request(address: str, path: str, content_type: str, body: bytes) -> bytes:
    """A POST request as it goes over the wire."""
    host = urlsplit(address).netloc
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def ask(
    address: str,
    requests: Sequence[bytes],
    seconds: float,
    clients: int,
    right: Callable[[int, bytes], bool],
) -> Load:
    """Let clients ask for some seconds.

    Args:
        address: of the server, http://host:port.
        requests: are sent in turn, again and again.
        seconds: how long.
        clients: how many.
        right: whether a body is the answer to the request of that index.
    """
    parts = urlsplit(address)
    load, chosen = Load(), selectors.DefaultSelector()
    turn = 0
    begin = time.perf_counter()
    for _ in range(clients):
        client = _Client((parts.hostname, parts.port))
        chosen.register(client.socket, selectors.EVENT_READ, client)
        client.index = turn % len(requests)
        client.send(requests[client.index])
        turn += 1
    waiting = clients
    while waiting:
        for key, _ in chosen.select():
            client = key.data
            try:
                answer = client.answer()
            except OSError:
                answer = 0, b""
            if answer is None:
                continue
            status, body = answer
            now = time.perf_counter()
            load.statuses[status] = load.statuses.get(status, 0) + 1
            load.latencies.append(now - client.began)
            if status == 200 and not right(client.index, body):
                load.wrong += 1
            if status == 0:
                chosen.unregister(client.socket)
                client.connect()
                chosen.register(client.socket, selectors.EVENT_READ, client)
            if now - begin >= seconds:
                chosen.unregister(client.socket)
                client.socket.close()
                waiting -= 1
                continue
            client.index = turn % len(requests)
            client.send(requests[client.index])
            turn += 1
    load.seconds = time.perf_counter() - begin
    return load
