"""The mistakes of the report, and some right answers, with what the network looked at."""

from __future__ import annotations

import base64
from collections.abc import Callable

from pawprint.evaluation.explained import Answer
from pawprint.evaluation.page.parts import draw
from pawprint.evaluation.result import Result
from pawprint.pages.markup import Html, breakable, counted, percent

_MOST_CHARACTERS = 200  # of a path

Explained = Callable[[Answer], tuple[bytes, bytes]]


def mistakes_section(result: Result, explained: Explained) -> Html:
    """Draw the surest mistakes, and some right answers.

    Args:
        result: what was found out.
        explained: makes two JPEGs of an answer's picture: plain, and with what spoke for the
            answer drawn over it.
    """
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


def _pair(result: Result, answer: Answer, explained: Explained) -> Html:
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
