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
    ranges: bool = True
    length: int | None = None  # declared instead of the true one; -1: none
    cuts: list[int | None] = field(default_factory=list)  # bytes until the connection breaks
    statuses: list[int] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)
    stalls: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)
    address: str = ""
    over: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "/pets.zip", sha256: str | None = None) -> str:
        return f"http://{self.address}{path}" + (f"#sha256={sha256}" if sha256 else "")

    def tag(self) -> str | None:
        if self.etag == "of the content":
            return f'"{hashlib.md5(self.content).hexdigest()}"'
        return self.etag

    def ranges_asked(self) -> list[str | None]:
        return [request.get("Range") for request in self.asked]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        web = self.server.web
        web.asked.append({"path": self.path, **self.headers})
        self.close_connection = True
        if self.path in web.redirects:
            return self._head(302, {"Location": web.redirects[self.path], "Content-Length": "0"})
        if web.statuses:
            return self._head(web.statuses.pop(0), {"Content-Length": "0"})
        facts = {"ETag": web.tag(), "Last-Modified": web.last_modified}
        facts = {name: value for name, value in facts.items() if value is not None}
        known = (self.headers.get("If-None-Match"), self.headers.get("If-Modified-Since"))
        if set(known) & set(facts.values()):
            return self._head(304, facts)
        return self._content(web, facts)

    def _content(self, web, facts):
        start = self._start(web, facts)
        if start is not None and start >= len(web.content):
            end = f"bytes */{len(web.content)}"
            return self._head(416, facts | {"Content-Range": end, "Content-Length": "0"})
        body = web.content[start or 0 :]
        if web.length != -1:
            facts |= {"Content-Length": str(len(body) if web.length is None else web.length)}
        if start is not None:
            end = f"bytes {start}-{len(web.content) - 1}/{len(web.content)}"
            facts |= {"Content-Range": end}
        self._head(200 if start is None else 206, facts)
        cut = web.cuts.pop(0) if web.cuts else None
        self.wfile.write(body[:cut])
        self.wfile.flush()
        if web.stalls:
            web.over.wait(10)

    def _start(self, web, facts):
        wanted = self.headers.get("Range")
        only_if = self.headers.get("If-Range")
        if wanted is None or not web.ranges or only_if not in (None, *facts.values()):
            return None
        return int(wanted.removeprefix("bytes=").removesuffix("-"))

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
