"""What was found in the pictures as tables, beside the audit page."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pawprint.data.audit import LEFT_OUT, Audit
from pawprint.system.files import write_table

PROBLEMS, COPIES = "problems.csv", "copies.csv"
_PROBLEM_COLUMNS = ("path", "label", "split", "kind", "problem", "left_out", "bytes", "sha256")
_COPY_COLUMNS = ("group", "path", "label", "split", "problem", "width", "height", "bytes", "sha256")


def write_tables(folder: Path, audit: Audit) -> None:
    """Write `problems.csv`, a row per file and problem, and `copies.csv`, a row per copy.

    Rows of `copies.csv` that have the same group are the same picture. What is not known, or a
    split that a file is not in, is empty.
    """
    write_table(folder / PROBLEMS, _PROBLEM_COLUMNS, _problems(audit))
    write_table(folder / COPIES, _COPY_COLUMNS, _copies(audit))


def _problems(audit: Audit) -> Iterator[tuple[Any, ...]]:
    for record, split, own in zip(audit.records, audit.splits, audit.findings, strict=True):
        for finding in own:
            left_out = str(finding.kind in LEFT_OUT).lower()
            what = finding.kind, finding.text, left_out
            yield record.path, record.label, split, *what, record.bytes, record.sha256


def _copies(audit: Audit) -> Iterator[tuple[Any, ...]]:
    rows = [(group, row) for row, group in enumerate(audit.groups) if group is not None]
    for group, row in sorted(rows):
        record = audit.records[row]
        where = group, record.path, record.label, audit.splits[row], audit.problem(row)
        yield *where, record.width, record.height, record.bytes, record.sha256
