"""The command `pawprint serve`: a page, and an API, that classify pictures."""

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

from pawprint.commands.arguments import choose_network
from pawprint.config.compose import compose, project_root
from pawprint.config.paths import Paths
from pawprint.system.errors import UserError


def serve(given: argparse.Namespace) -> int:
    """Answer as ``add_serve`` says, until Ctrl-C or SIGTERM; returns 0.

    Raises:
        UserError: there is no such network, an argument is out of range, or the address is taken.
    """
    limits = _limits(given)
    choice = choose_network(given.model, given.sure_precision, given.settings)
    from pawprint.inference.prediction_log import PredictionLog
    from pawprint.server.app import find_examples, make_app
    from pawprint.server.model import WatchedModel
    from pawprint.server.reviews import Reviews
    from pawprint.server.running import address_of, bind, is_local, run

    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    watched = WatchedModel(choice.name, choice.uri, choice.sure_precision)
    listening = bind(given.host, given.port)
    seen = PredictionLog(given.log) if given.log else None
    paths = _project_paths()
    # A proxy, which --allow-host is for, lets others in.
    own = is_local(listening) and not given.allow_host
    reviews = Reviews(paths.reviews) if paths and own else None
    app = make_app(
        watched,
        find_examples(_images(paths, given.settings), limits.file_bytes),
        limits,
        seen,
        reviews=reviews,
        hosts=[given.host, *given.allow_host],
        local=is_local(listening),
    )
    line = f"{watched.model.source.name} answers on {address_of(listening)} (Ctrl-C stops it)"
    run(app, listening, lambda: print(line, flush=True))
    return 0


def _project_paths() -> Paths | None:
    """None where there is no project: a network's file can be served there."""
    try:
        return Paths(project_root())
    except UserError:
        return None


def _images(paths: Paths | None, settings: list[str]) -> Path | None:
    """The project's pictures to predict."""
    return paths.given(compose(settings).predict_images) if paths else None


def _limits(given: argparse.Namespace) -> Any:
    from pawprint.server.limits import MEGABYTE, Limits

    if not 0 <= given.port <= 65535:
        raise UserError(f"--port is {given.port}; give a number from 0 to 65535")
    for name in given.allow_host:
        if not name or "/" in name:
            raise UserError(f"--allow-host is {name}; give a name alone, as in pets.example")
    usual = Limits()
    sizes = {
        "file_bytes": ("--max-megabytes", given.max_megabytes, MEGABYTE),
        "pixels": ("--max-megapixels", given.max_megapixels, 1_000_000),
        "files": ("--max-files", given.max_files, 1),
    }
    chosen = {}
    for name, (option, value, unit) in sizes.items():
        size = getattr(usual, name) if value is None else value * unit
        if not 1 <= size < 2**40:
            raise UserError(f"{option} is {value:g}; give more than 0, and no more than fits")
        chosen[name] = int(size)
    return Limits(**chosen)
