"""The page, the description of the API, and the pictures of the project that they offer to try."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from pawprint import pages
from pawprint.data.layout import files_below
from pawprint.server import schemas
from pawprint.system.errors import UserError

_FILES = Path(__file__).parent / "page"
_STYLE = Path(pages.__file__).with_name("page.css")
_FRESH = {"cache-control": "no-cache"}
MOST_EXAMPLES = 8
_LOOKED_AT = 2000  # files; a folder of millions is not listed for eight
_MEDIA_TYPES = {  # what browsers show; SVG is none of them: it can hold a script
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".bmp": "image/bmp",
}


def add_page(app: FastAPI) -> None:
    """The page, the description of the API, and what they load."""

    def add(path: str, media_type: str, *files: Path) -> None:
        content = b"".join(file.read_bytes() for file in files)

        async def page() -> Response:
            return Response(content, headers=_FRESH, media_type=media_type)

        app.add_api_route(path, page, include_in_schema=False)

    add("/", "text/html", _FILES / "page.html")
    add("/docs", "text/html", _FILES / "docs.html")
    add("/style.css", "text/css", _STYLE, _FILES / "serve.css")
    add("/icon.svg", "image/svg+xml", _FILES / "icon.svg")
    for name in ("page.js", "camera.js", "docs.js"):
        add(f"/{name}", "text/javascript", _FILES / name)


def add_examples(app: FastAPI, examples: Sequence[Example]) -> None:
    """The list of pictures to try, and the content of each."""

    @app.get("/examples", response_description="Names.", response_model=schemas.Examples)
    async def list_examples() -> Any:
        """List pictures to try."""
        return {"examples": [example.path.name for example in examples]}

    @app.get(
        "/examples/{place}",
        response_class=Response,
        response_description="A picture file.",
        responses={
            200: {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}},
            404: {"description": "There is none.", "model": schemas.Error},
            422: {"description": "It is no number.", "model": schemas.Error},
        },
    )
    def example(request: Request, place: int) -> Response:
        """Give the content of a picture to try, counted from 0."""
        try:
            if place < 0:
                raise IndexError
            chosen = examples[place]
            with chosen.path.open("rb") as file:
                facts = os.fstat(file.fileno())
        except (IndexError, OSError):
            raise HTTPException(404) from None
        # As a whole, in pieces that wait until the client takes them: nobody needs a part.
        request.scope["headers"] = [one for one in request.headers.raw if one[0] != b"range"]
        headers = {"accept-ranges": "none"}
        return FileResponse(chosen.path, 200, headers, chosen.media_type, stat_result=facts)


@dataclass(frozen=True)
class Example:
    """A picture file and its content type."""

    path: Path
    media_type: str


def find_examples(images: Path | None, most_bytes: int) -> list[Example]:
    """At most eight pictures of a folder, spread over it; none where there is no such folder.

    Args:
        images: a folder, or a picture.
        most_bytes: of a file; larger ones are passed over.
    """
    if images is None or not images.exists():
        return []
    try:
        files = sorted(islice(files_below(images), _LOOKED_AT)) if images.is_dir() else [images]
    except UserError:
        return []
    found = [
        Example(path, _MEDIA_TYPES[path.suffix.lower()])
        for path in map(Path, files)
        if path.suffix.lower() in _MEDIA_TYPES
        and path.is_file()
        and path.stat().st_size <= most_bytes
    ]
    count = min(MOST_EXAMPLES, len(found))
    return [found[place * len(found) // count] for place in range(count)]
