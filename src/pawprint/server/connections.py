"""How many connections may be open, so that no file is wanting."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pawprint.server.metrics import Metrics
    from pawprint.server.protocol import PatientProtocol

_MOST = 2000  # open at the same time; each takes some kilobytes, also of the system
_OTHER_FILES = 64  # open ones beside connections: of the store, the log, the libraries
_AT_A_TIME = 100  # connections that are taken in before one is closed

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
    idle: dict[PatientProtocol, None] = field(default_factory=dict)


def room() -> tuple[int, int]:
    """How many connections may be open, so that files are left, and how many may come at once."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return _MOST, _AT_A_TIME
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files == resource.RLIM_INFINITY:
        return _MOST, _AT_A_TIME
    backlog = max(1, min(_AT_A_TIME, files // 8))
    # Twice: a connection may have an example's file open.
    return max(1, min(_MOST, (files - _OTHER_FILES - backlog) // 2)), backlog


def ask_for_files() -> None:
    """Let this process open as many files as connections need, where it is allowed to."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 2 * _MOST + _OTHER_FILES + _AT_A_TIME
        if hard != resource.RLIM_INFINITY:
            wanted = min(wanted, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Once:
    """Tells that no connection can be taken in, once a minute and in a line."""

    _SECONDS = 60.0

    def __init__(self) -> None:
        self._told = -self._SECONDS

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Handle what the event loop could not."""
        if "out of system resource" not in context.get("message", ""):
            loop.default_exception_handler(context)
        elif loop.time() - self._told >= self._SECONDS:
            self._told = loop.time()
            log.warning("connections have to wait: %s", context.get("exception"))
