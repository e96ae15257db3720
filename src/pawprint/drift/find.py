"""What drift is: pictures in use, as logged, against those learned from; and how it is told."""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pawprint.comparison.predictions import Predictions, parse_predictions
from pawprint.config.compose import project_root
from pawprint.config.paths import Paths
from pawprint.config.schema import Tracking
from pawprint.data.brightness import mean_brightness
from pawprint.data.store import load_sizes, load_split, load_summary
from pawprint.drift.compare import FEWEST, LEAST_DISTANCE, Facts, Middle, Row, compare, least_told
from pawprint.drift.log import LoggedPictures, Network, read_log
from pawprint.inference.prediction_log import BRIGHTNESS_DIGITS, PROBABILITY_DIGITS
from pawprint.system.errors import UserError
from pawprint.system.terminal import print_table
from pawprint.tracking.location import sqlite_path, store_uri
from pawprint.tracking.recorded import Records
from pawprint.tracking.store import connect

MOST_READ = 10_000  # training pictures whose pixels are read, drawn without order
_MOST_CLASSES = 3  # in the table
_FORMS = {"size": ",.0f", "aspect": ".2f", "brightness": ".0f", "confidence": ".3f"}


@dataclass(frozen=True)
class Drift:
    """What changed since a network learned.

    Attributes:
        log: the file that was read.
        model: the network that answered.
        run_id: its run, or None where the log does not tell.
        pictures: how many it answered.
        first: when it answered the first one, UTC.
        last: when it answered the last one.
        rows: one for each thing compared.
        notes: what a person may not expect, in sentences.
    """

    log: str
    model: str
    run_id: str | None
    pictures: int
    first: str
    last: str
    rows: list[Row]
    notes: list[str]

    @property
    def changed(self) -> list[str]:
        """What changed, by the names of its rows."""
        return [row.what for row in self.rows if row.changed]

    @property
    def sentence(self) -> str:
        """The outcome."""
        if self.pictures < FEWEST:
            return f"{self.pictures} pictures say nothing yet; {FEWEST} are the fewest compared."
        if all(row.changed is None for row in self.rows):
            return f"Nothing is compared: fewer than {FEWEST} pictures were prepared."
        told = [row.verdict for row in self.rows if row.changed]
        return f"Changed: {', '.join(told)}." if told else "No change was found."


def find_drift(
    path: Path, tracking: Tracking, *, since: str | None = None, model: str | None = None
) -> Drift:
    """Compare pictures in use with the prepared ones, and answers with those to test pictures.

    Args:
        path: a log of predictions.
        tracking: where the network's run is recorded.
        since: leaves earlier pictures out; see ``read_log``.
        model: which network's pictures; see ``read_log``. Defaults to the one that answered last.

    Raises:
        UserError: there is no such log or no picture in it, or nothing is prepared.
    """
    logged, notes = read_log(path, since=since, model=model)
    paths = Paths(project_root())
    summary = load_summary(paths.prepared)
    others = sorted(set(logged.labels) - set(summary.class_names))
    if others:
        answers = None
        answer_notes = [
            f"Confidence and labels are not compared: {logged.network.name} answers {others[0]}, "
            "which is no class of the prepared pictures."
        ]
    else:
        answers, answer_notes = _answers(
            paths, tracking, logged.network, summary.splits["test"].digest
        )
    learned = learned_facts(paths.prepared, answers)
    rows = compare(learned, logged_facts(logged))
    notes += answer_notes
    tests = sum(row.distance is not None for row in rows)
    prepared = 0 if learned.size is None else len(learned.size)
    least = least_told(len(logged), prepared, tests) if tests else 0.0
    if least > LEAST_DISTANCE:
        notes.append(
            f"Among so few pictures a distance below {least:.2f} may be chance, and one from "
            f"{LEAST_DISTANCE:g} on is worth telling."
        )
    return Drift(
        log=str(path),
        model=logged.network.name,
        run_id=logged.network.run_id,
        pictures=len(logged),
        first=logged.first,
        last=logged.last,
        rows=rows,
        notes=notes,
    )


def learned_facts(prepared: Path, answers: Predictions | None) -> Facts:
    """Facts of training pictures, and of answers to test pictures.

    Confidence in pictures that were learned from would be too high, and their labels are not
    answers: both are of the test pictures.

    Args:
        prepared: what ``prepare`` wrote.
        answers: the network's to test pictures, or None where they are not known.

    Raises:
        UserError: the prepared folder is missing or broken.
    """
    pictures = load_split(prepared, "train").pictures
    rows = np.arange(len(pictures))
    if len(rows) > MOST_READ:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_READ, replace=False))
    parts = [rows[start : start + 256] for start in range(0, len(rows), 256)]
    brightness = [np.zeros(0), *(mean_brightness(pictures[part]) for part in parts)]
    return _facts(
        *load_sizes(prepared, "train"),
        np.concatenate(brightness),
        None if answers is None else answers.probabilities,
        None if answers is None else dict(Counter(answers.predicted)),
    )


