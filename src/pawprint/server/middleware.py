"""Around every request: what it asks for, who may ask, what it counts for, the headers it gets."""

import time
import urllib.parse
from collections.abc import Iterable
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pawprint.server.metrics import Metrics
from pawprint.system.machine import is_this_machine

PREDICT = "/predict"
# Nothing from another host, no script but the page's own file, and no other page around it.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SECURITY_HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), geolocation=(), microphone=()"),
]
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_LONGEST = 100  # characters of a name that are told back


class RequestMiddleware:
    """Counts the requests to an app, and adds security headers to its responses.

    The app sees HEAD as GET, whose body Uvicorn leaves out, and whole addresses, as proxies are
    sent them, as their paths.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the app does."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # the server's own stays
        raw = scope["raw_path"]
        if raw[:8].lower().startswith((b"http://", b"https://")):
            raw = b"/" + raw.partition(b"://")[2].partition(b"/")[2]
            scope = {**scope, "raw_path": raw, "path": urllib.parse.unquote(raw.decode())}
        began = time.perf_counter()
        status = 0

        async def send_more(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_SECURITY_HEADERS]
            await send(message)

        try:
            await self._app(scope, receive, send_more)
        finally:
            route: Any = getattr(scope.get("route"), "path", "other")
            seconds = time.perf_counter() - began if route == PREDICT else None
            self._metrics.answered(route, status, seconds)


class HostMiddleware:
    """Refuses what a page of another site makes a person's browser ask.

    A server for this machine alone answers under this machine's own names only: a page whose name
    was made to lead here (DNS rebinding) could read all it says. And a page of another site cannot
    send pictures, wherever the server listens.

    Args:
        app: who answers the rest.
        names: of hosts under which it answers too, and whose pages may ask.
        local: whether it answers under no other names than those and this machine's own.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str] = (), *, local: bool = False) -> None:
        self._app, self._local = app, local
        self._names = {host_name(name) for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the app does, or refuse."""
        refusal = None
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            if self._local:
                refusal = self._wrong_host(headers)
            if refusal is None and scope["method"] not in _SAFE_METHODS:
                refusal = self._wrong_origin(headers)
        await (refusal or self._app)(scope, receive, send)

    def _wrong_host(self, headers: Headers) -> JSONResponse | None:
        host = headers.get("host")
        if host is None or (name := host_name(host)) in self._names or is_this_machine(name):
            return None
        sentence = (
            f"this server does not answer under the name {name[:_LONGEST]}; open it as localhost "
            "or 127.0.0.1, or start it with --allow-host and that name"
        )
        return JSONResponse({"error": sentence}, 421)

    def _wrong_origin(self, headers: Headers) -> JSONResponse | None:
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
