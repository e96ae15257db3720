"""Whom a person asks: the network's name, the store that has it, and how sure it is to be."""

from __future__ import annotations

import argparse
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pawprint.config.compose import compose_answering
from pawprint.registry.source import FORMS, is_file
from pawprint.system.errors import UserError
from pawprint.tracking.names import CHAMPION

SURE_PRECISION = "--sure-precision"


@dataclass(frozen=True)
class Asked:
    """A network by its name.

    Attributes:
        name: as ``find_network`` takes it.
        uri: configured tracking URI, or None for the project's own.
        sure_precision: share of the answers that are to be right, or None.
    """

    name: str
    uri: str | None
    sure_precision: float | None


def add_options(command: Any, sure: Any) -> None:
    """Add ``--model`` to a command's parser, and ``--sure-precision`` to it or a group of it."""
    command.add_argument("--model", metavar="NAME", help=f"{FORMS}; without it the champion")
    sure.add_argument(
        SURE_PRECISION,
        metavar="SHARE",
        help='share of the answers that is to be right, less sure pictures are "not sure"; '
        "without it sure_precision of params.yaml, if the model is no file",
    )


def who_answers(model: str | None, sure_precision: str | None) -> Asked:
    """Whom the words of ``add_options`` mean.

    A file stands for itself: it needs no project, and nothing of params.yaml counts.

    Raises:
        UserError: there is no project or its configuration is wrong, or the share is none.
    """
    if model is not None and is_file(model):
        return Asked(model, None, _share(sure_precision))
    settings = [] if sure_precision is None else [f"sure_precision={sure_precision}"]
    tracking, precision = compose_answering(settings)
    name = model or f"models:/{tracking.registered_model}@{CHAMPION}"
    return Asked(name, tracking.uri, precision)


def _share(text: str | None) -> float | None:
    if text is None:
        return None
    with suppress(argparse.ArgumentTypeError):
        if share := probability(text):
            return share
    raise UserError(f"{SURE_PRECISION} is {text}; give a number above 0, at most 1")


def probability(text: str) -> float:
    """A typed probability, 0 to 1, as argparse wants its types."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no probability from 0 to 1")
    return value
