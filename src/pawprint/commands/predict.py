"""`pawprint predict`: pictures, folders of millions and lists of names, from the shell."""

import os
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from pawprint.commands.arguments import choose_network
from pawprint.data.picture import MOST_PIXELS, pixels_at_most
from pawprint.data.sources.address import is_address, shown
from pawprint.data.sources.picture_file import download_picture
from pawprint.inference.batch_prediction import LIST, Tally, classify, find_files, read_list
from pawprint.inference.prediction_log import PredictionLog, log_predictions
from pawprint.inference.predictor import Prediction, Predictor
from pawprint.inference.table import FORMS, Columns, output, write_csv, write_json, write_lines
from pawprint.registry.source import Source, open_network
from pawprint.system.errors import UserError
from pawprint.system.terminal import format_duration, pictures_bar, printable, watched

FEW = 100  # files that a person looks at in a table
SECONDS_BETWEEN_LINES = 30


def predict(request: Namespace) -> int:
    """Answer a request of ``add_predict``; returns 1 where a file was no picture, else 0.

    Raises:
        UserError: options do not fit together, or there is no such network.
    """
    written = [path for path in (request.output, request.log) if path]
    form = _form(request, written)
    choice = choose_network(request.model, request.sure_precision, request.settings)
    precision = None if request.threshold is not None else choice.sure_precision
    source, predictor = open_network(choice.name, choice.uri, precision, request.threshold)
    for note in source.notes:
        print(f"note: {printable(note)}", file=sys.stderr)
    with pixels_at_most(MOST_PIXELS), _downloaded(request.operands) as (operands, urls):
        request.operands = operands
        return _predict(request, form, written, source, predictor, urls)


def _predict(
    request: Namespace,
    form: str | None,
    written: list[Path],
    source: Source,
    predictor: Predictor,
    urls: Mapping[str, str],
) -> int:
    """``predict`` with the network; ``urls`` are those of downloaded files, by path."""
    files = _files(request, written)
    seen = PredictionLog(request.log) if request.log else None

    def answers(files: Iterable[str]) -> Iterator[Prediction]:
        found = classify(files, predictor, measure=seen is not None)
        if urls:
            found = (replace(p, path=urls.get(str(p.path), p.path)) for p in found)
        return tally.of(log_predictions(found, seen, source.name, source.run_id) if seen else found)

    tally = Tally(lambda sentence: print(f"error: {printable(sentence)}", file=sys.stderr))
    columns = Columns(tuple(predictor.class_names), request.top)
    if request.output and form:
        with output(request.output, form, columns, predictor) as table:
            if table.done:
                print(f"going on after {table.done} files", file=sys.stderr)
            total = None  # known at the end only
            if LIST not in request.operands:
                found = find_files(request.operands, recursive=request.recursive, but=written)
                total = sum(1 for _ in found)
            with _progress(total and total - table.done) as tell:
                table.write(tell(answers(table.missing(files))))
            table.finish()
        print(f"{table.done + tally.files} files: {request.output}", file=sys.stderr)
    elif form == "json":
        write_json(sys.stdout, map(columns.row, answers(files)), columns)
    elif form == "csv":
        write_csv(sys.stdout, answers(files), columns)
    else:
        _show(files, answers, request.top, source.name)
    tally.end()
    return 1 if tally.unread else 0


@contextmanager
def _downloaded(operands: list[str]) -> Iterator[tuple[list[str], dict[str, str]]]:
    """The operands with a file in place of each URL, for as long as it is needed; and the URLs.

    Raises:
        UserError: one cannot be downloaded.
    """
    given = [word for word in operands if is_address(word) and not os.path.lexists(word)]
    if not given:
        yield operands, {}
        return
    with TemporaryDirectory(prefix="pawprint-") as folder:
        files = {url: download_picture(url, Path(folder)) for url in given}
        local = [str(files[word]) if word in files else word for word in operands]
        yield local, {str(file): shown(url) for url, file in files.items()}


def _form(request: Namespace, written: list[Path]) -> str | None:
    """What to write, by option or by the name of the file."""
    if len(written) == 2 and len(set(map(os.path.realpath, written))) == 1:
        raise UserError(f"--output and --log are both {request.log}; name two files")
    if request.output is None:
        if request.form == "parquet":
            raise UserError("--parquet needs a file; add --output FILE")
        return request.form
    by_name = request.output.suffix.lower().removeprefix(".")
    if request.form is None and by_name not in FORMS:
        raise UserError(
            f"--output {request.output} does not say what to write; name it .csv, .json or "
            ".parquet, or add --csv, --json or --parquet"
        )
    form = request.form or by_name
    if form == "parquet" and find_spec("pyarrow") is None:  # as in the image that serves
        raise UserError("Parquet needs pyarrow, which is not installed; write .csv or .json")
    return form


def _files(request: Namespace, written: list[Path]) -> Iterator[str]:
    def skipped(folder: str, count: int) -> None:
        folders = f"{count} folder{'s' * (count > 1)} in {printable(folder)}"
        print(f"{folders} not entered; --recursive enters", file=sys.stderr)

    def listed() -> Iterator[str]:
        path = None
        standard_input = getattr(sys.stdin, "buffer", None)  # None where the shell closed it
        for path in read_list(standard_input) if standard_input else ():
            yield path
        if path is None:
            print("standard input named no file", file=sys.stderr)

    lists = (listed() if path == LIST else [path] for path in request.operands)
    return find_files(
        chain.from_iterable(lists),
        recursive=request.recursive,
        skipped=skipped,
        but=written,
    )


def _show(
    files: Iterator[str],
    answers: Callable[[Iterable[str]], Iterator[Prediction]],
    top: int | None,
    title: str,
) -> None:
    """Print a table to a person who named few, else lines."""
    first = list(islice(files, FEW + 1)) if sys.stdout.isatty() else []
    found = answers(chain(first, files))
    if not first or len(first) > FEW:
        write_lines(sys.stdout, found, top)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title))
    table.add_column("file", overflow="fold")
    table.add_column("label")
    table.add_column("probability", justify="right")
    for p in found:
        name = escape(printable(str(p.path)))
        if p.label is None:
            table.add_row(name, f"[red]{escape(p.problem or '')}[/red]", "")
            continue
        table.add_row(name, escape(p.label), f"{p.probability:.4f}")
        best = p.best(top or 1)
        for name, probability in best[p.label == best[0][0] :]:
            table.add_row("", f"[dim]{escape(name)}[/dim]", f"[dim]{probability:.4f}[/dim]")
    Console().print(table)


@contextmanager
def _progress(
    total: int | None,
) -> Iterator[Callable[[Iterable[Prediction]], Iterator[Prediction]]]:
    """What predictions are to pass through: shows a bar to a person, or lines in a log."""

    def passed(predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        begin = last = time.monotonic()
        for done, prediction in enumerate(predictions, 1):
            yield prediction
            tell(1)
            now = time.monotonic()
            if now - last >= SECONDS_BETWEEN_LINES and not watched():
                last, speed = now, done / (now - begin)
                left = f", {format_duration((total - done) / speed)} left" if total else ""
                of = f" of {total:,}" if total else ""
                print(f"{done:,}{of} files, {speed:.0f} a second{left}", file=sys.stderr)

    with pictures_bar(total) as tell:
        yield passed
