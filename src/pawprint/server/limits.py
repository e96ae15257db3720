"""How much a client may send, how much is in memory at once, and how much work a file may make."""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass

from starlette.exceptions import HTTPException

from pawprint.data.decode import PictureError, pixels_told
from pawprint.data.picture import LONGEST_SIDE

MEGABYTE = 2**20
_SMALL = 2**17  # bytes of a request that wait for no others; as much stands in buffers anyway
MOST_SCANS = 100  # of a JPEG; a usual one has ten at most, and each costs as much as the picture
MOST_WORK = 1_000_000_000  # pixels of a JPEG in all its scans: about a second
MOST_PAGES = 1000  # of a TIFF; to count them takes the square of the time
_SCAN = b"\xff\xda"


@dataclass(frozen=True)
class Limits:
    """How much is taken.

    Attributes:
        file_bytes: of one picture file.
        pixels: of one decoded picture; known from the file's head, before it is decoded.
        files: of one request.
        stall_seconds: how long a client may be silent in the midst of a request.
        request_seconds: how long a request may take to arrive.
        grace_seconds: after which a body must have come, on average, with
        least_speed: in bytes a second.
        waiting_requests: that have arrived and are in work at the same time; others wait in turn
        waiting_seconds: for a place, and then are sent away for now.
    """

    file_bytes: int = 20 * MEGABYTE
    pixels: int = 50_000_000
    files: int = 32
    stall_seconds: float = 10.0
    request_seconds: float = 120.0
    grace_seconds: float = 5.0
    least_speed: float = 1000.0
    waiting_requests: int = 512
    waiting_seconds: float = 30.0

    @property
    def request_bytes(self) -> int:
        """Of the body of a request; so large that some of the largest files fit in."""
        return 4 * self.file_bytes + MEGABYTE

    @property
    def waiting_bytes(self) -> int:
        """Of all requests in memory at the same time."""
        return 4 * self.request_bytes


@dataclass(frozen=True)
class Problem:
    """Why a file gets no answer.

    Attributes:
        sentence: to stand after the file's name: "is truncated".
        status: of HTTP, where no other file of the request gets one.
    """

    sentence: str
    status: int = 422


def too_large(limits: Limits) -> Problem:
    """The problem of a file of too many bytes."""
    return Problem(f"is larger than {in_megabytes(limits.file_bytes)}: send a smaller one", 413)


def problem_of(error: PictureError, limits: Limits) -> Problem:
    """The problem of a file that could not be decoded."""
    if error.kind == "decompression bomb":
        thin = "too long" in str(error)
        most = f"{LONGEST_SIDE:,} on a side" if thin else f"{limits.pixels:,} pixels"
        most += " are taken at most: send a smaller one"
        return Problem(f"{str(error).partition(':')[0].rstrip(')')}); {most}", 413)
    return Problem(str(error), 415 if error.kind == "not a picture" else 422)


def in_megabytes(size: int) -> str:
    """Bytes as a person says them, as the page does too."""
    for unit, word in ((MEGABYTE, "MB"), (1024, "kB")):
        if size >= unit:
            return f"{float(f'{size / unit:.3g}'):,.10g} {word}"
    return f"{size} bytes"


class Admission:
    """Counts what is in memory, so that it stays below the limits whoever sends how much.

    Who finds no room waits in turn. Room for one whole request is kept for the first in turn: so
    there is always one that comes to its end, however many are in the midst of theirs.

    Attributes:
        shared: bytes for all but the first in turn.
        queue: requests that wait, how many bytes each is to take in, and what tells it so.
        places: of requests in work.
        first: who has the room that is kept.
        bytes: of all requests in memory.
    """

    def __init__(self, limits: Limits) -> None:
        self._seconds = limits.waiting_seconds
        self.shared = limits.waiting_bytes - limits.request_bytes
        self.queue: deque[tuple[Admitted, int, asyncio.Future[None]]] = deque()
        self.places = asyncio.Semaphore(limits.waiting_requests)
        self.first: Admitted | None = None
        self.bytes = 0

    def admit(self) -> Admitted:
        """Let one more request in."""
        return Admitted(self, self._seconds)

    def admit_waiting(self) -> None:
        """Take in what waits and finds room now."""
        while self.queue:
            request, size, future = self.queue[0]
            if not future.done():  # else it waited too long
                if self.bytes + size > self.shared and request is not self.first:
                    if self.first is not None:
                        return
                    self.first = request
                request.take(size)
                future.set_result(None)
            self.queue.popleft()


