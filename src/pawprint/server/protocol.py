"""HTTP whose patience ends: nobody keeps a connection by sending, or taking, half or nothing."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from pawprint.server.connections import Connections

HEAD_SECONDS = 10.0  # for a request's head, and for what is left of a body after its answer
TAKEN_SECONDS = 30.0  # between two looks whether an answer is taken,
LEAST_TAKEN = 1024  # bytes a second


class PatientProtocol(H11Protocol):
    """Uvicorn's own protocol, with time limits, and a sentence for half requests.

    Args:
        own: the connections of its server.
        named: as of Uvicorn's own.
    """

    def __init__(self, own: Connections, **named: Any) -> None:
        super().__init__(**named)
        self._own = own
        self._deadline: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a head; where too many are open, in the place of one that is idle."""
        super().connection_made(transport)
        if len(self.connections) > self._own.most:
            longest = next(iter(self._own.idle), self)
            longest.end()
        if not self.transport.is_closing():
            self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop()
        self._stop_taking()
        super().connection_lost(exc)

    def end(self) -> None:
        """Give up the connection at once."""
        self._stop()
        self.connections.discard(self)
        self.transport.abort()

    def pause_writing(self) -> None:
        """Begin to wait for the client to take what is written."""
        super().pause_writing()
        self._look_at_taking()

    def resume_writing(self) -> None:
        """Go on writing."""
        super().resume_writing()
        self._look_at_taking()

    def data_received(self, data: bytes) -> None:
        """Take in what came."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """Begin to wait for the next head, or for the rest of a body that nobody reads."""
        super().on_response_complete()
        self._look()
        self._look_at_taking()

    def eof_received(self) -> bool:
        """Answer a half request; a whole one is still answered to who only stopped sending."""
        if self.conn.their_state is h11.SEND_BODY or self._half_head():
            self.send_400_response("the request ended before it was whole")
        elif self._asked():
            self.cycle.keep_alive = False
            return True
        return False

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request, in the form of all errors."""
        # Uvicorn calls this while it handles the error, whose kind it does not tell.
        if getattr(sys.exception(), "error_status_hint", 400) == 431:
            self._refuse(431, "the head of the request is too large; send shorter or fewer headers")
            return
        self._refuse(400, msg if msg[0].islower() else "this is no HTTP request that can be read")

    def _look(self) -> None:
        """Start or stop the clock."""
        theirs, ours = self.conn.their_state, self.conn.our_state
        if theirs is h11.IDLE or (theirs is h11.SEND_BODY and ours is h11.DONE):
            if self._deadline is None:
                self._deadline = self.loop.call_later(HEAD_SECONDS, self._too_late)
                self._own.idle[self] = None
        else:
            self._stop()

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
            self._own.idle.pop(self, None)

    def _look_at_taking(self) -> None:
        """Start the clock anew, or stop it where all of the answer so far is taken."""
        self._stop_taking()
        left = self.transport.get_write_buffer_size()
        if left and (self.flow.write_paused or self.transport.is_closing() or not self._asked()):
            self._taking = self.loop.call_later(TAKEN_SECONDS, self._take_stock, left)

    def _take_stock(self, before: int) -> None:
        self._taking = None
        left = self.transport.get_write_buffer_size()
        if left > before - LEAST_TAKEN * TAKEN_SECONDS:
            self.transport.abort()
        else:
            self._look_at_taking()

    def _stop_taking(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    def _asked(self) -> bool:
        """Whether the app has a request to answer, or is in the midst of its answer."""
        return self.cycle is not None and not self.cycle.response_complete

    def _half_head(self) -> bool:
        return self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])

    def _too_late(self) -> None:
        self._stop()
        if self._half_head():
            self._refuse(408, "the request did not come to its end in time; send it again")
        else:
            self.transport.close()

    def _refuse(self, status: int, sentence: str) -> None:
        if self.transport.is_closing():
            return
        if not self._asked():
            self._own.metrics.answered("none", status, None)
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
        self._look_at_taking()
