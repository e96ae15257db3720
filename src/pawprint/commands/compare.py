"""The command compare: recorded runs side by side, on the terminal and as a page."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from pawprint.comparison.compare import MOST_RUNS, Comparison, compare_runs
from pawprint.comparison.output import as_plain, comparison_page, print_comparison
from pawprint.config.compose import compose_tracking, project_root
from pawprint.config.paths import Paths
from pawprint.config.schema import Tracking
from pawprint.system.errors import UserError
from pawprint.system.files import replacing_file, write_table
from pawprint.tracking.location import sqlite_path, store_uri
from pawprint.tracking.recorded import CURVES, RecordedRun

LAST = 2
PAGE, CURVES_FILE, CHANGED_FILE = "compare.html", "curves.png", "changed.csv"


def run(given: Namespace) -> int:
    """Print the comparison; the page is written either way.

    Args:
        given: the command's arguments; see ``add_compare``.

    Returns:
        0, the exit code.

    Raises:
        UserError: as ``compare``.
    """
    tracking, _ = compose_tracking(given.settings)
    comparison = compare(given.operands, given.last, tracking)
    folder = Paths(project_root()).comparison
    if given.json:
        content = as_plain(comparison) | {"page": str(folder / PAGE)}
        text = json.dumps(content, indent=2, ensure_ascii=False)
        print(text.encode(errors="backslashreplace").decode())
    else:
        print_comparison(comparison, found_in=str(folder / CHANGED_FILE))
        print(f"page: {folder / PAGE}")
    return 0


def compare(words: list[str], last: int | None, tracking: Tracking) -> Comparison:
    """Compare recorded runs; write the page, the curves and the pictures that changed sides.

    Args:
        words: what the runs are called, the one to compare against first; see ``Records.find``.
        last: instead of words, how many of the last evaluated runs. Defaults to two.
        tracking: where the runs are recorded.

    Raises:
        UserError: a word means no run or several, there are too few or too many runs, or the
            store does not answer.
    """
    runs, notes = _read_runs(words, last, tracking)
    comparison = compare_runs(runs)
    comparison.notes.extend(notes)
    paths = Paths(project_root())
    _write(paths.comparison, comparison, _prepared_pictures(paths.prepared, comparison))
    return comparison


def _read_runs(
    words: list[str], last: int | None, tracking: Tracking
) -> tuple[list[RecordedRun], list[str]]:
    from pawprint.tracking.recorded import Records
    from pawprint.tracking.store import connect

    if words and last is not None:
        raise UserError("name runs or give --last, not both")
    count = len(words) or (LAST if last is None else last)
    if not 2 <= count <= MOST_RUNS:
        raise UserError(f"{count} runs were asked for; compare takes 2 to {MOST_RUNS}")
    path = sqlite_path(store_uri(tracking.uri))
    if path is not None and not path.exists():  # and must not be made by looking at it
        raise UserError(f"{path} has no run yet; train and evaluate with `dvc repro`")
    store = connect(tracking.uri, tracking.experiment)
    with store.explained():
        records = Records(store, tracking.registered_model)
        found = [records.find(word) for word in words] if words else records.last_evaluated(count)
        ids = list(dict.fromkeys(found))
        if len(ids) < 2 and words:
            raise UserError(
                f"{' and '.join(dict.fromkeys(words))} are the same run, {ids[0]}; name another one"
            )
        if len(ids) < 2:
            raise UserError(
                f"{store.uri} has {len(ids)} evaluated runs, and two are needed; train and "
                "evaluate with other settings, for example `dvc exp run -S depth=3`"
            )
        notes = [
            f"{word} is the same run as {words[found.index(run_id)]}."
            for place, (word, run_id) in enumerate(zip(words, found, strict=False))
            if run_id in found[:place]
        ]
        if not words and len(ids) < count:
            notes.append(f"Of {count} runs asked for, {len(ids)} are there and evaluated.")
        return [records.read(run_id) for run_id in ids], notes


def _prepared_pictures(
    prepared: Path, comparison: Comparison
) -> Callable[[str], bytes | None] | None:
    """Make JPEGs of the first run's test pictures, where the project still has those prepared."""
    from pawprint.data.store import load_split, load_summary
    from pawprint.pages.thumbnail import jpeg_of

    try:
        digest = load_summary(prepared).splits["test"].digest
        if digest != comparison.runs[0].tags.get("test_digest"):
            return None
        test = load_split(prepared, "test")
    except UserError:
        return None
    rows = {path: row for row, path in enumerate(test.paths)}

    def picture(path: str) -> bytes | None:
        return jpeg_of(test.pictures[rows[path]]) if path in rows else None

    return picture


def _write(
    folder: Path, comparison: Comparison, picture: Callable[[str], bytes | None] | None
) -> None:
    from pawprint.evaluation.plots import compared_curves_figure, png_of

    letters, runs = comparison.letters, comparison.runs
    named = {
        f"{x} {run.name} ({run.id[:8]})": run.curves for x, run in zip(letters, runs, strict=True)
    }
    with replacing_file(folder / CURVES_FILE) as temporary:
        compared_curves_figure(named).savefig(temporary, dpi=150)
    short = {x: run.curves for x, run in zip(letters, runs, strict=True)}

    def drawn(name: str, dark: bool) -> bytes:
        return png_of(compared_curves_figure(short, [name], dark=dark))

    curves = {
        name: (drawn(name, False), drawn(name, True))
        for name in CURVES
        if any(name in run.curves for run in runs)
    }
    with replacing_file(folder / PAGE) as temporary:
        page = comparison_page(comparison, curves=curves, picture=picture)
        temporary.write_text(page, encoding="utf-8")
    header, rows = ["path", "label"], []
    for run in runs:
        header += [f"answer_{run.id}", f"probability_{run.id}"]
    for one in comparison.changed:
        row = [one.path, one.label]
        for place in range(len(runs)):
            answer = one.answers.get(place)
            row += [answer[0], f"{answer[1]:.6f}"] if answer else ["", ""]
        rows.append(row)
    write_table(folder / CHANGED_FILE, header, rows)
