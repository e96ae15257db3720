"""The comparison's page: one HTML file with the runs side by side."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping

from pawprint.comparison.compared import NOT_RECORDED, Changed, Comparison, Pair, chance
from pawprint.comparison.figures import Figure
from pawprint.comparison.parts import draw
from pawprint.comparison.text import figure_text, when
from pawprint.pages.markup import Html, breakable, breakable_key, counted, head, notes_card

MOST_TILES = 24  # of those gained, and as many of those lost
_LOOKS = {"better beyond chance": "kept", "worse beyond chance": "out", "not told apart": ""}


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
    letters = comparison.letters
    heading = [Html(draw("head", letter=letter)) for letter in letters]
    count = len(comparison.runs)
    names = " and ".join(run.name for run in comparison.runs[:2])
    return draw(
        "page",
        head=head(f"{count} runs compared: {names}", draw("style")),
        count=count,
        verdicts=[_verdict(comparison, pair) for pair in comparison.pairs],
        notes=_notes(comparison, picture is None),
        runs=[_run_row(comparison, place) for place in range(len(letters))],
        differing=_differing(comparison, heading),
        figures=_table("Figures", heading, comparison.figures),
        by_class=_by_class(comparison, heading),
        curves=[_curve(name, *pngs) for name, pngs in curves.items()] or draw("no_curves"),
        pictures=_pictures(comparison, picture),
    )


def _verdict(comparison: Comparison, pair: Pair) -> Html:
    second, first = comparison.letters[pair.place], comparison.letters[0]
    between = f"{second} against {first}"
    if pair.paired is None:
        return draw("no_verdict", between=between, sentence=pair.sentence)
    paired = pair.paired
    return draw(
        "verdict",
        between=between,
        figure=f"{100 * paired.difference:+.2f}",
        interval=f"{100 * paired.low:+.2f} to {100 * paired.high:+.2f}",
        gained=paired.gained,
        lost=paired.lost,
        pictures=counted(paired.pictures, "test picture", "test pictures"),
        chance=chance(paired.p_value),
        look=_LOOKS[pair.verdict],
        said=pair.verdict,
    )


def _notes(comparison: Comparison, no_pictures: bool) -> Html:
    notes = list(comparison.notes)
    if comparison.changed and no_pictures:
        notes.append(
            "The project holds other test pictures now than these runs had, or none: "
            "the pictures below are shown by their paths."
        )
    return notes_card(notes)


def _run_row(comparison: Comparison, place: int) -> Html:
    run = comparison.runs[place]
    return draw(
        "run",
        letter=comparison.letters[place],
        address=run.address,
        id=run.id[:8],
        whole=run.id,
        name=run.name,
        started=when(run.started),
        version=f"v{run.tags['registered_version']}" if "registered_version" in run.tags else "–",
        commit=run.tags.get("git_commit", NOT_RECORDED)[:12],
    )


def _differing(comparison: Comparison, heading: list[Html]) -> Html:
    rows = {**comparison.parameters, **comparison.origins}
    if not rows:
        return draw("nothing_differs")
    body = [
        draw(
            "row",
            name=breakable_key(name),
            cells=[draw("cell", text=breakable(value)) for value in values],
        )
        for name, values in rows.items()
    ]
    return draw("table", name="What differs", heading=heading, rows=body)


def _table(name: str, heading: list[Html], figures: Mapping[str, list[Figure | None]]) -> Html:
    if not figures:
        return draw("no_figures")
    rows = [
        draw("row", name=breakable_key(key), cells=[_figure_cell(key, one) for one in row])
        for key, row in figures.items()
    ]
    return draw("table", name=name, heading=heading, rows=rows)


def _figure_cell(name: str, figure: Figure | None) -> Html:
    value, _, interval = figure_text(name, figure, "\n").partition("\n")
    return draw("figure_cell", value=value, interval=interval.strip("()"))


def _by_class(comparison: Comparison, heading: list[Html]) -> Html:
    if not comparison.class_figures:
        return Html()
    table = _table("Test figures by class", heading, comparison.class_figures)
    return draw("by_class", table=table)


def _curve(name: str, light: bytes, dark: bytes) -> Html:
    coded = [Html(base64.b64encode(png).decode()) for png in (light, dark)]
    return draw("curve", name=name, light=coded[0], dark=coded[1])


def _pictures(comparison: Comparison, picture: Callable[[str], bytes | None] | None) -> Html:
    if not any(pair.paired for pair in comparison.pairs):
        return draw("not_paired")
    first = comparison.letters[0]
    gained = [one for one in comparison.changed if not one.right[0]]
    lost = [one for one in comparison.changed if one.right[0]]
    sheets = [
        _sheet(comparison, heading, meaning, changed, picture)
        for heading, meaning, changed in (
            ("Gained", f"{first} is wrong, and a later run is right.", gained),
            ("Lost", f"{first} is right, and a later run is wrong.", lost),
        )
        if changed
    ]
    return Html("".join(sheets)) or draw("nothing_changed")


def _sheet(
    comparison: Comparison,
    heading: str,
    meaning: str,
    changed: list[Changed],
    picture: Callable[[str], bytes | None] | None,
) -> Html:
    more = len(changed[MOST_TILES:])
    return draw(
        "sheet",
        heading=heading,
        count=len(changed),
        meaning=meaning,
        tiles=[_tile(comparison, one, picture) for one in changed[:MOST_TILES]],
        more=draw("more", count=more) if more else "",
    )


def _tile(
    comparison: Comparison, changed: Changed, picture: Callable[[str], bytes | None] | None
) -> Html:
    shown: Html | str = ""
    if picture is not None:
        content = picture(changed.path)
        shown = draw("no_picture", path=changed.path)
        if content:
            coded = Html(base64.b64encode(content).decode())
            shown = draw("picture", content=coded, label=changed.label, path=changed.path)
    answers = [
        draw(
            "answer",
            look="kept" if changed.right[place] else "out",
            mark="✓" if changed.right[place] else "✗",
            said="right" if changed.right[place] else "wrong",
            letter=comparison.letters[place],
            answer=answer,
            probability=f"{probability:.2f}",
        )
        for place, (answer, probability) in changed.answers.items()
    ]
    return draw(
        "tile", picture=shown, path=breakable(changed.path), label=changed.label, answers=answers
    )
