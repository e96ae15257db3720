"""A web server on this machine that can misbehave."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class Web:
    """What the server has and how it behaves; lists hold one entry per answer, in their order."""

    content: bytes = b""
    etag: str | None = "of the content"
    last_modified: str | None = None
    length: int | None = None  # declared instead of the true one; -1: none
    cuts: list[int | None] = field(default_factory=list)  # bytes until the connection breaks
    statuses: list[int] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)
    stalls: bool = False
    password: str | None = None  # the header that is demanded
    asked: list[dict[str, str]] = field(default_factory=list)
    address: str = ""
    over: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "/pets.zip", sha256: str | None = None) -> str:
        return f"http://{self.address}{path}" + (f"#sha256={sha256}" if sha256 else "")

    def tag(self) -> str | None:
        if self.etag == "of the content":
            return f'"{hashlib.md5(self.content).hexdigest()}"'
        return self.etag

    def methods(self) -> list[str]:
        return [request["method"] for request in self.asked]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def _answer(self):
        web = self.server.web
        web.asked.append({"method": self.command, "path": self.path, **self.headers})
        self.close_connection = True
        if self.path in web.redirects:
            return self._head(302, {"Location": web.redirects[self.path], "Content-Length": "0"})
        if web.statuses:
            return self._head(web.statuses.pop(0), {"Content-Length": "0"})
        if web.password and self.headers.get("Authorization") != web.password:
            return self._head(401, {"Content-Length": "0"})
        facts = {"ETag": web.tag(), "Last-Modified": web.last_modified}
        if web.length != -1:
            facts["Content-Length"] = str(len(web.content) if web.length is None else web.length)
        self._head(200, {name: value for name, value in facts.items() if value is not None})
        if self.command == "HEAD":
            return None
        cut = web.cuts.pop(0) if web.cuts else None
        self.wfile.write(web.content[:cut])
        self.wfile.flush()
        if web.stalls:
            web.over.wait(10)

    def _head(self, status, headers):
        self.send_response(status)
        self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_):
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A client that goes away is nothing to print."""


@pytest.fixture
def web() -> Iterator[Web]:
    """A server at ``web.address``, stopped after the test."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.web = Web(address=f"127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server.web
        server.web.over.set()
        server.shutdown()
        thread.join()
