"""The pictures in a request's body, read as they come, in memory only and never beyond a limit."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pawprint.server.forms import OTHER_PARTS, FormError, FormFiles
from pawprint.server.limits import (
    Admitted,
    Limits,
    Problem,
    RefusedError,
    in_megabytes,
    too_large,
)

if TYPE_CHECKING:
    from starlette.requests import Request

FORMS = (
    "send pictures as multipart/form-data in fields named files, as JSON: "
    '{"pictures": ["<base64>"]}, or the content of one as image/*'
)
_LARGE = 2**16  # bytes of JSON; reading more would keep other requests waiting
_MARKS_PER_FILE, _MARKS = 4, 200  # of JSON's own signs; base64 has none of them
_DATA_URL = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)
_FIRST_SECONDS = 20.0  # to arrive, while others may have to wait until it has
_SPACE = str.maketrans("", "", " \t\r\n")


@dataclass(frozen=True)
class Upload:
    """A file as it was sent: its name, and its content or the problem with it."""

    name: str
    content: bytes
    problem: Problem | None = None


async def read_uploads(request: Request, limits: Limits, admitted: Admitted) -> list[Upload]:
    """The files of a request, one at least.

    Raises:
        RefusedError: it holds none, or too much, or is of another form, or did not come to its end;
            or there is no room for it.
    """
    kind = request.headers.get("content-type", "")
    form = kind.partition(";")[0].strip().lower()
    packed = request.headers.get("content-encoding", "identity").strip().lower()
    if packed != "identity":
        raise RefusedError(415, f"Content-Encoding {packed[:100]} is not taken; send it unpacked")
    if form == "multipart/form-data":
        uploads = await _from_form(request, kind, limits, admitted)
    elif form.startswith("image/") or form in ("application/json", "application/octet-stream"):
        body = bytearray()
        await _read(request, limits, admitted, body.extend)
        if form != "application/json":
            uploads = [_upload("picture 1", bytes(body), limits)]
        elif len(body) > _LARGE:
            uploads = await asyncio.to_thread(_from_json, body, limits)
        else:
            uploads = _from_json(body, limits)
    else:
        raise RefusedError(
            415, f"{form[:100] or 'a body without Content-Type'} is not taken; {FORMS}"
        )
    if not uploads:
        raise RefusedError(422, f"there is no picture in the request; {FORMS}")
    return uploads


async def _read(
    request: Request, limits: Limits, admitted: Admitted, take: Callable[[bytes], object]
) -> None:
    """Hand on the body as it comes; refuse it where it grows too large or comes too slowly."""
    most = limits.request_bytes
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 15 or int(declared) > most):
        raise _too_much(limits)
    size, clock = 0, asyncio.get_running_loop().time
    began = clock()
    end = began + limits.request_seconds
    try:
        async with asyncio.timeout(min(limits.stall_seconds, limits.grace_seconds)) as patience:
            async for chunk in request.stream():
                size += len(chunk)
                if size > most:
                    raise _too_much(limits)
                if admitted.fits(len(chunk)):
                    admitted.take(len(chunk))
                else:
                    patience.reschedule(None)
                    before = clock()
                    await admitted.wait(len(chunk))
                    waited = clock() - before
                    began, end = began + waited, end + waited
                    if admitted.first:
                        end = min(end, clock() + _FIRST_SECONDS)
                take(chunk)
                due = began + limits.grace_seconds + size / limits.least_speed
                patience.reschedule(min(clock() + limits.stall_seconds, due, end))
    except TimeoutError:
        sentence = "the request did not come to its end in time; send it again"
        raise RefusedError(408, sentence, {"connection": "close"}) from None


def _too_much(limits: Limits) -> RefusedError:
    most = in_megabytes(limits.request_bytes)
    return RefusedError(413, f"the request is larger than {most}; send fewer or smaller pictures")


def _too_many(limits: Limits) -> RefusedError:
    return RefusedError(413, f"there are more than {limits.files} files in the request; send fewer")


async def _from_form(
    request: Request, kind: str, limits: Limits, admitted: Admitted
) -> list[Upload]:
    def take(chunk: bytes) -> None:
        files.write(chunk)
        if files.too_many:  # at once: to read on, part after part, takes seconds
            raise _too_many(limits)
        if files.too_many_others:
            sentence = f"there are more than {OTHER_PARTS} fields in the form that hold no file"
            raise RefusedError(422, f"{sentence}; {FORMS}")

    try:
        with FormFiles(kind, limits.file_bytes, limits.files) as files:
            await _read(request, limits, admitted, take)
            return [
                Upload(part.name, part.content(), too_large(limits) if part.too_large else None)
                for part in files.finish()
            ]
    except FormError as error:
        raise RefusedError(400, f"the form cannot be read ({error}); {FORMS}") from None


def _from_json(body: bytes | bytearray, limits: Limits) -> list[Upload]:
    if sum(body.count(mark) for mark in b'",[{') > _MARKS_PER_FILE * limits.files + _MARKS:
        # Before all others wait while they are read.
        if body.count(b'"') > 2 * limits.files:
            raise _too_many(limits)
        raise _no_such_json()
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):  # also UnicodeDecodeError
        raise RefusedError(400, f"the body is no JSON; {FORMS}") from None
    pictures = content.get("pictures") if isinstance(content, dict) else None
    if isinstance(pictures, str):
        pictures = [pictures]
    if not isinstance(pictures, list) or not all(isinstance(text, str) for text in pictures):
        raise _no_such_json()
    if len(pictures) > limits.files:
        raise _too_many(limits)
    return [_decoded(f"picture {i}", text, limits) for i, text in enumerate(pictures, start=1)]


def _no_such_json() -> RefusedError:
    return RefusedError(422, f"the JSON has no list of base64 texts named pictures; {FORMS}")


def _decoded(name: str, text: str, limits: Limits) -> Upload:
    if match := _DATA_URL.match(text):
        text = text[match.end() :]
    try:
        content = base64.b64decode(text.translate(_SPACE), validate=True)
    except (binascii.Error, ValueError):
        return Upload(name, b"", Problem("is no base64 text"))
    return _upload(name, content, limits)


def _upload(name: str, content: bytes, limits: Limits) -> Upload:
    if len(content) > limits.file_bytes:
        return Upload(name, b"", too_large(limits))
    return Upload(name, content)
