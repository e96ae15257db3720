"""Which network answers: its name, the store that has it, and how sure it is to be."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from pawprint.commands.arguments import SURE_PRECISION, probability
from pawprint.config.compose import compose_tracking
from pawprint.registry.source import is_file
from pawprint.system.errors import UserError
from pawprint.tracking.names import CHAMPION


@dataclass(frozen=True)
class NetworkChoice:
    """A network by its name.

    Attributes:
        name: as ``find_network`` takes it.
        uri: configured tracking URI, or None for the project's own.
        sure_precision: share of the answers that are to be right, or None.
    """

    name: str
    uri: str | None
    sure_precision: float | None


def choose_network(
    model: str | None, sure_precision: str | None, settings: Sequence[str] = ()
) -> NetworkChoice:
    """The network that `--model`, `--sure-precision` and settings mean.

    A file stands for itself: it needs no project, and nothing of params.yaml counts.

    Raises:
        UserError: there is no project or its configuration is wrong, or the share is none.
    """
    if model is not None and is_file(model) and not settings:
        return NetworkChoice(model, None, _share(sure_precision))
    if sure_precision is not None:
        settings = [*settings, f"sure_precision={sure_precision}"]
    tracking, precision = compose_tracking(settings)
    name = model or f"models:/{tracking.registered_model}@{CHAMPION}"
    return NetworkChoice(name, tracking.uri, precision)


def _share(text: str | None) -> float | None:
    if text is None:
        return None
    with suppress(argparse.ArgumentTypeError):
        if share := probability(text):
            return share
    raise UserError(f"{SURE_PRECISION} is {text}; give a number above 0, at most 1")
