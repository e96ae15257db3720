"""The command compare: recorded runs side by side, on the terminal and as a page."""

import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from pawprint.comparison.compare import MOST_RUNS, Comparison, compare_runs
from pawprint.comparison.output import as_plain, comparison_page, print_comparison
from pawprint.config.compose import compose_tracking, project_root
from pawprint.config.paths import Paths
from pawprint.config.schema import Tracking
from pawprint.data.store import load_split, load_summary
from pawprint.pages.render import jpeg_of
from pawprint.system.errors import UserError
from pawprint.system.files import replacing_file, write_table
from pawprint.tracking.location import check_runs
from pawprint.tracking.recorded import CURVES, RecordedRun, Records
from pawprint.tracking.store import connect

LAST = 2


def compare(given: Namespace) -> int:
    """Print recorded runs side by side; write a page and tables of it; returns 0.

    Args:
        given: the command's arguments; see ``add_compare``. Operands are what the runs are called,
            the one to compare against first; see ``Records.find``. Without them it is the last
            evaluated runs.

    Raises:
        UserError: a word means no run or several, there are too few or too many runs, or the
            store does not answer.
    """
    tracking, _ = compose_tracking(given.settings)
    runs, notes = _read_runs(given.operands, given.last, tracking)
    comparison = compare_runs(runs)
    comparison.notes.extend(notes)
    paths = Paths(project_root())
    page, changed = paths.comparison / "compare.html", paths.comparison / "changed.csv"
    with replacing_file(page) as temporary:
        picture = _prepared_pictures(paths.prepared, comparison)
        content = comparison_page(comparison, curves=_draw(paths, comparison), picture=picture)
        temporary.write_text(content, encoding="utf-8")
    _write_changed(changed, comparison)
    if given.json:
        plain = as_plain(comparison) | {"page": str(page)}
        text = json.dumps(plain, indent=2, ensure_ascii=False)
        print(text.encode(errors="backslashreplace").decode())
    else:
        print_comparison(comparison, found_in=str(changed))
        print(f"page: {page}")
    return 0


def _read_runs(
    words: list[str], last: int | None, tracking: Tracking
) -> tuple[list[RecordedRun], list[str]]:
    if words and last is not None:
        raise UserError("name runs or give --last, not both")
    count = len(words) or (LAST if last is None else last)
    if not 2 <= count <= MOST_RUNS:
        raise UserError(f"compare takes 2 to {MOST_RUNS} runs, not {count}; name as many")
    check_runs(tracking.uri)
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
                f"{store.shown} has {len(ids)} evaluated runs, and two are needed; train and "
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
    try:
        digest = load_summary(prepared).splits["test"].digest
        if digest != comparison.runs[0].tags.get("test_digest"):
            return None
        test = load_split(prepared, "test")
    except UserError:
        return None
    rows = {path: row for row, path in enumerate(test.paths)}
    return lambda path: jpeg_of(test.pictures[rows[path]]) if path in rows else None


def _draw(paths: Paths, comparison: Comparison) -> dict[str, tuple[bytes, bytes]]:
    """Write the curves as one PNG file; return each for the page, on light and on dark."""
    from pawprint.evaluation.plots import compared_curves_figure, png_of

    pairs = list(zip(comparison.letters, comparison.runs, strict=True))
    named = {f"{x} {run.name} ({run.id[:8]})": run.curves for x, run in pairs}
    with replacing_file(paths.comparison / "curves.png") as temporary:
        compared_curves_figure(named).savefig(temporary, dpi=150)
    short = {x: run.curves for x, run in pairs}

    def drawn(name: str, dark: bool) -> bytes:
        return png_of(compared_curves_figure(short, [name], dark=dark))

    there_are = [name for name in CURVES if any(name in run.curves for run in comparison.runs)]
    return {name: (drawn(name, False), drawn(name, True)) for name in there_are}


def _write_changed(path: Path, comparison: Comparison) -> None:
    """Write a row per picture that changed sides as CSV."""
    columns = [(f"answer_{run.id}", f"probability_{run.id}") for run in comparison.runs]
    rows = []
    for one in comparison.changed:
        answers = [one.answers.get(place) for place in range(len(comparison.runs))]
        cells = [(a[0], f"{a[1]:.6f}") if a else ("", "") for a in answers]
        rows.append([one.path, one.label, *(cell for pair in cells for cell in pair)])
    write_table(path, ["path", "label", *(name for pair in columns for name in pair)], rows)
