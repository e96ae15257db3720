"""Running the server until somebody stops it."""

from __future__ import annotations

import asyncio
import errno
import functools
import logging
import signal
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pawprint.server.connections import Connections, Once, ask_for_files, room
from pawprint.system.errors import UserError
from pawprint.system.machine import is_this_machine

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

PATIENCE = 30  # seconds for requests in work when the server is to end
_IDLE = 15  # seconds that a connection may wait for its next request


def bind(host: str, port: int) -> socket.socket:
    """A listening socket.

    Args:
        host: name or address.
        port: 0 takes a free one.

    Raises:
        UserError: it is in use, not allowed, or no address of this machine.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise UserError(
            f"--host is {host}, which is no address ({_reason(error)}); give one of this machine, "
            "as 127.0.0.1, or 0.0.0.0 for all of them"
        ) from None
    try:
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


def make_server(app: FastAPI) -> uvicorn.Server:
    """A server of an app; ``run(sockets=[…])`` runs it until ``should_exit`` is set."""
    import uvicorn

    from pawprint.server.protocol import PatientProtocol

    connections, backlog = room()
    for name in ("python_multipart", "python_multipart.multipart"):  # warns of each bad form
        logging.getLogger(name).setLevel(logging.ERROR)
    config = uvicorn.Config(
        app,
        http=functools.partial(PatientProtocol, Connections(connections, app.state.metrics)),
        backlog=backlog,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_IDLE,
        timeout_graceful_shutdown=PATIENCE,
    )
    return uvicorn.Server(config)


def run(app: FastAPI, listening: socket.socket, begun: Callable[[], None]) -> None:
    """Answer requests until Ctrl-C or SIGTERM; those in work are answered first, or are cut off by
    a second Ctrl-C.

    Args:
        app: the server.
        listening: where it listens.
        begun: is called as soon as it answers.
    """
    ask_for_files()
    server = make_server(app)
    startup = server.startup

    async def start(*arguments: Any, **named: Any) -> None:
        asyncio.get_running_loop().set_exception_handler(Once())
        await startup(*arguments, **named)
        begun()

    def worth_telling(record: logging.LogRecord) -> bool:
        cut_off = record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError)
        return not (cut_off or server.force_exit)

    server.startup = start
    uvicorns = logging.getLogger("uvicorn.error")
    uvicorns.addFilter(worth_telling)
    # Uvicorn raises the signal that ended it once more; to be stopped is how a server ends. And
    # SIGPIPE, which ends a command that nobody reads any more, comes with clients that left.
    ended_by = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGPIPE") if hasattr(signal, n)]
    before = {one: signal.signal(one, _nothing) for one in ended_by}
    try:
        server.run(sockets=[listening])
    finally:
        uvicorns.removeFilter(worth_telling)
        for one, handler in before.items():
            signal.signal(one, signal.SIG_DFL if handler is None else handler)


def _nothing(*_: Any) -> None:
    """Do nothing."""
