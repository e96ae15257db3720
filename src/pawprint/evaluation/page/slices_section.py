"""The slices of the report: where the network is worse than elsewhere."""

from __future__ import annotations

from pawprint.evaluation.page.parts import draw, four, points
from pawprint.evaluation.slices import FEWEST_PICTURES, Slice
from pawprint.pages.markup import Html, breakable


def slices_section(slices: list[Slice]) -> Html:
    """Draw a table with an interval per slice."""
    if not slices:
        return draw(
            "meaning",
            text=f"There are none: a slice needs {FEWEST_PICTURES} test pictures, and must not "
            "be all of them.",
        )
    low = min(one.intervals["accuracy"][0] for one in slices)
    rows: list[Html] = []
    kind = ""
    for one in slices:
        if one.kind != kind:
            kind = one.kind
            rows.append(draw("group", name=_KINDS_OF_SLICES[kind], columns="6"))
        rows.append(_slice_row(one, low))
    columns = [draw("column", name=name) for name in ("pictures", "accuracy")]
    columns += [draw("column_of_text", name=""), draw("column", name="log loss")]
    columns += [draw("column_of_text", name="against the rest")]
    text = (
        "The bar is the 95 % interval of the accuracy. “Worse” and “better” than all other test "
        "pictures: by Fisher's exact test at 1 %."
    )
    table = draw("table", name="Slices", first="slice", columns=columns, rows=rows)
    return Html(draw("meaning", text=text) + Html("<br>") + table)


_KINDS_OF_SLICES = {
    "class": "class",
    "size": "longer side of the original picture",
    "brightness": "mean brightness",
    "folder": "folder",
}


def _slice_row(one: Slice, least: float) -> Html:
    value, (low, high) = one.figures["accuracy"], one.intervals["accuracy"]
    span = max(1 - least, 1e-9)

    def place(share: float) -> str:
        return f"{100 * (share - least) / span:.1f}"

    whisker = draw(
        "whisker",
        text=f"{points(value)}, {100 * low:.1f} to {100 * high:.1f} %",
        left=place(low),
        width=f"{100 * (high - low) / span:.1f}",
        middle=place(value),
    )
    looks = {"worse": "out", "better": "kept"}
    against = one.against_rest
    return draw(
        "row",
        name=breakable(one.name),
        cells=[
            draw("number", text=one.pictures),
            draw(
                "with_interval", text=points(value), interval=f"{100 * low:.1f} to {100 * high:.1f}"
            ),
            whisker,
            draw("number", text=four(one.figures["log_loss"])),
            draw("chip", look=looks[against], text=against) if against else draw("empty"),
        ],
    )
