"""The routes of the server."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query
from fastapi.exceptions import RequestValidationError
from PIL import Image
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response

from pawprint import pages
from pawprint.inference.prediction_log import SeenLog
from pawprint.server import responses as answers
from pawprint.server.admission import Admission
from pawprint.server.batching import Batcher
from pawprint.server.examples import Example
from pawprint.server.hosts import Hosts
from pawprint.server.limits import Limits, RefusedError
from pawprint.server.metrics import Metrics
from pawprint.server.metrics_middleware import PREDICT, Observed
from pawprint.server.predict_endpoint import answer
from pawprint.server.reload import Watched
from pawprint.server.uploads import read_uploads
from pawprint.server.url_middleware import PlainTargets

_FILES = Path(__file__).parent / "page"
_STYLE = Path(pages.__file__).with_name("page.css")
_FRESH = {"cache-control": "no-cache"}

_FILE = {"type": "string", "format": "binary", "description": "The content of one picture file."}
_UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "files": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "description": "Picture files; the field may also be called file.",
                        }
                    },
                    "required": ["files"],
                }
            },
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "pictures": {
                            "type": "array",
                            "items": {"type": "string", "format": "byte"},
                            "description": "Picture files in base64, or data: URLs of them.",
                        }
                    },
                    "required": ["pictures"],
                }
            },
            "image/*": {"schema": _FILE},
            "application/octet-stream": {"schema": _FILE},
        },
    }
}
_REFUSED = {
    400: "The request cannot be read.",
    403: "A page of another site asked.",
    408: "The request did not come to its end.",
    413: "Too many bytes, pixels or files.",
    415: "No picture, or a body of another form.",
    422: "No file is a picture, or there is none.",
    503: "Too many requests wait; Retry-After says when to ask again.",
}
_OF_FILES = (413, 415, 422)  # with these, each file of a request that could be read has its problem
_PROBLEMS = answers.Predictions | answers.Error
_ANY = {421: "The server does not answer under this name.", 500: "The server failed."}


def make_app(
    watched: Watched,
    examples: Sequence[Example],
    limits: Limits,
    seen: SeenLog | None = None,
    *,
    hosts: Sequence[str] = (),
    local: bool = False,
) -> FastAPI:
    """The server, as an ASGI app.

    Args:
        watched: who answers.
        examples: pictures for the page to offer.
        limits: of requests.
        seen: remembers the pictures. Defaults to none.
        hosts: names of other hosts under which it answers, and whose pages may ask; see ``Hosts``.
        local: whether it is for this machine alone. Defaults to False.
    """
    batcher: Batcher | None = None
    metrics = Metrics(lambda: batcher.waiting if batcher else 0, lambda: watched.looked)
    admission = Admission(limits)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        nonlocal batcher
        batcher = Batcher(metrics.batch)
        metrics.model(watched.model)
        watched.start(metrics.model)
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, limits.pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before
            watched.close()
            batcher.close()

    app = FastAPI(
        title="pawprint",
        summary="Classifies pictures.",
        version="1",
        docs_url=None,  # they would load scripts from another host
        redoc_url=None,
        lifespan=lifespan,
        responses={
            status: {"description": words, "model": answers.Error} for status, words in _ANY.items()
        },
    )
    app.state.metrics = metrics
    app.add_middleware(Hosts, names=hosts, own=local)
    app.add_middleware(Observed, metrics=metrics)
    app.add_middleware(PlainTargets)  # around all of it
    _add_errors(app)

    @app.post(
        PREDICT,
        openapi_extra=_UPLOAD,
        response_model=answers.Predictions,
        response_description="Answers.",
        responses={
            status: {
                "description": words,
                "model": _PROBLEMS if status in _OF_FILES else answers.Error,
            }
            for status, words in _REFUSED.items()
        },
    )
    async def predict(
        request: Request,
        maps: Annotated[bool, Query(description="Also tell where the model looked.")] = False,
    ) -> Response:
        """Classify pictures: as many as limits of /limits allow, in one form or the other.

        Where one file, at least, is a picture, the status is 200, and the others have a problem.
        """
        with admission.enter() as admitted:
            uploads = await read_uploads(request, limits, admitted)
            await admitted.place()
            status, content = await answer(
                uploads, watched.model, batcher, metrics, limits, maps=maps, seen=seen
            )
        return Response(content, status, {"cache-control": "no-store"}, "application/json")

    @app.get("/health", response_description="It does.", response_model=answers.Health)
    async def health() -> Any:
        """Tell that the server answers."""
        return {"status": "ok", "model": watched.model.source.name}

    @app.get("/model", response_description="Facts.", response_model=answers.ModelFacts)
    async def model() -> Any:
        """Tell who answers, where it comes from and how well it does."""
        return watched.model.facts()

    @app.get("/limits", response_description="Numbers.", response_model=answers.Limits)
    async def how_much() -> Any:
        """Tell how much is taken."""
        return {"file_bytes": limits.file_bytes, "pixels": limits.pixels, "files": limits.files}

    @app.get("/metrics", response_description="Text.", response_class=PlainTextResponse)
    def measured() -> Response:
        """Tell Prometheus what happened."""
        content, kind = metrics.text()
        return Response(content, headers={"content-type": kind})

    _add_pages(app)
    _add_examples(app, examples)
    return app


def _add_pages(app: FastAPI) -> None:
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


def _add_examples(app: FastAPI, examples: Sequence[Example]) -> None:
    @app.get("/examples", response_description="Names.", response_model=answers.Examples)
    async def list_examples() -> Any:
        """List pictures to try."""
        return {"examples": [example.path.name for example in examples]}

    @app.get(
        "/examples/{place}",
        response_class=Response,
        response_description="A picture file.",
        responses={
            200: {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}},
            404: {"description": "There is none.", "model": answers.Error},
            422: {"description": "It is no number.", "model": answers.Error},
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


def _add_errors(app: FastAPI) -> None:
    """Let every error be one sentence."""

    def failed(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
        return JSONResponse({"error": sentence}, status, headers)

    @app.exception_handler(RefusedError)
    async def refused(_: Request, error: RefusedError) -> Response:
        return failed(error.status, error.sentence, error.headers)

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, __: ClientDisconnect) -> Response:
        return failed(400, "the request ended before it was whole")  # perhaps nobody reads it

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return failed(422, f"{first['loc'][-1]}: {first['msg'].lower()}; see /docs")

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        words = functools.partial("{} {} {}; see /docs".format)
        sentence = {
            404: words("there is no", request.url.path, "here"),
            405: words(request.url.path, "does not take", request.method),
        }.get(error.status_code, HTTPStatus(error.status_code).phrase)
        return failed(error.status_code, sentence, error.headers)

    @app.exception_handler(Exception)
    async def broken(_: Request, __: Exception) -> Response:
        return failed(500, "the server failed; its log says why")
