"""The pictures in a request's body, read as they come, in memory only and never beyond a limit."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.exceptions import HTTPException
from starlette.requests import Request

from pawprint.server.limits import Admitted, Limits, Problem, in_megabytes, too_large

_FORMS = (
    "send pictures as multipart/form-data in fields named files, as JSON: "
    '{"pictures": ["<base64>"]}, or the content of one as image/*'
)
_FIELDS = (b"files", b"file")
_LONGEST_NAME = 255  # characters of a file's name that are told back
_MOST_HEADERS, _HEADER_BYTES = 16, 8192  # of a part
_OTHER_PARTS = 32  # beside files; more are no form of a person
_ENCODED_NAME = re.compile(rb";\s*filename\*=utf-8'[^']*'([^;\s]+)", re.IGNORECASE)
_LARGE = 2**16  # bytes of JSON; reading more would keep other requests waiting
_MARKS_PER_FILE, _MARKS = 4, 200  # of JSON's own signs; base64 has none of them
_DATA_URL = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)
_FIRST_SECONDS = 20.0  # to arrive, while others may have to wait until it has
_STANDARD = str.maketrans("-_", "+/", " \t\r\n")  # of the URL-safe alphabet, without spaces


@dataclass(frozen=True)
class Upload:
    """A file as it was sent: its name, and its content or the problem with it."""

    name: str
    content: bytes
    problem: Problem | None = None


async def read_uploads(request: Request, limits: Limits, admitted: Admitted) -> list[Upload]:
    """The files of a request, one at least.

    Raises:
        HTTPException: it holds none, or too much, or is of another form, or did not come to its
            end; or there is no room for it.
    """
    kind = request.headers.get("content-type", "")
    form = kind.partition(";")[0].strip().lower()
    packed = request.headers.get("content-encoding", "identity").strip().lower()
    if packed != "identity":
        raise HTTPException(415, f"Content-Encoding {packed[:100]} is not taken; send it unpacked")
    if form == "multipart/form-data":
        with _Form(kind, limits) as files:
            await _read(request, limits, admitted, files.write)
            uploads = files.finish()
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
        raise HTTPException(
            415, f"{form[:100] or 'a body without Content-Type'} is not taken; {_FORMS}"
        )
    if not uploads:
        raise HTTPException(422, f"there is no picture in the request; {_FORMS}")
    return uploads


async def _read(
    request: Request, limits: Limits, admitted: Admitted, take: Callable[[bytes], object]
) -> None:
    """Hand on the body as it comes; refuse it where it grows too large or comes too slowly."""
    most = limits.request_bytes
    sentence = f"the request is larger than {in_megabytes(most)}; send fewer or smaller pictures"
    too_much = HTTPException(413, sentence)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 15 or int(declared) > most):
        raise too_much
    size, clock = 0, asyncio.get_running_loop().time
    began = clock()
    end = began + limits.request_seconds
    try:
        async with asyncio.timeout(min(limits.stall_seconds, limits.grace_seconds)) as patience:
            async for chunk in request.stream():
                size += len(chunk)
                if size > most:
                    raise too_much
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
        raise HTTPException(408, sentence, {"connection": "close"}) from None


def _too_many(limits: Limits) -> HTTPException:
    return HTTPException(
        413, f"there are more than {limits.files} files in the request; send fewer"
    )


@dataclass
class _Part:
    """A file of a form: the pieces of its content, none of one that is too large."""

    name: str
    pieces: list[bytes] = field(default_factory=list)
    size: int = 0


class _Form:
    """The files of a multipart form, gathered while it arrives; other fields are passed over.

    A context, at whose end all is given back: parser and files hold each other.

    Raises:
        HTTPException: 400, the Content-Type does not tell where parts begin.
    """

    def __init__(self, content_type: str, limits: Limits) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise _no_form("its Content-Type has no boundary")
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._on_field,
                    "on_header_value": self._on_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers,
                    "on_part_data": self._on_data,
                    "on_end": self._on_end,
                },
                max_header_count=_MOST_HEADERS,
                max_header_size=_HEADER_BYTES,
            )
        except FormParserError as error:
            raise _no_form(str(error)) from None
        self._limits = limits
        self._parts: list[_Part] = []
        self._part: _Part | None = None
        self._count = 0
        self._whole = False

    def __enter__(self) -> _Form:
        return self

    def __exit__(self, *_: object) -> None:
        del self._parser, self._parts, self._part

    def write(self, chunk: bytes) -> None:
        """Take in the next bytes; refuse them where they are of no form, or too many parts."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            if self._count == 0:
                raise _no_form("it does not begin with the boundary in its Content-Type") from None
            raise _no_form(str(error)) from None

    def finish(self) -> list[Upload]:
        """The files, in their order; refused where the end is missing."""
        if not self._whole:
            raise _no_form("its end is missing" if self._count else "it is empty")
        uploads = []
        for part in self._parts:
            problem = too_large(self._limits) if part.size > self._limits.file_bytes else None
            uploads.append(Upload(part.name, b"".join(part.pieces), problem))
            part.pieces.clear()
        return uploads

    def _begin(self) -> None:
        self._count += 1
        if self._count - len(self._parts) > _OTHER_PARTS:  # this one may be a file
            sentence = f"there are more than {_OTHER_PARTS} fields in the form that hold no file"
            raise HTTPException(422, f"{sentence}; {_FORMS}")
        self._part = None
        self._field, self._value, self._disposition = b"", b"", b""

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value
        self._field, self._value = b"", b""

    def _on_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        if options.get(b"name") not in _FIELDS:
            return
        if len(self._parts) == self._limits.files:  # at once: to read on takes seconds
            raise _too_many(self._limits)
        name = options.get(b"filename", b"").decode("utf-8", errors="replace")
        if encoded := _ENCODED_NAME.search(self._disposition):
            name = urllib.parse.unquote(encoded[1].decode("latin-1"), errors="replace")
        self._part = _Part(name[:_LONGEST_NAME] or f"picture {len(self._parts) + 1}")
        self._parts.append(self._part)

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if (part := self._part) is None:
            return
        part.size += end - start
        if part.size > self._limits.file_bytes:
            part.pieces.clear()
        else:
            part.pieces.append(data[start:end])

    def _on_end(self) -> None:
        self._whole = True


