"""Which requests may come into memory now, and which wait in turn."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable

from pawprint.server.limits import Limits, RefusedError

_SMALL = 2**17  # bytes of a request that wait for no others; as much stands in buffers anyway


class Admission:
    """Counts what is in memory, so that it stays below the limits whoever sends how much.

    Who finds no room waits in turn. Room for one whole request is kept for the first in turn: so
    there is always one that comes to its end, however many are in the midst of theirs.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._shared = limits.waiting_bytes - limits.request_bytes
        self._queue: deque[tuple[Admitted, int, asyncio.Future[None]]] = deque()
        self.places = asyncio.Semaphore(limits.waiting_requests)
        self.first: Admitted | None = None  # who has the room that is kept
        self.bytes = 0

    def enter(self) -> Admitted:
        """Let one more request in."""
        return Admitted(self, self._limits.waiting_seconds)

    def fits(self, one: Admitted, size: int) -> bool:
        """Whether ``size`` more bytes of a request need not wait."""
        if one is self.first or one.bytes + size <= _SMALL:
            return True
        return not self._queue and self.bytes + size <= self._shared

    def wait(self, one: Admitted, size: int) -> asyncio.Future[None]:
        """Done as soon as ``size`` more bytes of a request are taken in."""
        future = asyncio.get_running_loop().create_future()
        self._queue.append((one, size, future))
        self.go_on()
        return future

    def go_on(self) -> None:
        """Take in what waits and finds room now."""
        while self._queue:
            one, size, future = self._queue[0]
            if not future.done():  # else it waited too long
                if self.bytes + size > self._shared and one is not self.first:
                    if self.first is not None:
                        return
                    self.first = one
                one.take(size)
                future.set_result(None)
            self._queue.popleft()


class Admitted:
    """One request in memory; a context, at whose end its bytes and its place are given back."""

    def __init__(self, admission: Admission, patience: float) -> None:
        self._admission, self._patience = admission, patience
        self._placed = False
        self.bytes = 0

    @property
    def first(self) -> bool:
        """Whether others wait until it has come to its end."""
        return self._admission.first is self

    def fits(self, size: int) -> bool:
        """Whether there is room for ``size`` more bytes at once; else ``wait``."""
        return self._admission.fits(self, size)

    def take(self, size: int) -> None:
        """Count ``size`` more bytes."""
        self.bytes += size
        self._admission.bytes += size

    async def wait(self, size: int) -> None:
        """Take ``size`` more bytes in when it is its turn.

        Raises:
            RefusedError: 503, it took too long.
        """
        await self._in_time(self._admission.wait(self, size))

    async def place(self) -> None:
        """Go in work, whole as it is; the same."""
        places = self._admission.places
        if places.locked():
            await self._in_time(places.acquire())
        else:
            await places.acquire()
        self._placed = True

    async def _in_time(self, turn: Awaitable[object]) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await turn
        except TimeoutError:
            self._admission.go_on()
            sentence = "too many requests wait; ask again in a moment"
            raise RefusedError(503, sentence, {"retry-after": "1"}) from None

    def __enter__(self) -> Admitted:
        return self

    def __exit__(self, *_: object) -> None:
        admission = self._admission
        admission.bytes -= self.bytes
        if self._placed:
            admission.places.release()
        if self.first:
            admission.first = None
        admission.go_on()
