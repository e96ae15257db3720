"""What a network was shown and answered, a line of a log per picture."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pawprint.system.errors import UserError

if TYPE_CHECKING:
    from pawprint.inference.predictor import Prediction

logger = logging.getLogger(__name__)

# As many digits as `evaluate` writes: rounded otherwise, sure answers would seem to have changed.
PROBABILITY_DIGITS = 6
BRIGHTNESS_DIGITS = 1
_AT_A_TIME = 64  # lines of a write
BEGIN = '{"time":'  # of every line; within one it can stand nowhere else, as quotes are escaped


@dataclass(frozen=True)
class LoggedPrediction:
    """One picture that a network answered: neither its pixels nor where it lay.

    Attributes:
        time: when, UTC, as "2025-01-31T23:59:59Z".
        width: pixels in the file, before any turning.
        height: the same.
        brightness: mean luminance of the square that the network saw, 0 to 255.
        label: the most probable class, also where the answer was "not sure".
        probability: of that class, 0 to 1.
        model: what to call the network, as "pawprint version 3".
        run_id: the run that trained it, or None where that is not known.
    """

    time: str
    width: int
    height: int
    brightness: float
    label: str
    probability: float
    model: str
    run_id: str | None = None


def log_entry(
    size: tuple[int, int],
    brightness: float,
    probabilities: Mapping[str, float],
    model: str,
    run_id: str | None = None,
) -> LoggedPrediction:
    """What is to be remembered of a picture answered just now; ``size`` is width and height."""
    label, probability = max(probabilities.items(), key=lambda one: one[1])
    return LoggedPrediction(utc(time.time()), *size, brightness, label, probability, model, run_id)


def utc(seconds: float) -> str:
    """A moment, in seconds since 1970, as the log has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


class PredictionLog:
    """A file that remembers pictures seen, a JSON object a line: 190 MB for a million of them.

    Threads and processes may add to one file at once: each call appends whole lines by a single
    write, which the system does not mix with others on a local disk. The file is opened by its
    name in each call, so it can be moved away at any time to begin another.

    Args:
        path: the file; made, with its folder, where it is missing.

    Raises:
        UserError: it cannot be written, or holds something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._warned = False
        self._torn = True  # perhaps: another command may have been stopped within a line
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            check_log(path)
            self._append(b"")
        except OSError as error:
            raise UserError(
                f"{path} cannot be written ({error.strerror}); give another file for the log"
            ) from None

    def add(self, rows: Iterable[LoggedPrediction]) -> int:
        """Append rows; predicting goes on where that fails, after one warning.

        Returns:
            How many could not be written.
        """
        lines = [_line(row) for row in rows]
        content = "".join(lines).encode()
        written, reason = 0, "only a part was written"
        try:
            written = self._append(content)
        except OSError as error:
            reason = error.strerror or str(error)
        if written == len(content):
            self._warned = False
            return 0
        self._torn = True
        if not self._warned:
            self._warned = True
            logger.warning(
                "%s: what is seen cannot be logged (%s); predictions go on without it",
                self.path,
                reason,
            )
        return len(lines) - content.count(b"\n", 0, written)

    def _append(self, content: bytes) -> int:
        """Write at the end, in a new line; returns how many bytes are written."""
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            if not content:
                return 0
            begin = b"\n" if self._torn and self._ends_torn() else b""
            written = os.write(file, begin + content) - len(begin)
            self._torn = False
            return written
        finally:
            os.close(file)

    def _ends_torn(self) -> bool:
        with self.path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            return size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"


def log_predictions(
    predictions: Iterable[Prediction], log: PredictionLog, model: str, run_id: str | None
) -> Iterator[Prediction]:
    """Yield predictions with their brightness, and log those of pictures, some at a time."""
    rows: list[LoggedPrediction] = []
    try:
        for prediction in predictions:
            if prediction.size is not None and prediction.brightness is not None:
                size, light = prediction.size, prediction.brightness
                rows.append(log_entry(size, light, prediction.probabilities, model, run_id))
            if len(rows) == _AT_A_TIME:
                log.add(rows)
                rows = []
            yield prediction
    finally:
        log.add(rows)


def check_log(path: Path) -> None:
    """See that an existing file is such a log, or empty.

    Raises:
        UserError: it is something else.
        OSError: it cannot be read.
    """
    if not path.exists():
        return
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(BEGIN)) in (b"", BEGIN.encode()):
                return
    what = "a folder" if path.is_dir() else "no log of pictures seen"
    raise UserError(f"{path} is {what}; give another file")


_quoted = lru_cache(maxsize=4096)(json.dumps)  # of few labels and networks


def _line(row: LoggedPrediction) -> str:
    # Three times as fast as JSON of a dictionary.
    return (
        f'{BEGIN}"{row.time}","width":{row.width},"height":{row.height},'
        f'"brightness":{row.brightness:.{BRIGHTNESS_DIGITS}f},"label":{_quoted(row.label)},'
        f'"probability":{row.probability:.{PROBABILITY_DIGITS}f},'
        f'"model":{_quoted(row.model)},"run_id":{_quoted(row.run_id)}}}\n'
    )