def _no_form(reason: str) -> HTTPException:
    return HTTPException(400, f"the form cannot be read ({reason}); {_FORMS}")


def _from_json(body: bytes | bytearray, limits: Limits) -> list[Upload]:
    wrong = f"the JSON has no list of base64 texts named pictures; {_FORMS}"
    if sum(body.count(mark) for mark in b'",[{') > _MARKS_PER_FILE * limits.files + _MARKS:
        # Before all others wait while they are read.
        if body.count(b'"') > 2 * limits.files:
            raise _too_many(limits)
        raise HTTPException(422, wrong)
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):  # also UnicodeDecodeError
        raise HTTPException(400, f"the body is no JSON; {_FORMS}") from None
    pictures = content.get("pictures") if isinstance(content, dict) else None
    if isinstance(pictures, str):
        pictures = [pictures]
    if not isinstance(pictures, list) or not all(isinstance(text, str) for text in pictures):
        raise HTTPException(422, wrong)
    if len(pictures) > limits.files:
        raise _too_many(limits)
    return [_decoded(f"picture {i}", text, limits) for i, text in enumerate(pictures, start=1)]


def _decoded(name: str, text: str, limits: Limits) -> Upload:
    if match := _DATA_URL.match(text):
        text = text[match.end() :]
    try:
        digits = text.translate(_STANDARD).rstrip("=")
        content = base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except (binascii.Error, ValueError):
        return Upload(name, b"", Problem("is no base64 text"))
    return _upload(name, content, limits)


def _upload(name: str, content: bytes, limits: Limits) -> Upload:
    if len(content) > limits.file_bytes:
        return Upload(name, b"", too_large(limits))
    return Upload(name, content)
