"""How much a client may send, and the error that says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pawprint.data.decode import PictureError

MEGABYTE = 2**20


class RefusedError(Exception):
    """A request that is not answered as asked.

    Attributes:
        status: of HTTP, 4xx, or 503 where the server has too much to do.
        sentence: what was wrong and what to do.
        headers: of the response, beside the usual ones.
    """

    def __init__(
        self, status: int, sentence: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = dict(headers or {})


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
        most = f"{limits.pixels:,} pixels are taken at most: send a smaller one"
        return Problem(f"{str(error).partition(':')[0].rstrip(')')}); {most}", 413)
    return Problem(str(error), 415 if error.kind == "not a picture" else 422)


def in_megabytes(size: int) -> str:
    """Bytes as a person says them, as the page does too."""
    for unit, word in ((MEGABYTE, "MB"), (1024, "kB")):
        if size >= unit:
            return f"{float(f'{size / unit:.3g}'):,.10g} {word}"
    return f"{size} bytes"
