"""The command drift: pictures seen in use against those learned from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pawprint.config import compose, project_root
from pawprint.drifting.compared import FEWEST, LEAST_DISTANCE, Row, compare, least_told
from pawprint.drifting.log import Network, read_seen
from pawprint.errors import UserError
from pawprint.paths import Paths

CHANGED = 3  # exit code, where it is asked for; 1 is an error, 2 a wrong command line


@dataclass(frozen=True)
class Drift:
    """What changed since a network learned.

    Attributes:
        log: the file with what was seen.
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
        told = [row.verdict for row in self.rows if row.changed]
        return f"Changed: {', '.join(told)}." if told else "No change was found."


def drift(path: Path, *, since: str | None = None, model: str | None = None) -> Drift:
    """Compare pictures seen with the prepared ones and the network's answers to test pictures.

    Args:
        path: a log of pictures seen.
        since: leaves earlier pictures out; see ``read_seen``.
        model: which network's pictures; see ``read_seen``. Defaults to the one that answered last.

    Raises:
        UserError: there is no such log or no picture in it, or nothing is prepared.
    """
    from pawprint.drifting.reference import learned_facts, seen_facts
    from pawprint.images.store import load_summary

    seen, notes = read_seen(path, since=since, model=model)
    paths = Paths(project_root())
    test_digest = load_summary(paths.prepared).splits["test"].digest
    answers, own_digest = _evaluation(paths, seen.network)
    try:
        learned = learned_facts(paths.prepared, answers)
    except ValueError as error:
        notes.append(f"The answers of {seen.network.name} to test pictures are {error}.")
        learned = learned_facts(paths.prepared, None)
    if answers is None:
        notes.append(
            f"Confidence and labels are not compared: no answers of {seen.network.name} to test "
            "pictures are found; evaluate it with `dvc repro evaluate`."
        )
    elif own_digest not in (None, test_digest):
        notes.append(
            f"{seen.network.name} was trained on other pictures than are in {paths.prepared} now, "
            "which those seen are compared with."
        )
    count = len(seen.widths)
    rows = compare(learned, seen_facts(seen))
    notes += _power_note(count, learned.size, rows)
    first, last = seen.first, seen.last
    run_id = seen.network.run_id
    return Drift(str(path), seen.network.name, run_id, count, first, last, rows, notes)


def print_drift(found: Drift, *, as_json: bool, fail_on_change: bool) -> int:
    """Print what was found.

    Returns:
        The exit code: 0, or ``CHANGED`` where something changed and ``fail_on_change``.
    """
    from pawprint.drifting import text

    if as_json:
        print(json.dumps(text.as_plain(found), indent=2))
    else:
        text.print_drift(found)
    return CHANGED if fail_on_change and found.changed else 0


def _power_note(count: int, before: Any, rows: list[Row]) -> list[str]:
    tests = sum(row.distance is not None for row in rows)
    if not tests or (least := least_told(count, len(before), tests)) <= LEAST_DISTANCE:
        return []
    return [
        f"So few pictures tell a distance of {least:.2f} or more from chance; one of "
        f"{LEAST_DISTANCE:g} is worth telling."
    ]


def _evaluation(paths: Paths, network: Network) -> tuple[str | None, str | None]:
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
    return _recorded_evaluation(network.run_id)  # the network evaluated last is another one


def _recorded_evaluation(run_id: str) -> tuple[str | None, str | None]:
    from pawprint.tracking.location import sqlite_path, store_uri

    tracking = compose().tracking
    path = sqlite_path(store_uri(tracking.uri))
    if path is not None and not path.exists():  # and must not be made by looking at it
        return None, None
    from pawprint.tracking.recorded import Records
    from pawprint.tracking.store import connect

    try:
        store = connect(tracking.uri, tracking.experiment)
        with store.explained():
            run = Records(store, tracking.registered_model).read(run_id)
    except UserError:
        return None, None
    return run.answers, run.tags.get("test_digest")
