"""Arrow columns from Python and NumPy, and files of them that tell when they are damaged.

``pa.array`` would do, but it imports pandas, which takes longer than a second ``prepare``.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pawprint.system.files import replacing_file

_SHA256 = 32  # bytes


def text_column(values: Sequence[str | None]) -> Any:
    """A column of texts, of which some may be missing."""
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


def write_columns(
    path: Path, records: np.ndarray, columns: dict[str, np.ndarray], facts: dict[str, Any]
) -> None:
    """Write an Arrow stream, and after it its sha256.

    Args:
        path: the file.
        records: (n,), of fields that are numbers, bool or bytes; each becomes a column.
        columns: more of them, (n,) each.
        facts: what JSON holds, about all of them.
    """
    import pyarrow as pa

    columns = {name: records[name] for name in records.dtype.names or ()} | columns
    arrays = []
    for values in columns.values():
        values = np.ascontiguousarray(values)
        values = values.view(np.uint8) if values.dtype == bool else values
        is_bytes = values.dtype.kind == "S"
        kind = pa.binary(values.itemsize) if is_bytes else pa.from_numpy_dtype(values.dtype)
        arrays.append(pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)]))
    batch = pa.RecordBatch.from_arrays(arrays, list(columns))
    dtypes = {name: values.dtype.str for name, values in columns.items()}
    batch = batch.replace_schema_metadata(
        {"dtypes": json.dumps(dtypes), "facts": json.dumps(facts)}
    )
    with replacing_file(path) as temporary, temporary.open("w+b") as file:
        with pa.ipc.new_stream(file, batch.schema) as writer:
            writer.write_batch(batch)
        file.seek(0)
        file.write(hashlib.file_digest(file, "sha256").digest())


def read_columns(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Columns and facts as ``write_columns`` wrote them, memory-mapped.

    Raises:
        OSError: there is no such file.
        ValueError: it is damaged, or only half of it was written.
    """
    import pyarrow as pa

    with path.open("rb") as file:
        content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    if hashlib.sha256(content[:-_SHA256]).digest() != content[-_SHA256:]:
        raise ValueError(f"{path} is damaged")
    batch = pa.ipc.open_stream(pa.py_buffer(content)).read_next_batch()
    columns = {
        name: np.frombuffer(batch[name].buffers()[1], dtype, count=batch.num_rows)
        for name, dtype in json.loads(batch.schema.metadata[b"dtypes"]).items()
    }
    return columns, json.loads(batch.schema.metadata[b"facts"])
