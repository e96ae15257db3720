"""What earlier runs have read, so that each picture is decoded once.

A hidden folder lies beside the prepared one. Its ``last.arrow`` has a row for every file of the
last run: status, facts, thumbnail, and where its pixels are in the prepared folder. ``journal`` has
the same of what a run that has not ended has read, a table and a file of pixels for each batch:
after a kill the next run goes on from there. What is damaged or half-written is read again, and to
remove all of it costs nothing but time.
"""

import hashlib
import json
import mmap
import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from pawprint.data.copies.fingerprint import COLOURS_BYTES, THUMB, THUMB_BYTES
from pawprint.data.image_array import HEADER
from pawprint.data.picture import MOST_PIXELS
from pawprint.system.code import code_digest
from pawprint.system.files import replacing_file

_SEARCH = "data.copies.find"  # the module that finds pairs
_SHA256 = 32  # bytes
RECORD = np.dtype(
    [
        ("status", "S40"),  # of the file, see ``status_of``
        ("sha256", "S32"),
        ("bytes", "<i8"),
        ("start", "<i8"),  # of the pixels in their file; -1 where there are none
        ("length", "<i8"),
        ("check", "<u4"),  # crc32 of the pixels
        ("format", "S10"),
        ("mode", "S10"),
        ("width", "<u4"),
        ("height", "<u4"),
        ("orientation", "<u4"),
        ("frames", "<u4"),
        ("hash", "<u8"),
        ("inner", "<u8"),
        ("mirrored", "<u8"),
        ("colours", f"S{COLOURS_BYTES}"),
        ("blank", "?"),
        ("kind", "S24"),  # of the problem with its content
        ("problem", "S160"),
    ]
)


