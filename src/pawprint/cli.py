"""The `pawprint` command."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

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
    form = predict.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print a JSON list")
    form.add_argument("--csv", action="store_true", help="print CSV")
    given = parser.parse_args(arguments)
    try:
        sys.exit(_predict(given.paths, as_json=given.json, as_csv=given.csv))
    except UserError as error:
        fail(error)


def _predict(paths: list[Path], *, as_json: bool, as_csv: bool) -> int:
    """Print a prediction per picture; 1 where a file was no picture."""
    from pawprint.serving.champion import find_champion
    from pawprint.serving.predictor import Predictor

    files = list_pictures(paths)
    tracking = compose().tracking
    champion = find_champion(tracking.uri, tracking.registered_model)
    predictor = Predictor(champion.network)
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
