"""Pictures whose answer a person called wrong, kept in the project for review."""

from __future__ import annotations

import asyncio
import hashlib
import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException

from pawprint.inference.prediction_log import utc
from pawprint.server.answers import Batcher, answer_row, classify
from pawprint.server.limits import Limits, Problem, in_megabytes
from pawprint.server.model import Model
from pawprint.server.uploads import Upload
from pawprint.system.errors import BusyError, UserError
from pawprint.system.files import RowWriter, replacing_file, sha256_of
from pawprint.system.lock import locked

TABLE = "reviews.csv"
COLUMNS = (
    *("time", "file", "sha256", "label", "probability", "right_label"),
    *("network", "version", "name"),
)
MOST_BYTES = 2**30  # of all files of reviews
LONGEST_LABEL = 100  # characters
_PATIENCE = 10  # seconds for another one that is being kept
_SHORT = 16  # digits of the digest in a file's name
_SUFFIXES = (  # by how the content begins
    (b"\xff\xd8", ".jpg"),
    (b"\x89PNG", ".png"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"II", ".tif"),
    (b"MM", ".tif"),
    (b"\0\0\1\0", ".ico"),
    (b"\0\0\0\x0cjP  ", ".jp2"),
    (b"\xff\x4f\xff\x51", ".j2k"),
    (b"P", ".ppm"),
)


class Reviews:
    """A folder with a file per picture, and a table with a row per decision.

    Nothing there is overwritten: a file is named by its content, rows are appended. Several
    servers may share the folder.

    Args:
        folder: made with the first picture.
        most_bytes: of all its files together. Defaults to 1 GB.
    """

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self.folder, self._most = folder, most_bytes

    def add(self, content: bytes, row: Mapping[str, Any]) -> dict[str, Any]:
        """Keep a picture, and append its row; returns that as it was written.

        Args:
            content: the picture file.
            row: the values of ``COLUMNS`` except time, file and digest; None stays empty.

        Raises:
            UserError: there is no room, or something else has the place of the table.
            OSError: it cannot be written.
        """
        digest = hashlib.sha256(content).hexdigest()
        with locked(self.folder / ".lock", busy="others are kept now", patience=_PATIENCE):
            self._check_room(len(content))
            self._check_table()
            path = self._place(digest, suffix_of(content))
            if not path.exists():
                with replacing_file(path) as temporary:
                    temporary.write_bytes(content)
            kept = {"time": utc(time.time()), "file": path.name, "sha256": digest, **row}
            self._append([kept[name] for name in COLUMNS])
        return kept

    def _check_room(self, size: int) -> None:
        held = sum(path.stat().st_size for path in self.folder.iterdir() if path.is_file())
        if held + size > self._most:
            raise UserError(
                f"{self.folder.name} holds {in_megabytes(held)}, and {in_megabytes(self._most)} is "
                "all that is kept there: move away what was reviewed"
            )

    def _check_table(self) -> None:
        table = self.folder / TABLE
        if not table.exists():
            return
        with table.open(encoding="utf-8", errors="replace") as file:
            if file.readline().strip() not in ("", ",".join(COLUMNS)):
                raise UserError(
                    f"{self.folder.name}/{TABLE} has other columns than those that are written: "
                    "move it away"
                )

    def _place(self, digest: str, suffix: str) -> Path:
        """Where the content is, or goes; the whole digest where another has the short name."""
        for name in (digest[:_SHORT], digest):
            path = self.folder / f"{name}{suffix}"
            if not path.exists() or sha256_of(path) == digest:
                return path
        raise UserError(f"{self.folder.name}/{path.name} holds another picture: move it away")

    def _append(self, row: list[Any]) -> None:
        table, text = self.folder / TABLE, io.StringIO()
        writer = RowWriter(text)
        old = table.read_bytes()[-1:] if table.exists() else b""
        if not old:
            writer.writerow(COLUMNS)
        writer.writerow(row)
        torn = "\n" if old not in (b"", b"\n") else ""  # a process was killed within a line
        with table.open("ab") as file:
            file.write((torn + text.getvalue()).encode("utf-8", "backslashreplace"))


def suffix_of(content: bytes) -> str:
    """What a picture's file name ends with, by its content."""
    if content[8:12] == b"WEBP":
        return ".webp"
    if content[4:8] == b"ftyp":
        return ".avif" if content[8:12] in (b"avif", b"avis") else ".heic"
    return next((suffix for start, suffix in _SUFFIXES if content.startswith(start)), ".img")


async def keep(
    uploads: list[Upload],
    right_label: str,
    model: Model,
    batcher: Batcher,
    limits: Limits,
    reviews: Reviews,
) -> dict[str, Any]:
    """Ask the network about a picture once more, and keep both with the right label.

    Raises:
        HTTPException: it is not one picture, has no right label, or cannot be kept.
    """
    if not (right_label := right_label.strip()):
        raise HTTPException(422, "right_label is empty; give the name of the class that it is")
    if len(uploads) > 1:
        raise HTTPException(422, f"there are {len(uploads)} pictures in the request; send one")
    (upload,) = uploads
    outcome = await classify(upload, model, batcher, limits)
    if isinstance(outcome, Problem):
        raise HTTPException(outcome.status, f"{upload.name} {outcome.sentence}")
    answer = answer_row(upload, outcome, model)
    row = {
        "label": answer["label"],
        "probability": answer["probability"],
        "right_label": right_label,
        "network": model.source.name,
        "version": model.source.version,
        "name": upload.name,
    }
    try:
        return await asyncio.to_thread(reviews.add, upload.content, row)
    except BusyError:
        sentence = "others are kept now; ask again in a moment"
        raise HTTPException(503, sentence, {"retry-after": "1"}) from None
    except (UserError, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise HTTPException(507, f"the picture cannot be kept: {why}") from None
