"""The `pawprint` command."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Any

from pawprint.config import compose, fail
from pawprint.errors import UserError
from pawprint.predict import list_pictures, write_predictions
from pawprint.serving.predictor import Prediction


def main(arguments: list[str] | None = None) -> None:
    """Run the command; ends the process with 0, or with 1 where something could not be done."""
    if hasattr(signal, "SIGPIPE"):  # end quietly when the reader, `head` say, has seen enough
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.stdout.reconfigure(errors="surrogateescape")  # names that are not UTF-8, as they are
    parser = argparse.ArgumentParser(
        prog="pawprint", description="Classify pictures with the champion of this project."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    predict = commands.add_parser(
        "predict",
        help="classify pictures",
        description="Classify pictures, and those inside folders, with the registered champion.",
    )
    predict.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="picture or folder")
    predict.add_argument(
        "--sure-precision",
        metavar="SHARE",
        help='share of the answers that is to be right, less sure pictures are "not sure"; '
        "without it sure_precision of params.yaml",
    )
    form = predict.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print a JSON list")
    form.add_argument("--csv", action="store_true", help="print CSV")
    _add_compare(commands)
    _add_champion(commands)
    given = parser.parse_args(arguments)
    try:
        if given.command == "champion":
            sys.exit(_champion(rollback=given.rollback, as_json=given.json))
        if given.command == "compare":
            sys.exit(_compare(given.runs, given.last, as_json=given.json))
        settings = [f"sure_precision={given.sure_precision}"] if given.sure_precision else []
        sys.exit(_predict(given.paths, settings, as_json=given.json, as_csv=given.csv))
    except UserError as error:
        fail(error)


def _predict(paths: list[Path], settings: list[str], *, as_json: bool, as_csv: bool) -> int:
    """Print a prediction per picture; 1 where a file was no picture."""
    from pawprint.serving.source import find_champion
    from pawprint.serving.predictor import Predictor

    files = list_pictures(paths)
    config = compose(settings)
    champion = find_champion(config.tracking.uri, config.tracking.registered_model)
    predictor = Predictor(champion.network, config.sure_precision)
    predictions = list(predictor.classify(files))
    if as_json:
        rows = [_as_row(p) for p in predictions]
        text = json.dumps(rows, indent=2, ensure_ascii=False)
        print(text.encode(errors="backslashreplace").decode())  # JSON's escapes for no UTF-8
    elif as_csv:
        write_predictions(sys.stdout, predictions, predictor.class_names)
    elif sys.stdout.isatty():
        _print_table(predictions, f"{champion.model} version {champion.version}")
    else:
        for p in predictions:
            print(p.path, p.problem or f"{p.label}\t{p.probability:.4f}", sep="\t")
    unread = [p for p in predictions if p.problem]
    for p in unread:
        print(f"error: {p.path} {p.problem}", file=sys.stderr)
    return 1 if unread else 0


def _add_champion(commands: Any) -> None:
    champion = commands.add_parser(
        "champion",
        help="show the champion, or go back to the one before",
        description="Show who is champion, since when and why, and the line of champions.",
    )
    champion.add_argument(
        "--rollback", action="store_true", help="first make the champion before champion again"
    )
    champion.add_argument("--json", action="store_true", help="print JSON")


def _champion(*, rollback: bool, as_json: bool) -> int:
    from pawprint.champion import champion

    return champion(rollback=rollback, as_json=as_json)


def _add_compare(commands: Any) -> None:
    compare = commands.add_parser(
        "compare",
        help="put recorded runs side by side",
        description="Compare recorded runs: what differs, their figures, and the test pictures "
        "that changed sides. Writes a page into reports/compare/.",
    )
    compare.add_argument(
        "runs",
        nargs="*",
        metavar="RUN",
        help="id, its first characters, name, champion, challenger or a version like v2; "
        "the first is what the others are compared against",
    )
    compare.add_argument(
        "--last", type=int, metavar="N", help="the last N evaluated runs; without a RUN: 2"
    )
    compare.add_argument("--json", action="store_true", help="print JSON")


def _compare(words: list[str], last: int | None, *, as_json: bool) -> int:
    """Print the comparison; the page is written either way."""
    from pawprint.compare import CHANGED_FILE, PAGE, compare
    from pawprint.comparison.text import as_plain, print_comparison
    from pawprint.config import project_root
    from pawprint.paths import Paths

    comparison = compare(words, last, compose().tracking)
    folder = Paths(project_root()).comparison
    if as_json:
        content = as_plain(comparison) | {"page": str(folder / PAGE)}
        text = json.dumps(content, indent=2, ensure_ascii=False)
        print(text.encode(errors="backslashreplace").decode())
    else:
        print_comparison(comparison, found_in=str(folder / CHANGED_FILE))
        print(f"page: {folder / PAGE}")
    return 0


def _as_row(prediction: Prediction) -> dict[str, object]:
    if prediction.problem:
        return {"path": str(prediction.path), "problem": prediction.problem}
    return {
        "path": str(prediction.path),
        "label": prediction.label,
        "probability": round(prediction.probability, 6),
        "probabilities": {name: round(p, 6) for name, p in prediction.probabilities.items()},
    }


def _print_table(predictions: list[Prediction], title: str) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title)
    table.add_column("file", overflow="fold")
    table.add_column("label")
    table.add_column("probability", justify="right")
    for p in predictions:
        if p.problem:
            table.add_row(escape(str(p.path)), f"[red]{escape(p.problem)}[/red]", "")
        else:
            table.add_row(escape(str(p.path)), escape(p.label), f"{p.probability:.4f}")
    Console().print(table)


if __name__ == "__main__":
    main()
