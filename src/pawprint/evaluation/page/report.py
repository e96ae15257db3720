"""The evaluation report: one HTML file that tells whether to trust a network."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pawprint.evaluation.explained import Answer
from pawprint.evaluation.page.suspects import suspects_section
from pawprint.evaluation.result import Result
from pawprint.evaluation.slices import FEWEST_PICTURES, Slice
from pawprint.images.store import Split
from pawprint.pages.markup import Html, Parts, breakable, counted, percent, style

MOST_CLASSES = 10  # whose figures are shown at once
MOST_SUSPECTS = 30
TAKEN_AT_WORD = 2.5  # points that probabilities may be off by
_MOST_CHARACTERS = 200  # of a path

draw = Parts(Path(__file__).with_name("report.html")).draw

_NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "log_loss": "log loss",
    "brier_score": "Brier score",
    "expected_calibration_error": "expected calibration error",
}
_MEANINGS = {
    "accuracy": "share of right answers",
    "balanced_accuracy": "mean of the classes' shares",
    "roc_auc": "1 is best, 0.5 is chance",
    "average_precision": "mean over the classes",
    "log_loss": "nats, less is better",
    "brier_score": "squared error, less is better",
    "expected_calibration_error": "how far probabilities are off, less is better",
}


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
    validation: Split,
    *,
    origin: Origin,
    plots: Sequence[Plot],
    explained: Callable[[Answer], tuple[bytes, bytes]],
    jpeg: Callable[[int], bytes],
    notes: Sequence[str] = (),
) -> str:
    """Draw the page; it needs no other file, and holds no script.

    Args:
        result: what was found out.
        validation: the validation split, whose labels were doubted too.
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
        style=style(),
        name=origin.name,
        verdict=verdict(result),
        cards=_cards(result),
        notes=draw("notes", notes=[draw("note", text=n) for n in notes]) if notes else "",
        figures=_figures(result),
        plots=[_plot(plot) for plot in plots],
        slices=_slices(result),
        mistakes=_mistakes(result, explained),
        suspects=_suspects(result, validation, jpeg),
        origin=_origin(origin),
    )


def verdict(result: Result) -> str:
    """In a line: how often it is right, how sure that is, what it is worst at, if it knows it."""
    names, metrics = result.test.class_names, result.metrics
    low, high = result.intervals["accuracy"]
    recalls = {name: metrics[k] for name in names if (k := f"recall_{name}") in metrics}
    weakest = min(recalls, key=recalls.__getitem__)
    off = 100 * metrics["expected_calibration_error"]
    knows = " and can be taken at their word" if off <= TAKEN_AT_WORD else ": take them with care"
    return (
        f"Right on {_points(metrics['accuracy'])} of "
        f"{counted(len(result.test.labels), 'test picture', 'test pictures')} "
        f"({100 * low:.1f} to {100 * high:.1f} % with 95 % certainty), least often on {weakest} "
        f"({_points(recalls[weakest])}); its probabilities are off by {off:.1f} points on "
        f"average{knows}."
    )


def _points(share: float) -> str:
    return f"{100 * share:.1f} %"


def _cards(result: Result) -> list[Html]:
    cards = []
    for name in ("accuracy", "roc_auc", "log_loss", "expected_calibration_error"):
        if name in result.metrics:
            cards.append(_card(_NAMES[name], result.metrics[name], _range(result.intervals[name])))
    wrong = int((result.probabilities.argmax(axis=1) != result.test.labels).sum())
    more = f"of {len(result.test.labels):,} test pictures"
    cards.append(draw("card", name="mistakes", figure=wrong, more=more))
    if result.sure:
        text = f"{_points(result.sure.precision)} of them right" if result.sure.coverage else ""
        figure = _points(result.sure.coverage)
        cards.append(draw("card", name="surely answered", figure=figure, more=text))
    return cards


def _card(name: str, value: float, more: str) -> Html:
    return draw("card", name=name, figure=_four(value), more=more)


def _four(value: float) -> str:
    return f"{value:.4f}"


def _range(interval: tuple[float, float]) -> str:
    return f"{_four(interval[0])} to {_four(interval[1])}"


def _figures(result: Result) -> Html:
    metrics, intervals = result.metrics, result.intervals
    rows = [
        draw(
            "row",
            name=_NAMES[name],
            cells=[
                draw("number", text=_four(metrics[name])),
                draw("number", text=_range(intervals[name])),
                draw("text", text=_MEANINGS[name]),
            ],
        )
        for name in _NAMES
        if name in metrics
    ]
    columns = [draw("column", name=c) for c in ("test pictures", "95 % interval")]
    columns.append(draw("column_of_text", name=""))
    table = draw("table", name="Figures", first="figure", columns=columns, rows=rows)
    return Html(table + _scaling(result) + _classes(result))


def _scaling(result: Result) -> Html:
    metrics = result.metrics
    before, after = (
        _four(metrics[f"expected_calibration_error{end}"]) for end in ("_unscaled", "")
    )
    text = (
        f"A temperature fitted on validation pictures is part of the network. Without it the "
        f"expected calibration error would be {before} instead of {after}, and the log loss "
        f"{_four(metrics['log_loss_unscaled'])} instead of {_four(metrics['log_loss'])}."
    )
    sentences = [draw("small", text=text)]
    if sure := result.sure:
        on_test = (
            f"{_points(sure.precision)} right, {_points(sure.coverage)} answered"
            if sure.coverage
            else "none is answered"
        )
        sentences.append(
            draw(
                "small",
                text=f"To be right in {_points(sure.wanted)} of its answers it calls a picture "
                f'"not sure" where its probability is below {sure.chosen.threshold:.4f}. '
                f"Validation pictures: {_points(sure.chosen.precision)} right, "
                f"{_points(sure.chosen.coverage)} answered; test pictures: "
                f"{on_test}.",
            )
        )
    return Html("".join(sentences))


