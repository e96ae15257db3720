"""The routes of the server."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Query
from fastapi.exceptions import RequestValidationError
from PIL import Image
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from pawprint.inference.prediction_log import PredictionLog
from pawprint.server import schemas
from pawprint.server.batching import Batcher
from pawprint.server.limits import Admission, Limits, RefusedError
from pawprint.server.metrics import CONTENT_TYPE, Metrics
from pawprint.server.middleware import (
    PREDICT,
    HostMiddleware,
    MetricsMiddleware,
    TargetMiddleware,
)
from pawprint.server.model import WatchedModel
from pawprint.server.page_routes import Example, add_examples, add_page
from pawprint.server.predict_endpoint import predict_uploads
from pawprint.server.uploads import read_uploads

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
_PROBLEMS = schemas.Predictions | schemas.Error
_ANY = {421: "The server does not answer under this name.", 500: "The server failed."}


def make_app(
    watched: WatchedModel,
    examples: Sequence[Example],
    limits: Limits,
    log: PredictionLog | None = None,
    *,
    hosts: Sequence[str] = (),
    local: bool = False,
) -> FastAPI:
    """The server, as an ASGI app.

    Args:
        watched: who answers.
        examples: pictures for the page to offer.
        limits: of requests.
        log: remembers the pictures. Defaults to none.
        hosts: names of other hosts under which it answers, and whose pages may ask; see
            ``HostMiddleware``.
        local: whether it is for this machine alone. Defaults to False.
    """
    metrics = Metrics(lambda: sum(one.waiting for one in batchers), lambda: watched.looked)
    batchers: list[Batcher] = []  # of one, while the server runs
    admission = Admission(limits)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        batcher = Batcher(metrics.batch)
        batchers.append(batcher)
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
            status: {"description": words, "model": schemas.Error} for status, words in _ANY.items()
        },
    )
    app.state.metrics = metrics
    app.add_middleware(HostMiddleware, names=hosts, local=local)
    app.add_middleware(MetricsMiddleware, metrics=metrics)
    app.add_middleware(TargetMiddleware)  # around all of it
    _add_errors(app)

    @app.post(
        PREDICT,
        openapi_extra=schemas.UPLOAD,
        response_model=schemas.Predictions,
        response_description="Answers.",
        responses={
            status: {
                "description": words,
                "model": _PROBLEMS if status in _OF_FILES else schemas.Error,
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
        with admission.admit() as admitted:
            uploads = await read_uploads(request, limits, admitted)
            await admitted.place()
            status, content = await predict_uploads(
                uploads, watched.model, batchers[-1], metrics, limits, maps=maps, log=log
            )
        return Response(content, status, {"cache-control": "no-store"}, "application/json")

    @app.get("/health", response_description="It does.", response_model=schemas.Health)
    async def health() -> Any:
        """Tell that the server answers."""
        return {"status": "ok", "model": watched.model.source.name}

    @app.get("/model", response_description="Facts.", response_model=schemas.ModelFacts)
    async def model() -> Any:
        """Tell who answers, where it comes from and how well it does."""
        return watched.model.facts()

    @app.get("/limits", response_description="Numbers.", response_model=schemas.Limits)
    async def how_much() -> Any:
        """Tell how much is taken."""
        return {"file_bytes": limits.file_bytes, "pixels": limits.pixels, "files": limits.files}

    @app.get("/metrics", response_description="Text.", response_class=PlainTextResponse)
    def measured() -> Response:
        """Tell Prometheus what happened."""
        return Response(metrics.text(), headers={"content-type": CONTENT_TYPE})

    add_page(app)
    add_examples(app, examples)
    return app


def _add_errors(app: FastAPI) -> None:
    """Let every error be one sentence."""

    def failed(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
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
        path = request.url.path
        sentence = {
            404: f"there is no {path} here; see /docs",
            405: f"{path} does not take {request.method}; see /docs",
        }.get(error.status_code, HTTPStatus(error.status_code).phrase)
        return failed(error.status_code, sentence, error.headers)

    @app.exception_handler(Exception)
    async def broken(_: Request, __: Exception) -> Response:
        return failed(500, "the server failed; its log says why")
