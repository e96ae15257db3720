"""Files of a multipart form, gathered in memory while it arrives."""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

FIELDS = ("files", "file")
LONGEST_NAME = 255  # characters of a file's name that are told back
_MOST_HEADERS, _HEADER_BYTES = 16, 8192
OTHER_PARTS = 32  # beside files; more are no form of a person
_ENCODED_NAME = re.compile(rb";\s*filename\*=utf-8'[^']*'([^;\s]+)", re.IGNORECASE)


class FormError(Exception):
    """Not a whole multipart form."""


@dataclass
class Part:
    """One file: its name, and the pieces of its content unless that is too large."""

    name: str
    pieces: list[bytes] = field(default_factory=list)
    size: int = 0
    too_large: bool = False

    def content(self) -> bytes:
        """All of it; the pieces are given up."""
        whole = b"".join(self.pieces)
        self.pieces.clear()
        return whole


class FormFiles:
    """The files in the fields `files` (or `file`) of a form; other fields are passed over.

    A context, at whose end all is given back: parser and files hold each other.

    Args:
        content_type: header of the request, which tells where parts begin.
        most_bytes: of a file; of a larger one nothing is kept.
        most_files: of the form; of others nothing is kept, and ``too_many`` is True. Many
            fields that are no files make ``too_many_others`` True.

    Raises:
        FormError: the header does not tell where parts begin.
    """

    def __init__(self, content_type: str, most_bytes: int, most_files: int) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise FormError("its Content-Type has no boundary")
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
            raise FormError(str(error)) from None
        self._most_bytes, self._most_files = most_bytes, most_files
        self._parts: list[Part] = []
        self._part: Part | None = None
        self._count = 0
        self._whole = self.too_many = self.too_many_others = False

    def __enter__(self) -> FormFiles:
        return self

    def __exit__(self, *_: object) -> None:
        del self._parser, self._parts, self._part

    def write(self, chunk: bytes) -> None:
        """Take in the next bytes.

        Raises:
            FormError: they are of no form.
        """
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            if self._count == 0:
                raise FormError("it does not begin with the boundary in its Content-Type") from None
            raise FormError(str(error)) from None

    def finish(self) -> list[Part]:
        """The files, in their order.

        Raises:
            FormError: the end is missing.
        """
        if not self._count and not self._whole:
            raise FormError("it is empty")
        if not self._whole:
            raise FormError("its end is missing")
        return self._parts

    def _begin(self) -> None:
        self._count += 1
        if self._count - len(self._parts) > OTHER_PARTS:  # this one may be a file
            self.too_many_others = True
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
        if options.get(b"name", b"").decode("latin-1") not in FIELDS:
            return
        if len(self._parts) == self._most_files:
            self.too_many = True
            return
        name = options.get(b"filename", b"").decode("utf-8", errors="replace")
        if encoded := _ENCODED_NAME.search(self._disposition):
            name = urllib.parse.unquote(encoded[1].decode("latin-1"), errors="replace")
        self._part = Part(name[:LONGEST_NAME] or f"picture {len(self._parts) + 1}")
        self._parts.append(self._part)

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        if part is None or part.too_large or self.too_many:
            return
        part.size += end - start
        if part.size > self._most_bytes:
            part.too_large = True
            part.pieces.clear()
        else:
            part.pieces.append(data[start:end])

    def _on_end(self) -> None:
        self._whole = True
