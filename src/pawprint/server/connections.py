"""Connections: how many may be open, and how long each may take to send or to receive."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import resource
import sys
from dataclasses import dataclass, field
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from pawprint.server.metrics import Metrics

HEAD_SECONDS = 10.0  # for a request's head, and for what is left of a body after its answer
TAKEN_SECONDS = 30.0  # between two looks whether an answer is taken,
LEAST_TAKEN = 1024  # bytes a second
_MOST = 2000  # open at the same time; each takes some kilobytes, also of the system
_OTHER_FILES = 64  # open ones beside connections: of the store, the log, the libraries
_BACKLOG = 100  # connections that are taken in before one is closed
# Of a body in chunks: a client that means well sends some kilobytes in each.
_CHUNKS, _CHUNK_BYTES = 2000, 512  # so many of any size, and more of that size on average
_AROUND_CHUNKS = 2**19  # bytes beside its content, and what has come but is not parsed yet

log = logging.getLogger(__name__)


@dataclass
class Connections:
    """The connections of a server.

    Attributes:
        most: that are open at the same time.
        metrics: count what is refused before the app sees it.
        idle: those that wait for a request's head; the one that waits longest is the first.
    """

    most: int
    metrics: Metrics
    idle: dict[TimedProtocol, None] = field(default_factory=dict)


def connection_limits() -> tuple[int, int]:
    """How many connections may be open, so that files are left, and how many may come at once."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files == resource.RLIM_INFINITY:
        return _MOST, _BACKLOG
    backlog = max(1, min(_BACKLOG, files // 8))
    # Twice: a connection may have an example's file open.
    return max(1, min(_MOST, (files - _OTHER_FILES - backlog) // 2)), backlog


def raise_file_limit() -> None:
    """Let this process open as many files as connections need, where it is allowed to."""
    with contextlib.suppress(OSError, ValueError):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 2 * _MOST + _OTHER_FILES + _BACKLOG
        if hard != resource.RLIM_INFINITY:
            wanted = min(wanted, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class LoopErrors:
    """Handles errors of an event loop: tells in a line, once a minute, that connections wait."""

    _SECONDS = 60.0

    def __init__(self) -> None:
        self._last = -self._SECONDS

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Handle what the event loop could not."""
        if "out of system resource" not in context.get("message", ""):
            loop.default_exception_handler(context)
        elif loop.time() - self._last >= self._SECONDS:
            self._last = loop.time()
            log.warning("connections have to wait: %s", context.get("exception"))


class _BoundedConnection(h11.Connection):
    """The parser of HTTP, which refuses bodies that cost much more to parse than they hold."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER)
        self._wire = self._body = self._chunks = 0  # of one request

    def receive_data(self, data: bytes) -> None:
        """Take in what came."""
        self._wire += len(data)
        super().receive_data(data)

    def next_event(self) -> Any:
        """The next part of a request.

        Raises:
            RemoteProtocolError: it is none, or a body of too many chunks.
        """
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._wire = self._body = self._chunks = 0
        elif isinstance(event, h11.Data):
            self._body += len(event.data)
            self._chunks += event.chunk_end
            share = self._body // _CHUNK_BYTES
            around = self._wire - self._body
            if self._chunks > _CHUNKS + share or around > _AROUND_CHUNKS + 16 * share:
                sentence = "the body comes in too many small chunks; send larger ones"
                raise h11.RemoteProtocolError(sentence, error_status_hint=413)
        return event


class TimedProtocol(H11Protocol):
    """Uvicorn's own protocol, with time limits, and a sentence for half requests."""

    def __init__(self, shared: Connections, **options: Any) -> None:
        super().__init__(**options)
        self.conn = _BoundedConnection()
        self._shared = shared
        self._deadline: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a head; where too many are open, in the place of one that is idle."""
        super().connection_made(transport)
        if len(self.connections) > self._shared.most:
            longest = next(iter(self._shared.idle), self)
            longest.end()
        if not self.transport.is_closing():
            self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_deadline()
        self._stop_taking()
        super().connection_lost(exc)

    def end(self) -> None:
        """Give up the connection at once."""
        self._stop_deadline()
        self.connections.discard(self)
        self.transport.abort()

    def pause_writing(self) -> None:
        """Begin to wait for the client to take what is written."""
        super().pause_writing()
        self._watch_taking()

    def resume_writing(self) -> None:
        """Go on writing."""
        super().resume_writing()
        self._watch_taking()

    def data_received(self, data: bytes) -> None:
        """Take in what came."""
        super().data_received(data)
        self._watch_head()

    def on_response_complete(self) -> None:
        """Begin to wait for the next head, or for the rest of a body that nobody reads."""
        super().on_response_complete()
        self._watch_head()
        self._watch_taking()

    def eof_received(self) -> bool:  # type: ignore[override]  # as asyncio calls it
        """Answer a half request; a whole one is still answered to who only stopped sending."""
        if self.conn.their_state is h11.SEND_BODY or self._half_head():
            self.send_400_response("the request ended before it was whole")
        elif self._in_work():
            self.cycle.keep_alive = False
            return True
        return False

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request, in the form of all errors."""
        # Uvicorn calls this while it handles the error, whose kind it does not tell.
        error = sys.exception()
        status = getattr(error, "error_status_hint", 400)
        if status == 431:
            self._refuse(431, "the head of the request is too large; send shorter or fewer headers")
            return
        if status == 413:
            self._refuse(413, str(error))
            return
        self._refuse(400, msg if msg[0].islower() else "this is no HTTP request that can be read")

    def _watch_head(self) -> None:
        """Start or stop the clock."""
        theirs, ours = self.conn.their_state, self.conn.our_state
        if theirs is h11.IDLE or (theirs is h11.SEND_BODY and ours is h11.DONE):
            if self._deadline is None:
                self._deadline = self.loop.call_later(HEAD_SECONDS, self._too_late)
                self._shared.idle[self] = None
        else:
            self._stop_deadline()

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
            self._shared.idle.pop(self, None)

    def _watch_taking(self) -> None:
        """Start the clock anew, or stop it where all of the answer so far is taken."""
        self._stop_taking()
        left = self.transport.get_write_buffer_size()
        if left and (self.flow.write_paused or self.transport.is_closing() or not self._in_work()):
            self._taking = self.loop.call_later(TAKEN_SECONDS, self._check_taking, left)

    def _check_taking(self, before: int) -> None:
        self._taking = None
        left = self.transport.get_write_buffer_size()
        if left > before - LEAST_TAKEN * TAKEN_SECONDS:
            self.transport.abort()
        else:
            self._watch_taking()

    def _stop_taking(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    def _in_work(self) -> bool:
        """Whether the app has a request to answer, or is in the midst of its answer."""
        return self.cycle is not None and not self.cycle.response_complete

    def _half_head(self) -> bool:
        return self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])

    def _too_late(self) -> None:
        self._stop_deadline()
        if self._half_head():
            self._refuse(408, "the request did not come to its end in time; send it again")
        else:
            self.transport.close()

    def _refuse(self, status: int, sentence: str) -> None:
        if self.transport.is_closing():
            return
        if not self._in_work():
            self._shared.metrics.answered("none", status, None)
        else:
            self.cycle.disconnected = True  # the app has nobody to answer any more
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = json.dumps({"error": sentence}).encode()
            headers = [
                ("content-type", "application/json"),
                ("content-length", str(len(body))),
                ("connection", "close"),
            ]
            reason = STATUS_PHRASES[status]
            response = h11.Response(status_code=status, headers=headers, reason=reason)
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event))
        self.transport.close()
        self._watch_taking()
