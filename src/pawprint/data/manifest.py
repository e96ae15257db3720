"""The manifest of a prepared folder: a row for each file, with all that is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pawprint.data.audit import Audit

MANIFEST = "manifest.parquet"
_REPEATED = ["label", "split", "format", "mode", "problem_kind"]
_BLOCK = 2048  # rows written at a time, which take little memory


def write_manifest(folder: Path, audit: Audit, rows: np.ndarray) -> None:
    """Write the manifest into a folder.

    Args:
        folder: an existing folder.
        audit: the files, sorted by path, with their splits.
        rows: int64 (n,), the row of each file among the pictures, or -1.
    """
    from pyarrow import parquet

    files = range(len(audit.records))
    schema = _table(audit, rows, files[:0]).schema
    with parquet.ParquetWriter(
        folder / MANIFEST, schema, use_dictionary=_REPEATED, write_statistics=False
    ) as writer:
        for start in range(0, len(files), _BLOCK):
            writer.write_table(_table(audit, rows, files[start : start + _BLOCK]))


def read_manifest(prepared: Path, columns: list[str], splits: Sequence[str]) -> Any:
    """Some columns, and "split", of the files in some splits, as an Arrow table.

    Raises:
        OSError: there is no manifest.
        ValueError: it is damaged.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(prepared / MANIFEST) as file:
            manifest = file.read([*columns, "split"])
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error
    return manifest.filter(pc.is_in(manifest["split"], pa.array(splits, pa.large_string())))


def _table(audit: Audit, rows: np.ndarray, files: range) -> Any:
    """The manifest's rows of some files."""
    import pyarrow as pa

    records = [audit.records[file] for file in files]
    findings = [audit.findings[file] for file in files]
    places = [None if row < 0 else row for row in rows[files.start : files.stop].tolist()]
    return pa.table(
        {
            "path": text_column([record.path for record in records]),
            "label": text_column([record.label for record in records]),
            "split": text_column([audit.splits[file] for file in files]),
            "row": number_column(places),
            "sha256": text_column([record.sha256 for record in records]),
            "bytes": number_column([record.bytes for record in records]),
            "format": text_column([record.format for record in records]),
            "mode": text_column([record.mode for record in records]),
            "width": number_column([record.width for record in records]),
            "height": number_column([record.height for record in records]),
            "orientation": number_column([record.orientation for record in records]),
            "frames": number_column([record.frames for record in records]),
            "perceptual_hash": text_column([record.perceptual_hash for record in records]),
            "group": number_column([audit.groups[file] for file in files]),
            "problem_kind": text_column([own[0].kind if own else None for own in findings]),
            "problem": text_column([audit.problem(file) for file in files]),
        }
    )


def text_column(values: Sequence[str | None]) -> Any:
    """A column of texts, of which some may be missing.

    ``pa.array`` would do, but it imports pandas, which takes longer than a second ``prepare``.
    """
    import pyarrow as pa

    content = [b"" if value is None else value.encode() for value in values]
    ends = np.cumsum([0, *map(len, content)], dtype=np.int64)
    buffers = [_validity(values), pa.py_buffer(ends), pa.py_buffer(b"".join(content))]
    return pa.Array.from_buffers(pa.large_string(), len(values), buffers)


def number_column(values: Sequence[int | None]) -> Any:
    """A column of whole numbers, of which some may be missing."""
    import pyarrow as pa

    numbers = np.array([0 if value is None else value for value in values], dtype=np.int64)
    buffers = [_validity(values), pa.py_buffer(numbers)]
    return pa.Array.from_buffers(pa.int64(), len(values), buffers)


def _validity(values: Sequence[object]) -> Any:
    import pyarrow as pa

    bits = np.array([value is not None for value in values], dtype=bool)
    return pa.py_buffer(np.packbits(bits, bitorder="little"))
