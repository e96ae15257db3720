"""What drift found, for a person and for machines."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pawprint.drift.compare import Middle, Row
from pawprint.system.terminal import print_table

if TYPE_CHECKING:
    from pawprint.drift.find import Drift

_MOST_CLASSES = 3  # in the table
_FORMS = {"size": ",.0f", "aspect": ".2f", "brightness": ".0f", "confidence": ".3f"}
HEADER = ["", "before", "seen", "distance", "p", "verdict"]


def print_drift(drift: Drift) -> None:
    """Print the table and sentences: in colour and frames on a terminal, else aligned."""
    print(f"seen: {drift.pictures:,} pictures from {drift.first} to {drift.last} by {drift.model}")
    print("before: training pictures; confidence and labels: answers to test pictures\n")
    print_table("medians (quartiles) and shares", HEADER, [_cells(row) for row in drift.rows])
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
