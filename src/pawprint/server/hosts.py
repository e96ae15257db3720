"""Under which names the server answers, and whose pages may ask it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.responses import JSONResponse

from pawprint.system.machine import is_this_machine

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_SAFE = ("GET", "HEAD", "OPTIONS")
_LONGEST = 100  # characters of a name that are told back


class Hosts:
    """Refuses what a page of another site makes a person's browser ask.

    A server for this machine alone answers under this machine's own names only: a page whose name
    was made to lead here (DNS rebinding) could read all it says. And a page of another site cannot
    send pictures, wherever the server listens.

    Args:
        app: who answers the rest.
        names: of hosts under which it answers too, and whose pages may ask.
        own: whether it answers under no other names than those and this machine's own.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str] = (), *, own: bool = False) -> None:
        self._app, self._own = app, own
        self._names = {host_name(name) for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the app does, or refuse."""
        refused = self._refused(scope) if scope["type"] == "http" else None
        await (refused or self._app)(scope, receive, send)

    def _refused(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        if self._own and (refused := self._misdirected(headers)):
            return refused
        return None if scope["method"] in _SAFE else self._foreign(headers)

    def _misdirected(self, headers: Headers) -> JSONResponse | None:
        host = headers.get("host")
        if host is None or (name := host_name(host)) in self._names or is_this_machine(name):
            return None
        sentence = (
            f"this server does not answer under the name {name[:_LONGEST]}; open it as localhost "
            "or 127.0.0.1, or start it with --allow-host and that name"
        )
        return JSONResponse({"error": sentence}, 421)

    def _foreign(self, headers: Headers) -> JSONResponse | None:
        """Browsers tell where a page is from: in one header, older ones in the other."""
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        host = origin.partition("://")[2].lower() if origin else ""  # none in "null"
        if site in ("same-origin", "none") or host_name(host) in self._names:
            return None
        if site is None and (origin is None or host == headers.get("host", "").lower()):
            return None
        where = f"a page of {host[:_LONGEST]}" if host else "a page of another site"
        sentence = (
            f"{where} may not ask here; ask from the server's own page, or start the server with "
            "--allow-host and the name of that site"
        )
        return JSONResponse({"error": sentence}, 403)


def host_name(host: str) -> str:
    """The name in a Host header, without its port."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".")