class PictureCache:
    """The records of earlier runs, and those that this run adds.

    A record's place counts through those of the last run, of a killed run and of this run.
    """

    def __init__(
        self, folder: Path, key: str, pictures: Path, most_pixels: int = MOST_PIXELS
    ) -> None:
        """Open the cache.

        Args:
            folder: where; made if it is not there.
            key: of what pixels depend on; others are removed when this run has ended well.
            pictures: the pixels of the last run.
            most_pixels: that a picture may have now; what another limit decided is read again.
        """
        self.folder = folder / key
        self._last, self._journal = self.folder / "last.arrow", self.folder / "journal"
        self._journal.mkdir(parents=True, exist_ok=True)
        self._records = [np.empty(0, RECORD)]
        self._tables: list[tuple[int, Path, Path]] = []  # first place, facts, pixels
        self._count = 0
        facts = self._load(self._last, pictures) or {}
        self.last = self._count  # records, which are of the last run that ended well
        self.pairs = np.empty((0, 3), np.int64)  # near copies: two places, and whether mirrored
        self.compared = np.zeros(self.last, bool)  # which of them were compared with the others
        if facts.get("search") == code_digest(_SEARCH):  # another code may find other pairs
            self.pairs = np.array(facts["pairs"], np.int64).reshape(-1, 3)
            self.compared[facts["compared"]] = True
        for table in self._journal.glob("[!.]*.arrow"):
            self._load(table, table.with_suffix(".pixels"))
        known = self.records(np.arange(self._count))
        pixels = known["width"].astype(np.int64) * known["height"]
        other_limit = (known["kind"] == b"decompression bomb") | (pixels > most_pixels)
        for name in ("status", "sha256"):
            known[name][other_limit] = b""
        self._order = {name: known[name].argsort(kind="stable") for name in ("status", "sha256")}
        self._sorted = {name: known[name][order] for name, order in self._order.items()}
        self.contents = self._sorted["sha256"]  # S32 (m,): all that were known at first

    def __len__(self) -> int:
        return self._count

    def find(self, field: str, values: np.ndarray) -> np.ndarray:
        """The last places, int64 (n,), of values (n,) of "status" or "sha256"; -1 if not known."""
        places, known = np.full(len(values), -1, np.int64), self._sorted[field]
        at = np.searchsorted(known, values, side="right") - 1
        found = np.flatnonzero((at >= 0) & (values != b""))  # an empty value is of no file
        found = found[known[at[found]] == values[found]]
        places[found] = self._order[field][at[found]]
        return places

    def add(self, records: np.ndarray, thumbs: bytes, pixels: bytes) -> np.ndarray:
        """Keep a batch of files; their places, int64 (n,). A kill loses this call only.

        Args:
            records: ``RECORD`` (n,), but for start.
            thumbs: their thumbnails, each ``THUMB_BYTES`` long.
            pixels: what is stored of those whose length is not 0, one after the other.
        """
        records = records.copy()
        ends = np.cumsum(records["length"])
        records["start"] = np.where(records["length"] > 0, ends - records["length"], -1)
        table = self._journal / f"{uuid4().hex}.arrow"
        table.with_suffix(".pixels").write_bytes(pixels)  # first, so that no table is without
        write_columns(table, records, {"thumb": np.frombuffer(thumbs, f"S{THUMB_BYTES}")}, {})
        self._append(records, table, table.with_suffix(".pixels"))
        return np.arange(self._count - len(records), self._count)

    def records(self, places: np.ndarray) -> np.ndarray:
        """The records ``RECORD`` (n,) at ``places`` (n,), copied."""
        if len(self._records) > 1:
            self._records = [np.concatenate(self._records)]
        return self._records[0][places]

    def write_pictures(self, places: np.ndarray, target: Path) -> np.ndarray:
        """Write the pixels of the records at ``places`` one after the other, after ``HEADER``.

        Returns:
            int64 (n,), where each starts, or -1 where the record has none.
        """
        records = self.records(places)
        starts = HEADER + np.cumsum(records["length"]) - records["length"]
        with target.open("wb") as out:
            out.truncate(HEADER)
            for _, _, pixels, rows in self._by_table(places):
                columns = (records["start"][rows], records["length"][rows], starts[rows])
                with pixels.open("rb") as file:
                    for start, length, to in np.stack(columns, axis=1).tolist():
                        out.seek(to)
                        content = os.pread(file.fileno(), length, start) if length else b""
                        if out.write(content) != length:
                            raise EOFError(f"{pixels} ends too early")
        return np.where(records["length"] > 0, starts, -1)

    def thumbs(self, places: np.ndarray) -> np.ndarray:
        """The thumbnails uint8 (n, 32, 32) of the records at ``places``."""
        thumbs = np.empty((len(places), THUMB, THUMB), np.uint8)
        for first, table, _, rows in self._by_table(places):
            some = read_columns(table)[0]["thumb"][places[rows] - first]
            thumbs[rows] = some.view(np.uint8).reshape(-1, THUMB, THUMB)
        return thumbs

    def pairs_among(self, places: np.ndarray) -> np.ndarray:
        """The near pairs, of which both are among ``places`` (n,), by position in it."""
        position = np.full(self.last, -1, dtype=np.int64)
        known = np.nonzero(places < self.last)[0]
        position[places[known]] = known
        pairs = self.pairs.copy()
        pairs[:, :2] = position[pairs[:, :2]]
        return pairs[(pairs >= 0).all(axis=1)]

    def keep(
        self,
        places: np.ndarray,
        statuses: np.ndarray,
        starts: np.ndarray,
        pairs: np.ndarray,
        compared: np.ndarray,
    ) -> None:
        """Keep a run that ended well, and remove the others.

        Args:
            places: int64 (n,), its records.
            statuses: S40 (n,), of its files.
            starts: int64 (n,), where their pixels start now.
            pairs: int64 (m, 3), near copies as ``Copies`` has them, by position in ``places``.
            compared: bool (n,), which were compared with the others, and not only equal to one.
        """
        records = self.records(places)
        records["start"] = starts
        records["status"] = np.where(records["sha256"] != b"", statuses, b"")  # else: try again
        thumb = self.thumbs(places).reshape(-1, THUMB_BYTES).view(f"S{THUMB_BYTES}")[:, 0]
        found = {"pairs": pairs.tolist(), "compared": np.flatnonzero(compared).tolist()}
        facts = {"search": code_digest(_SEARCH), **found}
        write_columns(self._last, records, {"thumb": thumb}, facts)
        shutil.rmtree(self._journal)
        for other in set(self.folder.parent.iterdir()) - {self.folder}:
            shutil.rmtree(other, ignore_errors=True)

    def _load(self, table: Path, pixels: Path) -> dict[str, Any] | None:
        """Take in a table and tell its facts, if it and its pixels are as they were written."""
        try:
            columns, facts = read_columns(table)
            records = np.empty(len(columns["status"]), RECORD)
            for name in RECORD.names or ():
                records[name] = columns[name]
            where = records[["start", "length", "check"]][records["length"] > 0].tolist()
            with pixels.open("rb") as file:
                for start, length, check in where:
                    if zlib.crc32(os.pread(file.fileno(), length, start)) != check:
                        return None
        except (OSError, ValueError):
            return None
        self._append(records, table, pixels)
        return facts

    def _append(self, records: np.ndarray, table: Path, pixels: Path) -> None:
        self._records.append(records)
        self._tables.append((self._count, table, pixels))
        self._count += len(records)

    def _by_table(self, places: np.ndarray) -> Iterator[tuple[int, Path, Path, np.ndarray]]:
        """The tables that hold some of ``places``, and which: positions in it, int64 (m,)."""
        order = np.argsort(places, kind="stable")
        cuts = np.searchsorted(places[order], [first for first, _, _ in self._tables[1:]])
        for table, rows in zip(self._tables, np.split(order, cuts), strict=False):
            if len(rows):
                yield *table, rows


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
