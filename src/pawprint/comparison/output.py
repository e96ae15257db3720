"""A comparison as an HTML page, on a terminal or in a pipe, and for machines."""

import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pawprint.comparison.compare import (
    NOT_RECORDED,
    Changed,
    Comparison,
    Metric,
    Pair,
    p_value_text,
)
from pawprint.evaluation.metrics import figure_of
from pawprint.pages.render import render
from pawprint.system.terminal import print_table

MOST_TILES = 24  # of those gained, and as many of those lost
_MOST_CHARACTERS = 40
_MOST_CHANGED = 5
_COUNTS = ("best_epoch", "weights")
_ORIGINS = {
    "class_names": "classes",
    "data_digest": "pictures (digest)",
    "git_commit": "commit",
    "test_digest": "test pictures (digest)",
}


@dataclass(frozen=True)
class Difference:
    """A figure of a run against the first one's.

    Attributes:
        text: with its sign, or that there is none.
        arrow: up or down as the figure goes; empty where it stays.
        word: which way is better, or that chance explains it; empty where neither way is.
        below: interval and p, where they are known, or why there is no difference.
    """

    text: str
    arrow: str = ""
    word: str = ""
    below: str = ""


def comparison_page(
    comparison: Comparison,
    *,
    curves: Mapping[str, tuple[bytes, bytes]],
    picture: Callable[[str], bytes | None] | None,
) -> str:
    """Draw the page; it needs no other file, and no script but that of all pages.

    Args:
        comparison: what to show.
        curves: PNGs by name of the metric, for a light and for a dark page.
        picture: makes a JPEG of a test picture's path, or None where it cannot; None where none
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
    changed = comparison.changed
    return render(
        "comparison/page.html",
        comparison=comparison,
        notes=notes,
        not_recorded=NOT_RECORDED,
        curves=curves,
        differing=[
            *comparison.parameters.items(),
            *((_ORIGINS.get(key, key), row) for key, row in comparison.origins.items()),
        ],
        difference=difference,
        figure_of=figure_of,
        jpeg_of=picture,
        sheets={
            "Gained": [one for one in changed if not one.right(0)],
            "Lost": [one for one in changed if one.right(0)],
        },
        most_tiles=MOST_TILES,
        local_time=local_time,
        metric_texts=metric_texts,
        p_value_text=p_value_text,
    )


def print_comparison(comparison: Comparison, *, found_in: str) -> None:
    """Print tables and sentences: in colour and frames on a terminal, else aligned.

    Args:
        comparison: what to print.
        found_in: the table with all pictures that changed sides.
    """
    letters = list(comparison.letters)
    runs = [
        [letter, run.id[:8], local_time(run.started), run.name]
        for letter, run in zip(letters, comparison.runs, strict=True)
    ]
    between = "\n" if sys.stdout.isatty() and len(runs) > 3 else " "  # ten runs are wide
    differing = comparison.differing
    tables = [
        ("runs", ["", "run", "started", "name"], runs),
        ("what differs", ["", *letters], [[key, *map(_short, v)] for key, v in differing.items()]),
        (
            "figures, with 95 % intervals where they are recorded",
            ["", *letters],
            [
                [k, *(_cell(metric_texts(k, one), between) for one in row)]
                for k, row in comparison.metrics.items()
            ],
        ),
    ]
    for title, header, rows in tables:
        if rows:
            print_table(title, header, rows)
    if not differing:
        print("no parameter differs, nor data, nor commit\n")
    for pair in comparison.pairs:
        print(pair.sentence)
        for line in _changed_lines(comparison, pair, found_in):
            print(f"  {line}")
    for note in comparison.notes:
        print(note)


def metric_texts(name: str, metric: Metric | None) -> tuple[str, str]:
    """The metric ``name`` and its interval, which is empty where there is none."""
    if metric is None:
        return NOT_RECORDED, ""
    if name in _COUNTS and math.isfinite(metric.value):
        return f"{metric.value:,.0f}", ""
    if name.startswith("seconds"):
        return f"{metric.value:,.1f}", ""
    if metric.low is None or metric.high is None:
        return _number(metric.value), ""
    return _number(metric.value), f"{_number(metric.low)} to {_number(metric.high)}"


def difference(name: str, row: list[Metric | None], pair: Pair) -> Difference:
    """How the metric ``name`` of a pair's run differs from that of the first run.

    Args:
        name: as it is recorded.
        row: the metric of all runs.
        pair: the run against the first one.
    """
    first, second = row[0], row[pair.place]
    if first is None or second is None:
        return Difference(NOT_RECORDED)
    if name.startswith("test_") and not pair.same_pictures:
        return Difference(NOT_RECORDED, below="other test pictures")
    if not math.isfinite(more := second.value - first.value):
        return Difference(NOT_RECORDED)
    better = figure_of(name).more_is_better
    word = "" if better is None else "better" if (more > 0) == better else "worse"
    below = ""
    if name == "test_accuracy" and (paired := pair.paired):
        word = pair.verdict or word
        below = f"{_number(paired.low, '+')} to {_number(paired.high, '+')}, "
        below += p_value_text(paired.p_value)
    if not more:
        return Difference("0", "", "same", below)
    arrow = "▲" if more > 0 else "▼"
    if name in _COUNTS:
        return Difference(f"{more:+,.0f}", arrow, word)
    if name.startswith("seconds"):
        return Difference(f"{more:+,.1f}", arrow, word)
    return Difference(_number(more, "+"), arrow, word, below)


def local_time(milliseconds: int) -> str:
    """A moment in local time, to the minute."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(milliseconds / 1000))


