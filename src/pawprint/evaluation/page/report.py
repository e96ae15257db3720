"""The evaluation report: one HTML file that tells whether to trust a network."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pawprint.evaluation.page.figures_section import NAMES, figures_section
from pawprint.evaluation.page.mistakes_section import Explained, mistakes_section
from pawprint.evaluation.page.parts import draw, four, points, span
from pawprint.evaluation.page.slices_section import slices_section
from pawprint.evaluation.result import Result
from pawprint.pages.markup import Html, breakable, breakable_key, counted, head, notes_card
from pawprint.suspects.page import suspects_section

MOST_SUSPECTS = 30
TAKEN_AT_WORD, TOO_WIDE = 2.0, 6.0  # points that probabilities may be off by, and perhaps are


@dataclass(frozen=True)
class Origin:
    """Where a network comes from.

    Attributes:
        name: of its run.
        run_id: of its run.
        address: of the run's page.
        local: whether that page needs `mlflow ui` to be started.
        parameters: of the training.
        data: what is known of the pictures.
        environment: code, libraries, machine.
    """

    name: str
    run_id: str
    address: str
    local: bool
    parameters: Mapping[str, object]
    data: Mapping[str, object]
    environment: Mapping[str, object]


@dataclass(frozen=True)
class Plot:
    """A figure as PNG, for a light page and for a dark one."""

    name: str
    light: bytes
    dark: bytes


def report_page(
    result: Result,
    *,
    origin: Origin,
    plots: Sequence[Plot],
    explained: Explained,
    jpeg: Callable[[int], bytes],
    notes: Sequence[str] = (),
) -> str:
    """Draw the page; it needs no other file, and holds no script.

    Args:
        result: what was found out.
        origin: where the network comes from.
        plots: in the order to show them.
        explained: makes two JPEGs of an answer's picture: plain, and with what spoke for the
            answer drawn over it.
        jpeg: makes a JPEG of a held-out picture, by a suspect's index.
        notes: sentences about what a person may not expect. Defaults to none.

    Returns:
        The HTML.
    """
    return draw(
        "page",
        head=head(f"Evaluation of {origin.name}", draw("style")),
        name=origin.name,
        verdict=verdict(result),
        cards=_cards(result),
        notes=notes_card(notes),
        figures=figures_section(result),
        plots=[_plot(plot) for plot in plots],
        slices=slices_section(result.slices),
        mistakes=mistakes_section(result, explained),
        suspects=_suspects(result, jpeg),
        origin=_origin(origin),
    )


def verdict(result: Result) -> str:
    """In a line: how often it is right, how sure that is, what it is worst at, if it knows it."""
    names, metrics = result.test.class_names, result.metrics
    low, high = result.intervals["accuracy"]
    recalls = {name: metrics[k] for name in names if (k := f"recall_{name}") in metrics}
    weakest = min(recalls, key=recalls.__getitem__)
    off = 100 * metrics["expected_calibration_error"]
    # Few pictures show an error that is chance alone: what counts is the interval.
    least, most = (100 * end for end in result.intervals["expected_calibration_error"])
    if least > TAKEN_AT_WORD:
        knows = ": take them with care"
    elif most > TOO_WIDE:
        knows = ": too few pictures to tell whether they can be taken at their word"
    else:
        knows = " and can be taken at their word"
    return (
        f"Right on {points(metrics['accuracy'])} of "
        f"{counted(len(result.test.labels), 'test picture', 'test pictures')} "
        f"({100 * low:.1f} to {100 * high:.1f} % with 95 % certainty), least often on {weakest} "
        f"({points(recalls[weakest])}); its probabilities are off by {off:.1f} points on "
        f"average{knows}."
    )


def _cards(result: Result) -> list[Html]:
    cards = []
    for name in ("accuracy", "roc_auc", "log_loss", "expected_calibration_error"):
        if name in result.metrics:
            cards.append(_card(NAMES[name], result.metrics[name], span(result.intervals.get(name))))
    wrong = int((result.probabilities.argmax(axis=1) != result.test.labels).sum())
    more = f"of {len(result.test.labels):,} test pictures"
    cards.append(draw("card", name="mistakes", figure=wrong, more=more))
    if result.sure and result.sure.chosen:
        text = f"{points(result.sure.precision)} of them right" if result.sure.coverage else ""
        figure = points(result.sure.coverage)
        cards.append(draw("card", name="surely answered", figure=figure, more=text))
    return cards


def _card(name: str, value: float, more: str) -> Html:
    return draw("card", name=name, figure=four(value), more=more)


def _plot(plot: Plot) -> Html:
    width, height = struct.unpack(">II", plot.light[16:24])  # of the PNG's header
    light, dark = (Html(base64.b64encode(png).decode()) for png in (plot.light, plot.dark))
    return draw(
        "plot",
        light=light,
        dark=dark,
        alt=plot.name,
        width=str(width // 2),
        height=str(height // 2),
    )


def _suspects(result: Result, jpeg: Callable[[int], bytes]) -> Html:
    held_out = result.held_out
    found = counted(len(result.suspects), "label", "labels")
    text = (
        f"{found} of the {len(held_out.paths):,} validation and test pictures may be wrong "
        "(confident learning); a person should look at them. For those of training pictures: "
        "pawprint suspects."
    )
    section = suspects_section(
        *(result.suspects, held_out.paths, held_out.class_names),
        *(jpeg, held_out.splits, MOST_SUSPECTS),
    )
    return Html(draw("meaning", text=text) + section)


def _origin(origin: Origin) -> list[Html]:
    address = draw("link", address=origin.address, text=origin.run_id)
    hint = "For the link, start mlflow ui in the project's folder first." if origin.local else ""
    run = {"run": address, "name": origin.name}
    return [
        _facts("Run", run, draw("small", text=hint) if hint else Html()),
        _facts("Pictures", origin.data),
        _facts("Parameters", origin.parameters),
        _facts("Environment of the evaluation", origin.environment),
    ]


def _told(value: object) -> str:
    """A value as it stands in params.yaml."""
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value)


def _facts(title: str, values: Mapping[str, object], more: Html | str = "") -> Html:
    rows = [
        draw(
            "fact",
            name=breakable_key(name),
            value=v if isinstance(v, Html) else breakable(_told(v)),
        )
        for name, v in values.items()
    ]
    return draw("facts", title=title, rows=rows, more=more)
