"""The routes of the server: predictions, the page, and the pictures that it offers to try."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response

from pawprint import pages
from pawprint.data.folders import files_below
from pawprint.data.picture import pixels_at_most
from pawprint.inference.prediction_log import PredictionLog
from pawprint.server import schemas
from pawprint.server.answers import Batcher, predict_uploads
from pawprint.server.limits import Admission, Limits
from pawprint.server.metrics import Metrics
from pawprint.server.middleware import PREDICT, HostMiddleware, RequestMiddleware
from pawprint.server.model import WatchedModel
from pawprint.server.reviews import LONGEST_LABEL, Reviews, keep
from pawprint.server.uploads import read_uploads
from pawprint.system.errors import UserError

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
_ANY = {421: "The server does not answer under this name.", 500: "The server failed."}
_FILES = Path(__file__).parent / "page"
_STYLE = Path(pages.__file__).with_name("page.css")
_MOST_EXAMPLES = 8
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


def make_app(
    watched: WatchedModel,
    examples: Sequence[Path],
    limits: Limits,
    log: PredictionLog | None = None,
    *,
    reviews: Reviews | None = None,
    hosts: Sequence[str] = (),
    local: bool = False,
) -> FastAPI:
    """The server, as an ASGI app.

    Args:
        watched: who answers.
        examples: picture files for the page to offer; see ``find_examples``.
        limits: of requests.
        log: remembers the pictures. Defaults to none.
        reviews: keeps pictures whose answer a person calls wrong. Defaults to none.
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
        try:
            with pixels_at_most(limits.pixels):
                yield
        finally:
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
    app.add_middleware(RequestMiddleware, metrics=metrics)  # around all of it
    _add_errors(app)

    @app.post(
        PREDICT,
        openapi_extra=schemas.UPLOAD,
        response_model=schemas.Predictions,
        response_description="Answers.",
        responses={
            status: {
                "description": words,
                "model": schemas.Predictions | schemas.Error
                if status in _OF_FILES
                else schemas.Error,
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
                uploads, watched.model, batchers[-1], metrics, limits, maps=maps, prediction_log=log
            )
        return Response(content, status, {"cache-control": "no-store"}, "application/json")

    if reviews is not None:

        @app.post(
            "/reviews",
            openapi_extra=schemas.UPLOAD,
            status_code=201,
            response_model=schemas.Review,
            response_description="What was kept.",
            responses={
                status: {"description": words, "model": schemas.Error}
                for status, words in {**_REFUSED, 507: "There is no room for it."}.items()
            },
        )
        async def review(
            request: Request,
            right_label: Annotated[
                str, Query(max_length=LONGEST_LABEL, description="What it is, in a word.")
            ],
        ) -> Any:
            """Keep a picture whose answer is wrong, for a person to review.

            One picture, in one form or the other. Its file goes into the project's reviews/, and a
            row with what the network says of it now and what is right into reviews/reviews.csv.
            """
            with admission.admit() as admitted:
                uploads = await read_uploads(request, limits, admitted)
                await admitted.place()
                return await keep(
                    uploads, right_label, watched.model, batchers[-1], limits, reviews
                )

    @app.get("/health", response_description="It does.", response_model=schemas.Health)
    async def health() -> Any:
        """Tell that the server answers, and whether another network should."""
        source = watched.model.source
        return {
            "status": "ok",
            "model": source.name,
            "notes": list(source.notes),
            "problem": watched.problem,
        }

    @app.get("/model", response_description="Facts.", response_model=schemas.ModelFacts)
    async def model() -> Any:
        """Tell who answers, where it comes from and how well it does."""
        return watched.model.facts()

    @app.get("/limits", response_description="Numbers.", response_model=schemas.Limits)
    async def how_much() -> Any:
        """Tell how much is taken."""
        return {
            "file_bytes": limits.file_bytes,
            "pixels": limits.pixels,
            "files": limits.files,
            "reviews": reviews is not None,
        }

    @app.get("/metrics", response_description="Text.", response_class=PlainTextResponse)
    def measured() -> Response:
        """Tell Prometheus what happened."""
        return Response(metrics.text(), headers={"content-type": CONTENT_TYPE_LATEST})

    _add_page(app)
    _add_examples(app, examples)
    return app


def _add_errors(app: FastAPI) -> None:
    """Let every error be one sentence."""

    def failed(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
        return JSONResponse({"error": sentence}, status, headers)

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
        }.get(error.status_code, error.detail)
        return failed(error.status_code, sentence, error.headers)

    @app.exception_handler(Exception)
    async def broken(_: Request, __: Exception) -> Response:
        return failed(500, "the server failed; its log says why")


def _add_page(app: FastAPI) -> None:
    """The page, the description of the API, and what they load."""

    def add(path: str, media_type: str, *files: Path) -> None:
        content = b"".join(file.read_bytes() for file in files)

        async def page() -> Response:
            return Response(content, headers={"cache-control": "no-cache"}, media_type=media_type)

        app.add_api_route(path, page, include_in_schema=False)

    add("/", "text/html", _FILES / "page.html")
    add("/docs", "text/html", _FILES / "docs.html")
    add("/style.css", "text/css", _STYLE, _FILES / "serve.css")
    add("/icon.svg", "image/svg+xml", _FILES / "icon.svg")
    for name in ("page.js", "answers.js", "camera.js", "docs.js"):
        add(f"/{name}", "text/javascript", _FILES / name)


def _add_examples(app: FastAPI, examples: Sequence[Path]) -> None:
    """The list of pictures to try, and the content of each."""

    @app.get("/examples", response_description="Names.", response_model=schemas.Examples)
    async def list_examples() -> Any:
        """List pictures to try."""
        return {"examples": [path.name for path in examples]}

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
            with chosen.open("rb") as file:
                facts = os.fstat(file.fileno())
        except (IndexError, OSError):
            raise HTTPException(404) from None
        # As a whole, in pieces that wait until the client takes them: nobody needs a part.
        request.scope["headers"] = [one for one in request.headers.raw if one[0] != b"range"]
        headers = {"accept-ranges": "none"}
        media_type = _MEDIA_TYPES[chosen.suffix.lower()]
        return FileResponse(chosen, 200, headers, media_type, stat_result=facts)


def find_examples(images: Path | None, most_bytes: int) -> list[Path]:
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
        path
        for path in map(Path, files)
        if path.suffix.lower() in _MEDIA_TYPES
        and path.is_file()
        and path.stat().st_size <= most_bytes
    ]
    count = min(_MOST_EXAMPLES, len(found))
    return [found[place * len(found) // count] for place in range(count)]
