"""HTTP whose patience ends: a request that does not come to its end does not stay for ever."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

HEAD_SECONDS = 10.0  # for a request's head, and for what is left of a body after its answer


class PatientProtocol(H11Protocol):
    """Uvicorn's own protocol, with a time limit for heads and a sentence for half requests."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in what came."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """Begin to wait for the next head, or for the rest of a body that nobody reads."""
        super().on_response_complete()
        self._look()

    def eof_received(self) -> bool:
        """Answer a half request; a whole one is still answered to who only stopped sending."""
        if self.conn.their_state is h11.SEND_BODY or self._half_head():
            self.send_400_response("the request ended before it was whole")
        elif self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
            return True
        return False

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request, in the form of all errors."""
        self._refuse(400, msg if msg[0].islower() else "this is no HTTP request that can be read")

    def _look(self) -> None:
        """Start or stop the clock."""
        theirs, ours = self.conn.their_state, self.conn.our_state
        if theirs is h11.IDLE or (theirs is h11.SEND_BODY and ours is h11.DONE):
            if self._deadline is None:
                self._deadline = self.loop.call_later(HEAD_SECONDS, self._too_late)
        else:
            self._stop()

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _half_head(self) -> bool:
        return self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])

    def _too_late(self) -> None:
        self._deadline = None
        if self._half_head():
            self._refuse(408, "the request did not come to its end in time; send it again")
        else:
            self.transport.close()

    def _refuse(self, status: int, sentence: str) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
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
