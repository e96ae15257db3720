"""The `pawprint` command."""

from __future__ import annotations

import argparse
import errno
import json
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from pawprint.commands import serve
from pawprint.commands.predict_options import add_options, probability
from pawprint.config.compose import compose, fail, stopped
from pawprint.system.errors import UserError

STAGES = {
    **{
        name: f"pawprint.stages.{name}"
        for name in ("sample", "prepare", "train", "evaluate", "register", "predict", "pipeline")
    },
    **{name: f"pawprint.commands.{name}" for name in ("suspects", "litert")},
}


def main(arguments: list[str] | None = None) -> None:
    """Run the command; ends the process with 0, or with 1 where something could not be done."""
    words = sys.argv[1:] if arguments is None else arguments
    if words and words[0] in STAGES and not _names_pictures(words):
        sys.argv = words
        import_module(STAGES[words[0]]).main()
        return
    if hasattr(signal, "SIGPIPE"):  # end quietly when the reader, `head` say, has seen enough
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    _open_streams()
    parser = argparse.ArgumentParser(
        prog="pawprint", description="Classify pictures with the champion of this project."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_predict(commands)
    _add_compare(commands)
    _add_champion(commands)
    _add_drift(commands)
    serve.add_parser(commands)
    given = parser.parse_args(arguments)
    try:
        code = _run(given)
        sys.stdout.flush()
    except UserError as error:
        fail(error)
    except KeyboardInterrupt as error:
        stopped(error)
    except ModuleNotFoundError as error:  # in the image that serves
        fail(UserError(f"{given.command} needs {error.name}, which is not installed here"))
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            raise
        # Else Python tries once more, at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        fail(UserError("standard output has no room left; free some, or write elsewhere"))
    sys.exit(code)


def _names_pictures(words: list[str]) -> bool:
    """Whether it is `predict` with pictures, and not the stage of that name."""
    return words[0] == "predict" and len(words) > 1 and "=" not in words[1]


def _run(given: argparse.Namespace) -> int:
    if given.command == "champion":
        return _champion(rollback=given.rollback, as_json=given.json)
    if given.command == "drift":
        return _drift(given)
    if given.command == "serve":
        return serve.serve(given)
    if given.command == "compare":
        return _compare(given.runs, given.last, as_json=given.json)
    return _predict(given)


def _open_streams() -> None:
    """See that there are streams, and that any name can be written to them."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the shell
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115
        elif stream.encoding.lower().replace("-", "") == "utf8":
            stream.reconfigure(errors="surrogateescape")  # names that are not UTF-8, as they are
        else:
            stream.reconfigure(errors="backslashreplace")


def _add_predict(commands: Any) -> None:
    predict = commands.add_parser(
        "predict",
        help="classify pictures",
        description="Classify pictures, and those in folders, with the registered champion.",
    )
    predict.add_argument(
        "paths",
        nargs="+",
        type=_path,
        metavar="PATH",
        help="picture or folder; - reads a list of them",
    )
    predict.add_argument("-r", "--recursive", action="store_true", help="enter sub-folders")
    predict.add_argument(
        "--top", type=_positive, metavar="N", help="name the N most probable classes"
    )
    sure = predict.add_mutually_exclusive_group()
    sure.add_argument(
        "--threshold",
        type=probability,
        metavar="P",
        help='least probability of an answer, 0 to 1; a picture below it is "not sure"',
    )
    add_options(predict, sure)
    form = predict.add_mutually_exclusive_group()
    for name, words in (("json", "a JSON list"), ("csv", "CSV"), ("parquet", "Parquet")):
        help = f"write {words}"
        form.add_argument(f"--{name}", action="store_const", const=name, dest="form", help=help)
    predict.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="write .csv, .json or .parquet; stopped, the same command goes on",
    )
    predict.add_argument(
        "--log", type=Path, metavar="FILE", help="remember what is seen, for `pawprint drift`"
    )


def _path(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("a name is empty")
    return text


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number of 1 or more")
    return int(text)


def _predict(given: argparse.Namespace) -> int:
    from pawprint.commands.predict import Request, predict

    words = {key: value for key, value in vars(given).items() if key != "command"}
    return predict(Request(**words))


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
    from pawprint.commands.champion import champion

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
    from pawprint.commands.compare import CHANGED_FILE, PAGE, compare
    from pawprint.comparison.text import as_plain, print_comparison
    from pawprint.config.compose import project_root
    from pawprint.config.paths import Paths

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


def _add_drift(commands: Any) -> None:
    drift = commands.add_parser(
        "drift",
        help="tell whether pictures seen in use differ from those learned from",
        description="Compare what `pawprint predict --log` or `pawprint serve --log` saw with the "
        "training pictures, and the answers with those to test pictures: which of size, aspect, "
        "brightness, confidence and labels changed.",
    )
    drift.add_argument("log", type=Path, metavar="FILE", help="log of pictures seen")
    drift.add_argument("--since", metavar="TIME", help="a day or a moment, UTC: 2025-01-31T18:00")
    drift.add_argument(
        "--model",
        metavar="NAME",
        help="a network as the log names it, or its run; without it the one that answered last",
    )
    drift.add_argument(
        "--fail-on-change", action="store_true", help="exit code 3 where something changed"
    )
    drift.add_argument("--json", action="store_true", help="print JSON")


def _drift(given: argparse.Namespace) -> int:
    from pawprint.commands.drift import drift

    how = {"as_json": given.json, "fail_on_change": given.fail_on_change}
    return drift(given.log, since=given.since, model=given.model, **how)