def _classes(result: Result) -> Html:
    names, metrics = result.test.class_names, result.metrics
    counts = np.bincount(result.test.labels, minlength=len(names))
    there = [i for i, name in enumerate(names) if f"recall_{name}" in metrics]
    # The weakest first: they are what a person must know of.
    there.sort(key=lambda i: metrics[f"f1_{names[i]}"])
    rows = [
        draw(
            "row",
            name=names[index],
            cells=[
                draw("number", text=int(counts[index])),
                *(_with_range(result, f"{kind}_{names[index]}") for kind in KINDS),
            ],
        )
        for index in there
    ]
    columns = [draw("column", name=name) for name in ("pictures", *KINDS)]
    shown = rows[:MOST_CLASSES]
    table = draw("table", name="Classes", first="class", columns=columns, rows=shown)
    parts = [draw("heading", text="By class, the weakest first"), Html("<br>"), table]
    if rest := rows[MOST_CLASSES:]:
        rest_table = draw("table", name="More classes", first="class", columns=columns, rows=rest)
        summary = f"and {counted(len(rest), 'more class', 'more classes')}"
        parts.append(draw("more_rows", summary=summary, table=rest_table))
    return Html("".join(parts))


KINDS = ("precision", "recall", "f1")


def _with_range(result: Result, name: str) -> Html:
    low, high = result.intervals[name]
    return draw("number", text=f"{result.metrics[name]:.3f} ({low:.3f} to {high:.3f})")


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


def _slices(result: Result) -> Html:
    if not result.slices:
        return draw(
            "meaning",
            text=f"There are none: a slice needs {FEWEST_PICTURES} test pictures, and must not "
            "be all of them.",
        )
    low = min(one.intervals["accuracy"][0] for one in result.slices)
    rows: list[Html] = []
    kind = ""
    for one in result.slices:
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
        text=f"{_points(value)}, {100 * low:.1f} to {100 * high:.1f} %",
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
            draw("number", text=f"{_points(value)} ({100 * low:.1f} to {100 * high:.1f})"),
            whisker,
            draw("number", text=_four(one.figures["log_loss"])),
            draw("chip", look=looks[against], text=against) if against else draw("empty"),
        ],
    )


def _mistakes(result: Result, explained: Callable[[Answer], tuple[bytes, bytes]]) -> Html:
    wrong = int((result.probabilities.argmax(axis=1) != result.test.labels).sum())
    whole = len(result.test.labels)
    if wrong:
        shown = "the surest first" if wrong > len(result.mistakes) else "the surest first; all"
        text = (
            f"{counted(wrong, 'picture', 'pictures')} of {whole:,} "
            f"({percent(wrong, whole)}), {shown}. At the left what the network sees, at the right "
            "what spoke for its answer: the brighter, the more."
        )
    else:
        text = "Nothing: every test picture is answered right. Below, where it looked."
    parts = [draw("meaning", text=text)]
    if result.mistakes:
        pairs = [_pair(result, one, explained) for one in result.mistakes]
        parts.append(draw("pairs", pairs=pairs))
    if result.good:
        parts.append(draw("heading", text="Some that it gets right"))
        parts.append(draw("pairs", pairs=[_pair(result, one, explained) for one in result.good]))
    return Html("".join(parts))


def _pair(
    result: Result, answer: Answer, explained: Callable[[Answer], tuple[bytes, bytes]]
) -> Html:
    names, right = result.test.class_names, answer.label == answer.predicted
    picture, drawn = (Html(base64.b64encode(jpeg).decode()) for jpeg in explained(answer))
    return draw(
        "pair",
        picture=picture,
        map=drawn,
        path=breakable(_short(result.test.paths[answer.index])),
        label=names[answer.label],
        of_label="" if right else f" {answer.probability_of_label:.4f}",
        predicted=names[answer.predicted],
        probability=f"{answer.probability:.4f}",
        look="kept" if right else "out",
    )


def _short(path: str) -> str:
    return path if len(path) <= _MOST_CHARACTERS else f"… {path[-_MOST_CHARACTERS:]}"


def _suspects(result: Result, validation: Split, jpeg: Callable[[int], bytes]) -> Html:
    splits = ["validation"] * len(validation.labels) + ["test"] * len(result.test.labels)
    found = counted(len(result.suspects), "label", "labels")
    text = (
        f"{found} of the {len(splits):,} validation and test pictures may be wrong (confident "
        "learning); a person should look at them. For those of training pictures: "
        "python -m pawprint.suspects."
    )
    section = suspects_section(
        result.suspects,
        [*validation.paths, *result.test.paths],
        result.test.class_names,
        jpeg,
        splits,
        MOST_SUSPECTS,
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


def _facts(title: str, values: Mapping[str, object], more: Html | str = "") -> Html:
    rows = [
        draw("fact", name=_key(name), value=v if isinstance(v, Html) else breakable(str(v)))
        for name, v in values.items()
    ]
    return draw("facts", title=title, rows=rows, more=more)


def _key(name: str) -> Html:
    """A key that breaks after its points and underscores."""
    return Html(breakable(name).replace("_", "_<wbr>").replace(".", ".<wbr>"))
