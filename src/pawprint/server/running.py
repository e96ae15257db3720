"""Running the server until somebody stops it."""

import asyncio
import errno
import functools
import logging
import signal
import socket
from collections.abc import Callable
from typing import cast

import uvicorn
from fastapi import FastAPI

from pawprint.server.connections import (
    Connections,
    LoopErrors,
    TimedProtocol,
    connection_limits,
    raise_file_limit,
)
from pawprint.system.errors import UserError
from pawprint.system.machine import is_this_machine

GRACE_SECONDS = 30  # seconds for requests in work when the server is to end
_IDLE = 15  # seconds that a connection may wait for its next request


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        UserError: it is in use, not allowed, or no address of this machine.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        # With the protocol named asyncio sends at once; else each answer would wait for 40 ms.
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(1024)
        except BaseException:
            listening.close()
            raise
        return listening
    except (socket.gaierror, UnicodeError) as error:
        raise UserError(
            f"--host is {host}, which is no address ({_reason(error)}); give one of this machine, "
            "as 127.0.0.1, or 0.0.0.0 for all of them"
        ) from None
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise UserError(
                f"--host is {host}, which is no address of this machine; give one that is, as "
                "127.0.0.1, or 0.0.0.0 for all of them"
            ) from None
        raise UserError(
            f"{host} port {port} cannot be listened at ({_reason(error)}); give another --port, "
            "or --port 0 for a free one"
        ) from None


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


def address_of(listening: socket.socket) -> str:
    """Where a browser on this machine finds it."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def is_local(listening: socket.socket) -> bool:
    """Whether only this machine can reach it."""
    return is_this_machine(listening.getsockname()[0])


class _Server(uvicorn.Server):
    """Uvicorn's server, which tells when it answers."""

    def __init__(self, config: uvicorn.Config, begun: Callable[[], None]) -> None:
        super().__init__(config)
        self._begun = begun

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(LoopErrors())
        await super().startup(sockets)
        self._begun()


def make_server(app: FastAPI, begun: Callable[[], None] = lambda: None) -> uvicorn.Server:
    """A server of an app; ``run(sockets=[…])`` runs it until ``should_exit`` is set.

    As soon as it answers, ``begun`` is called.
    """
    connections, backlog = connection_limits()
    for name in ("python_multipart", "python_multipart.multipart"):  # warns of each bad form
        logging.getLogger(name).setLevel(logging.ERROR)
    protocol = functools.partial(TimedProtocol, Connections(connections, app.state.metrics))
    config = uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", protocol),  # it is only called
        backlog=backlog,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_IDLE,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return _Server(config, begun)


def run(app: FastAPI, listening: socket.socket, begun: Callable[[], None]) -> None:
    """Answer requests until Ctrl-C or SIGTERM; those in work are answered first, or are cut off by
    a second Ctrl-C. The process is to end afterwards: it ignores both signals from then on.
    """
    raise_file_limit()
    server = make_server(app, begun)

    def worth_telling(record: logging.LogRecord) -> bool:
        cut_off = record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError)
        return not (cut_off or server.force_exit)

    uvicorns = logging.getLogger("uvicorn.error")
    uvicorns.addFilter(worth_telling)
    # Uvicorn has these handlers while it runs, and raises the signal that ended it once more; to
    # be stopped is how a server ends. SIGPIPE, which ends a command that nobody reads any more,
    # comes with clients that left.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, server.handle_exit)
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        server.run(sockets=[listening])
    finally:
        # Until Python has ended: its own end would let a late Ctrl-C kill the process, and only
        # what is ignored stays so.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        uvicorns.removeFilter(worth_telling)