class Admitted:
    """One request in memory; a context, at whose end its bytes and its place are given back."""

    def __init__(self, admission: Admission, seconds: float) -> None:
        self._admission, self._seconds = admission, seconds
        self._placed = False
        self.bytes = 0

    @property
    def first(self) -> bool:
        """Whether others wait until it has come to its end."""
        return self._admission.first is self

    def fits(self, size: int) -> bool:
        """Whether there is room for ``size`` more bytes at once; else ``wait``."""
        if self.first or self.bytes + size <= _SMALL:
            return True
        admission = self._admission
        return not admission.queue and admission.bytes + size <= admission.shared

    def take(self, size: int) -> None:
        """Count ``size`` more bytes."""
        self.bytes += size
        self._admission.bytes += size

    async def wait(self, size: int) -> None:
        """Take ``size`` more bytes in when it is its turn.

        Raises:
            HTTPException: 503, it took too long.
        """
        turn = asyncio.get_running_loop().create_future()
        self._admission.queue.append((self, size, turn))
        self._admission.admit_waiting()
        await self._in_time(turn)

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
            async with asyncio.timeout(self._seconds):
                await turn
        except TimeoutError:
            self._admission.admit_waiting()
            sentence = "too many requests wait; ask again in a moment"
            raise HTTPException(503, sentence, {"retry-after": "1"}) from None

    def __enter__(self) -> Admitted:
        return self

    def __exit__(self, *_: object) -> None:
        admission = self._admission
        admission.bytes -= self.bytes
        if self._placed:
            admission.places.release()
        if self.first:
            admission.first = None
        admission.admit_waiting()


def decode_cost(content: bytes) -> int:
    """How much time and memory it takes to decode a picture file, in pixels of a PNG.

    A JPEG that is told in one scan takes a quarter; most of it is never made. What cannot be told
    is 0: then it is no picture.

    Raises:
        PictureError: the file is made to keep a decoder busy.
    """
    if content.startswith(b"\xff\xd8"):
        scans = content.count(_SCAN)
        if scans > MOST_SCANS:
            raise PictureError(f"cannot be read: it has more than {MOST_SCANS} scans")
        work = pixels_told(content) * max(1, scans)
        if work > MOST_WORK:
            raise PictureError(f"cannot be read: it has {scans} scans, too many for its size")
        return work // 4
    if content[:2] in (b"II", b"MM") and _has_more_pages(content, MOST_PAGES):
        raise PictureError(f"cannot be read: it has more than {MOST_PAGES:,} pages")
    return pixels_told(content)


def _has_more_pages(content: bytes, most: int) -> bool:
    """Whether the chain of a TIFF's pages, one of classic or of big ones, is longer than that."""
    order = "<" if content.startswith(b"II") else ">"
    try:
        (version,) = struct.unpack_from(f"{order}H", content, 2)
        big = version == 43
        count, entry, offset = ("Q", 20, "Q") if big else ("H", 12, "I")
        (place,) = struct.unpack_from(order + offset, content, 8 if big else 4)
        for _ in range(most):
            if place == 0:
                return False
            (entries,) = struct.unpack_from(order + count, content, place)
            place += struct.calcsize(count) + entry * entries
            (place,) = struct.unpack_from(order + offset, content, place)
    except struct.error:  # the chain leads out of the file
        return False
    return place != 0
