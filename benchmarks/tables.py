"""Tables in Markdown, a line at a time."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def head(*names: str) -> None:
    """Print a table's head."""
    row(*names)
    row(*("---" for _ in names))


def row(*cells: object) -> None:
    """Print a line of a table, at once."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def spread(values: Sequence[float], form: str = ",.0f") -> tuple[str, str, str]:
    """Median, least and most of some values, as text."""
    return tuple(f"{x:{form}}" for x in (statistics.median(values), min(values), max(values)))


def ratio(above: Sequence[float], below: Sequence[float]) -> str:
    """How the medians of two sides compare, and the least and the most of any round."""
    pairs = [a / b for a, b in zip(above, below, strict=False)]
    middle = statistics.median(above) / statistics.median(below)
    return f"{middle:.2f} ({min(pairs):.2f} to {max(pairs):.2f})"