def as_plain(comparison: Comparison) -> dict[str, Any]:
    """The comparison as plain values; what is not finite or not there is None."""
    ids = [run.id for run in comparison.runs]
    metrics = {**comparison.metrics, **comparison.class_metrics}
    return {
        "runs": [
            {"id": run.id, "name": run.name, "started": run.started} for run in comparison.runs
        ],
        "parameters": comparison.parameters,
        "origins": comparison.origins,
        "figures": {name: [_plain_metric(one) for one in row] for name, row in metrics.items()},
        "pairs": [_plain_pair(pair, ids) for pair in comparison.pairs],
        "changed": [
            {
                "path": one.path,
                "label": one.label,
                "answers": {
                    ids[place]: {"answer": answer, "probability": round(probability, 6)}
                    for place, (answer, probability) in one.answers.items()
                },
            }
            for one in comparison.changed
        ],
        "notes": comparison.notes,
    }


def _cell(texts: tuple[str, str], between: str) -> str:
    value, interval = texts
    return f"{value}{between}({interval})" if interval else value


def _number(value: float, sign: str = "") -> str:
    return f"{value:{sign}.4f}" if abs(value) < 10 else f"{value:{sign},.1f}"


def _plain_metric(metric: Metric | None) -> dict[str, float | None] | None:
    if metric is None:
        return None
    return {k: v if v is None or math.isfinite(v) else None for k, v in vars(metric).items()}


def _plain_pair(pair: Pair, ids: list[str]) -> dict[str, Any]:
    numbers = vars(pair.paired) if pair.paired else {}
    between = {"first": ids[0], "second": ids[pair.place]}
    return {**between, **numbers, "verdict": pair.verdict, "sentence": pair.sentence}


def _changed_lines(comparison: Comparison, pair: Pair, found_in: str) -> list[str]:
    lines = []
    pictures = comparison.changed_between(pair)
    for word, changed in zip(("gained", "lost"), pictures, strict=True):
        for one in changed[:_MOST_CHANGED]:
            said = [f"{comparison.letters[i]} {_answer(one, i)}" for i in (0, pair.place)]
            lines.append(f"{word:6}  {one.path} ({one.label}): {', '.join(said)}")
        if more := len(changed[_MOST_CHANGED:]):
            lines.append(f"{word:6}  {more:,} more, in {found_in}")
    return lines


def _answer(changed: Changed, place: int) -> str:
    answer, probability = changed.answers[place]
    return f"{answer} {probability:.2f}"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"
