"""Reading a log of predictions."""

import json
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pawprint.inference.prediction_log import BEGIN, check_log
from pawprint.system.errors import UserError

_MOMENT = len("2025-01-31T23:59:59")  # characters of it
_BEGIN = BEGIN.encode()


@dataclass(frozen=True)
class Network:
    """A network as the log names it."""

    name: str
    run_id: str | None


@dataclass
class LoggedPictures:
    """The pictures that one network answered, in little memory.

    Attributes:
        network: which one.
        labels: how often each class was answered.
        first: when the first one was answered, UTC.
        last: when the last one was.
        numbers: four of each picture; see ``columns``.
    """

    network: Network
    labels: dict[str, int] = field(default_factory=dict)
    first: str = "~"  # after any moment
    last: str = ""
    numbers: array = field(default_factory=lambda: array("d"))

    def __len__(self) -> int:
        return len(self.numbers) // 4

    def add(self, row: dict[str, Any], numbers: tuple[float, ...]) -> None:
        """Add a picture by its line's object and numbers."""
        self.labels[row["label"]] = self.labels.get(row["label"], 0) + 1
        self.first, self.last = min(self.first, row["time"]), max(self.last, row["time"])
        self.numbers.extend(numbers)

    def columns(self) -> np.ndarray:
        """Widths and heights in pixels, brightness, 0 to 255, and probabilities of the answers.

        Returns:
            float64 (4, n).
        """
        return np.frombuffer(self.numbers, dtype=np.float64).reshape(-1, 4).T


def read_log(
    path: Path, *, since: str | None = None, model: str | None = None
) -> tuple[LoggedPictures, list[str]]:
    """The pictures that one network answered, and notes on what was left out.

    Args:
        path: a log as ``PredictionLog`` writes it. A torn line, as a full disk or a power cut
            leaves one, is left out.
        since: a day or a moment by ISO 8601, UTC where it names no zone; earlier pictures are
            left out. Defaults to all.
        model: the network's name as in the log, or its run. Defaults to the one that answered
            last.

    Raises:
        UserError: there is no such file, it is no such log, or no picture is left.
    """
    begin = _moment(since) if since is not None else ""
    found: dict[Network, LoggedPictures] = {}
    torn = earlier = 0
    for row in _rows(path):
        if row is None:
            torn += 1
        elif row[0]["time"][:_MOMENT] < begin:
            earlier += 1
        else:
            network = Network(row[0]["model"], row[0].get("run_id"))
            found.setdefault(network, LoggedPictures(network)).add(*row)
    lines = "1 line" if torn == 1 else f"{torn:,} lines"
    if not found:
        if earlier:
            raise UserError(f"{path} has no picture since {since}; give an earlier day")
        if torn:
            raise UserError(
                f"{path} has no picture, and {lines} that cannot be read; give another log"
            )
        raise UserError(f"{path} has no picture yet; predict with `--log {path}` first")
    chosen = _choose(found, model, path)
    notes = [f"{lines} of {path} cannot be read and left out."] if torn else []
    if others := [network for network in found if network != chosen]:
        count = sum(len(found[network]) for network in others)
        notes.append(
            f"Left out are {count:,} pictures that were answered by "
            f"{', '.join(_label(network, found) for network in others)}: name one with --model."
        )
    return found[chosen], notes


def _rows(path: Path) -> Iterator[tuple[dict[str, Any], tuple[float, ...]] | None]:
    """Each line's object and numbers, or None for a line that is none."""
    try:
        check_log(path)
        with path.open("rb") as file:
            for line in file:
                # What follows a torn line without an end of its own is whole.
                yield _parse(line[max(0, line.rfind(_BEGIN)) :])
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); give a log that `pawprint predict --log` "
            "or `pawprint serve --log` wrote"
        ) from None


def _parse(line: bytes) -> tuple[dict[str, Any], tuple[float, ...]] | None:
    try:
        row = json.loads(line)
        width, height = float(row["width"]), float(row["height"])
        bright, probability = float(row["brightness"]), float(row["probability"])
        texts = all(isinstance(row[name], str) for name in ("time", "label", "model"))
        run = row.get("run_id")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    ranges = 1 <= width < 1e9 and 1 <= height < 1e9 and 0 <= bright <= 255 and 0 <= probability <= 1
    whole = texts and ranges and (run is None or isinstance(run, str))
    return (row, (width, height, bright, probability)) if whole else None


def _moment(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise UserError(
            f"--since is {text!r}, but must be a day as 2025-01-31 or a moment as 2025-01-31T18:00"
        ) from None
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


def _choose(found: dict[Network, LoggedPictures], model: str | None, path: Path) -> Network:
    if model is None:
        # Of two in the same second the one that came later.
        return max(reversed(found), key=lambda network: found[network].last)
    named = [network for network in found if model in (network.name, network.run_id)]
    if len(named) == 1:
        return named[0]
    if named:
        runs = ", ".join(str(network.run_id) for network in named)
        raise UserError(f"{path} has {len(named)} networks called {model!r}: name its run, {runs}")
    there_is = ", ".join(_label(network, found) for network in found)
    raise UserError(f"{path} has no picture that {model!r} answered, but of {there_is}; name one")


def _label(network: Network, among: dict[Network, LoggedPictures]) -> str:
    alone = sum(other.name == network.name for other in among) == 1
    return network.name if alone else f"{network.name} (run {network.run_id})"
