"""What a request asks for, in the one form that the routes know."""

from __future__ import annotations

import urllib.parse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_WHOLE = (b"http://", b"https://")


class PlainTargets:
    """Lets an app see HEAD as GET, whose body Uvicorn leaves out, and whole addresses, as proxies
    are sent them, as their paths.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the app does."""
        if scope["type"] == "http":
            if scope["method"] == "HEAD":
                scope = {**scope, "method": "GET"}  # the server's own stays
            raw = scope["raw_path"]
            if raw[:8].lower().startswith(_WHOLE):
                raw = b"/" + raw.partition(b"://")[2].partition(b"/")[2]
                scope = {**scope, "raw_path": raw, "path": urllib.parse.unquote(raw.decode())}
        await self._app(scope, receive, send)