def logged_facts(logged: LoggedPictures) -> Facts:
    """The same facts of pictures in use."""
    widths, heights, brightness, probabilities = logged.columns()
    return _facts(widths, heights, brightness, probabilities, logged.labels)


def _facts(
    widths: np.ndarray,
    heights: np.ndarray,
    brightness: np.ndarray,
    probabilities: np.ndarray | None,
    labels: dict[str, int] | None,
) -> Facts:
    return Facts(
        size=np.maximum(widths, heights),
        aspect=widths / heights,
        # Both sides in the digits of the log: else equal values would count as different.
        brightness=np.round(brightness, BRIGHTNESS_DIGITS),
        confidence=None if probabilities is None else np.round(probabilities, PROBABILITY_DIGITS),
        labels=labels,
    )


def _answers(
    paths: Paths, tracking: Tracking, network: Network, prepared_digest: str
) -> tuple[Predictions | None, list[str]]:
    """The network's answers to test pictures, and notes on them."""
    text, digest = _evaluation(paths, tracking, network)
    notes = []
    if digest not in (None, prepared_digest):
        notes.append(
            f"{network.name} learned from other pictures than are in {paths.prepared} now, which "
            "those seen are compared with."
        )
    answers, reason = None, "are not found"
    if text is not None:
        try:
            answers = parse_predictions(text)
        except ValueError as error:
            reason = f"cannot be used ({error})"
    if answers is None:
        notes.append(
            f"Confidence and labels are not compared: the answers of {network.name} to test "
            f"pictures {reason}; evaluate it with `dvc repro evaluate`."
        )
    elif network.run_id is None:
        notes.append(
            f"The log does not tell the run of {network.name}: its answers are compared with those "
            "of the network that was evaluated last."
        )
    return answers, notes


def _evaluation(
    paths: Paths, tracking: Tracking, network: Network
) -> tuple[str | None, str | None]:
    """The network's answers to test pictures, as text, and the digest of those pictures."""
    from pawprint.evaluation.tables import PREDICTIONS

    try:
        evaluated = json.loads(paths.evaluated.read_text(encoding="utf-8"))
        run_id, digest = evaluated["run_id"], evaluated["test_digest"]
        if network.run_id in (None, run_id):
            file = paths.evaluation / PREDICTIONS
            return file.read_bytes().decode("utf-8", "surrogateescape"), digest
    except (OSError, ValueError, KeyError, TypeError):  # not evaluated, or edited by hand
        pass
    if network.run_id is None:
        return None, None
    # The network evaluated last is another one.
    path = sqlite_path(store_uri(tracking.uri))
    if path is not None and not path.exists():  # and must not be made by looking at it
        return None, None
    try:
        store = connect(tracking.uri, tracking.experiment)
        with store.explained():
            run = Records(store, tracking.registered_model).read(network.run_id)
    except UserError:
        return None, None
    return run.answers, run.tags.get("test_digest")


def print_drift(drift: Drift) -> None:
    """Print the table and sentences: in colour and frames on a terminal, else aligned."""
    print(f"seen: {drift.pictures:,} pictures from {drift.first} to {drift.last} by {drift.model}")
    print("before: training pictures; confidence and labels: answers to test pictures\n")
    header = ["", "before", "seen", "distance", "p", "verdict"]
    print_table("medians (quartiles) and shares", header, [_cells(row) for row in drift.rows])
    for note in drift.notes:
        print(note)
    print(drift.sentence)


def as_plain(drift: Drift) -> dict[str, Any]:
    """The same as plain values for JSON."""
    rows = [asdict(row) for row in drift.rows]
    return {**vars(drift), "rows": rows, "changed": drift.changed, "sentence": drift.sentence}


def _cells(row: Row) -> list[str]:
    classes = _classes(row)
    middles = [_middle_text(row.what, side, classes) for side in (row.before, row.seen)]
    if row.distance is None or row.p_value is None:
        return [row.what, *middles, "", "", row.verdict]
    chance = f"{row.p_value:.2g}" if row.p_value >= 0.0001 else "< 0.0001"
    return [row.what, *middles, f"{row.distance:.2f}", chance, row.verdict]


def _classes(row: Row) -> list[str]:
    """The classes whose shares differ most, by name."""
    sides = [side for side in (row.before, row.seen) if isinstance(side, dict)]
    names = sorted({name for side in sides for name in side})
    shares = {name: [side.get(name, 0.0) for side in sides] for name in names}
    most = sorted(names, key=lambda name: min(shares[name]) - max(shares[name]))
    return sorted(most[:_MOST_CLASSES])


def _middle_text(what: str, side: Middle | dict[str, float] | None, classes: list[str]) -> str:
    if side is None:
        return "–"
    if isinstance(side, Middle):
        median, low, high = (f"{x:{_FORMS[what]}}" for x in (side.median, side.low, side.high))
        return f"{median} ({low} to {high})"
    shares = [f"{name} {100 * side.get(name, 0.0):.1f} %" for name in classes]
    return ", ".join([*shares, "…"] if set(side) - set(classes) else shares)
