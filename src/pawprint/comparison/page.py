"""The comparison's page: one HTML file with the runs side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pawprint.comparison.compare import NOT_RECORDED, Changed, Comparison, p_value_text
from pawprint.comparison.metrics import Metric
from pawprint.comparison.text import local_time, metric_text
from pawprint.pages.render import render

MOST_TILES = 24  # of those gained, and as many of those lost


def comparison_page(
    comparison: Comparison,
    *,
    curves: Mapping[str, tuple[bytes, bytes]],
    picture: Callable[[str], bytes | None] | None,
) -> str:
    """Draw the page; it needs no other file and holds no script.

    Args:
        comparison: What to show.
        curves: PNGs by name of the metric, for a light and for a dark page.
        picture: Makes a JPEG of a test picture's path, or None where it cannot; None where none
            of them can be shown. It is called for some dozens.

    Returns:
        The HTML.
    """
    notes = list(comparison.notes)
    if comparison.changed and picture is None:
        notes.append(
            "The project holds other test pictures now than these runs had, or none: "
            "the pictures below are shown by their paths."
        )
    gained = [one for one in comparison.changed if not one.right[0]]
    lost = [one for one in comparison.changed if one.right[0]]
    return render(
        "comparison/page.html",
        comparison=comparison,
        notes=notes,
        not_recorded=NOT_RECORDED,
        metrics=_metric_texts(comparison.metrics),
        class_metrics=_metric_texts(comparison.class_metrics),
        curves=curves,
        with_pictures=picture is not None,
        sheets=[_sheet("Gained", gained, picture), _sheet("Lost", lost, picture)],
        local_time=local_time,
        p_value_text=p_value_text,
    )


def _metric_texts(rows: Mapping[str, list[Metric | None]]) -> dict[str, list[tuple[str, str]]]:
    """Each value and its interval, as they are written."""
    texts = {}
    for name, row in rows.items():
        parts = (metric_text(name, metric, "\n").partition("\n") for metric in row)
        texts[name] = [(value, interval.strip("()")) for value, _, interval in parts]
    return texts


def _sheet(
    heading: str, changed: list[Changed], picture: Callable[[str], bytes | None] | None
) -> dict[str, Any]:
    shown = changed[:MOST_TILES]
    return {
        "heading": heading,
        "files": len(changed),
        "tiles": [(one, picture(one.path) if picture else None) for one in shown],
    }
