"""The figures of the report, with their intervals: of all test pictures, and by class."""

from __future__ import annotations

import numpy as np

from pawprint.evaluation.page.parts import draw, four, points, span
from pawprint.evaluation.result import Result, Sure
from pawprint.pages.markup import Html, counted

MOST_CLASSES = 10  # whose figures are shown at once
KINDS = ("precision", "recall", "f1")

NAMES = {
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


def figures_section(result: Result) -> Html:
    """Draw the figures."""
    metrics, intervals = result.metrics, result.intervals
    rows = [
        draw(
            "row",
            name=NAMES[name],
            cells=[
                draw("number", text=four(metrics[name])),
                draw("number", text=span(intervals.get(name))),
                draw("text", text=_MEANINGS[name]),
            ],
        )
        for name in NAMES
        if name in metrics
    ]
    columns = [draw("column", name=c) for c in ("test pictures", "95 % interval")]
    columns.append(draw("column_of_text", name=""))
    table = draw("table", name="Figures", first="figure", columns=columns, rows=rows)
    return Html(table + _scaling(result) + _classes(result))


def _scaling(result: Result) -> Html:
    metrics = result.metrics
    before, after = (four(metrics[f"expected_calibration_error{end}"]) for end in ("_unscaled", ""))
    text = (
        f"A temperature fitted on validation pictures is part of the network. Without it the "
        f"expected calibration error would be {before} instead of {after}, and the log loss "
        f"{four(metrics['log_loss_unscaled'])} instead of {four(metrics['log_loss'])}."
    )
    sentences = [draw("small", text=text)]
    if result.sure:
        sentences.append(draw("small", text=_sure(result.sure)))
    return Html("".join(sentences))


def _sure(sure: Sure) -> str:
    if sure.chosen is None:
        return (
            f"No threshold makes {points(sure.wanted)} of the answers to validation pictures "
            "right: predicting with this sure_precision will not work."
        )
    on_test = (
        f"{points(sure.precision)} right, {points(sure.coverage)} answered"
        if sure.coverage
        else "none is answered"
    )
    return (
        f'To be right in {points(sure.wanted)} of its answers it calls a picture "not sure" '
        f"where its probability is below {sure.chosen.threshold:.4f}. Validation pictures: "
        f"{points(sure.chosen.precision)} right, {points(sure.chosen.coverage)} answered; test "
        f"pictures: {on_test}."
    )


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


def _with_range(result: Result, name: str) -> Html:
    interval = span(result.intervals.get(name), digits=3)
    return draw("with_interval", text=f"{result.metrics[name]:.3f}", interval=interval)
