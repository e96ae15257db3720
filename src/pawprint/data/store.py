"""The prepared folder: the pictures, a manifest of all files and a summary."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from pawprint.data.audit import Audit
from pawprint.data.image_array import Pictures
from pawprint.data.layout import Layout
from pawprint.data.split import SPLITS
from pawprint.system.errors import UserError

SUMMARY = "summary.json"
MANIFEST = "manifest.parquet"
_REPEATED = ["label", "split", "format", "mode", "problem_kind"]
_BLOCK = 2048  # rows written at a time, which take little memory


@dataclass(frozen=True)
class SplitSummary:
    """One split in figures."""

    pictures: int
    per_class: dict[str, int]  # pictures, in the order of the class names
    digest: str  # sha256 in hex over content and class of each, whatever names, order, image_size


@dataclass(frozen=True)
class Summary:
    """What a prepared folder holds."""

    images: str  # the source, as it was given
    image_size: int  # side of the square pictures in pixels
    resize: str  # how they were made square: "squash", "crop" or "pad"
    pixels: str  # names all that they depend on beside the files: settings, code, libraries
    seed: int  # that drew the splits
    class_names: list[str]  # sorted; a label is an index into it
    splits: dict[str, SplitSummary]  # by "train", "validation" and "test"
    digest: str  # as of a split, over the pictures of all of them
    found: dict[str, int]  # how many files have each kind of problem
    refused: list[dict[str, str]]  # files in no split: the path of each, and its problem
    ignored: list[str]  # folders beside given splits that were not read
    notes: list[str]  # what a person may not expect, in sentences
    # Settings that it was made with; None where an earlier pawprint did not say.
    validation_fraction: float | None = None
    test_fraction: float | None = None
    given_splits: list[str] | None = None  # folders, as ``find_pictures`` takes them
    max_refused_fraction: float | None = None
    max_megapixels: float | None = None
    near_duplicates: bool | None = None
    unlabelled: str | None = None  # source of pictures without labels, as it was given
    unlabelled_pictures: int = 0  # of it that teach
    unlabelled_digest: str | None = None  # sha256 in hex over the content of each


@dataclass(frozen=True)
class Split:
    """The pictures of one split, by path."""

    pictures: Pictures  # uint8 (n, image_size, image_size, 3), RGB, read from disk when indexed
    labels: np.ndarray  # int64 (n,), indices into class_names
    paths: list[str]  # n, relative to the images
    class_names: list[str]  # sorted
    digest: str  # over content and class of each, in this order, and what pixels depend on
    part_of: Part | None = None  # a larger split whose features serve this one too


@dataclass(frozen=True)
class Part:
    """What a split is a part of: ``whole``, at the ``places`` (n,) in it."""

    whole: Split
    places: np.ndarray


@dataclass(frozen=True)
class Pool:
    """The pictures of several splits together, by path; none of them is open yet."""

    prepared: Path  # the folder that holds them
    summary: Summary
    rows: np.ndarray  # int64 (n,), where each stands among the stored pictures
    labels: np.ndarray  # int64 (n,), indices into the class names
    paths: list[str]  # n, relative to the images
    splits: list[str]  # n, that they are in
    groups: np.ndarray  # int64 (n,), the same number for copies of one another, and nothing else
    contents: list[str]  # n digests of the files, sha256 in hex

    def whole(self) -> Split:
        """Open all pictures as one split; see ``chosen``."""
        return self.chosen(np.arange(len(self.labels)))

    def chosen(self, places: np.ndarray, whole: Split | None = None) -> Split:
        """Open the pictures at ``places`` (m,) of the pool, in this order, as a split.

        It tells that it is a part of ``whole``, all of the pool, where that is given.

        Raises:
            UserError: the folder is broken.
        """
        summary, names = self.summary, self.summary.class_names
        with folder_explained(self.prepared):
            pictures = Pictures(self.prepared, summary.image_size, self.rows[places])
        labels = self.labels[places]
        contents = zip((self.contents[p] for p in places), (names[i] for i in labels), strict=True)
        digest = _digest([(summary.pixels, ""), *contents])
        part = Part(whole, places) if whole else None
        return Split(pictures, labels, [self.paths[p] for p in places], names, digest, part)


def summarize(
    audit: Audit,
    layout: Layout,
    *,
    images: str,
    image_size: int,
    resize: str,
    pixels: str,
    seed: int,
    **settings: Any,
) -> Summary:
    """Count and digest what is in each split; ``settings`` are as they were given."""
    inside: dict[str, list[tuple[str, str]]] = {split: [] for split in SPLITS}
    for record, split in zip(audit.records, audit.splits, strict=True):
        if split:
            inside[split].append((record.sha256 or "", record.label))
    given = {(r.given_split, r.label) for r in audit.records if r.given_split}
    left = {(split, label) for split, members in inside.items() for _, label in members}
    emptied = [
        f'no picture of the class "{label}" is left in the {split} split'
        for split, label in sorted(given - left)
    ]
    return Summary(
        images=images,
        image_size=image_size,
        resize=resize,
        pixels=pixels,
        seed=seed,
        class_names=layout.class_names,
        splits={split: _summarize(members, layout) for split, members in inside.items()},
        digest=_digest(sorted(chain.from_iterable(inside.values()))),
        found=audit.counts(),
        refused=[
            {"path": record.path, "problem": audit.problem(row) or ""}
            for row, (record, out) in enumerate(zip(audit.records, audit.left_out, strict=True))
            if out
        ],
        ignored=layout.ignored,
        notes=[*layout.notes, *emptied],
        **settings,
    )


def _summarize(members: list[tuple[str, str]], layout: Layout) -> SplitSummary:
    counts = Counter(label for _, label in members)
    per_class = {name: counts[name] for name in layout.class_names}
    return SplitSummary(len(members), per_class, _digest(sorted(members)))


def _digest(members: Iterable[tuple[str, str]]) -> str:
    digest = hashlib.sha256()
    for content, label in members:
        digest.update(f"{content}\0{label}\0".encode())
    return digest.hexdigest()


def write_manifest(folder: Path, audit: Audit, rows: np.ndarray) -> None:
    """Write the manifest.

    Args:
        folder: exists.
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
    return _column(pa.large_string(), values, ends, b"".join(content))


def number_column(values: Sequence[int | None]) -> Any:
    """A column of whole numbers, of which some may be missing."""
    import pyarrow as pa

    numbers = np.array([0 if value is None else value for value in values], dtype=np.int64)
    return _column(pa.int64(), values, numbers)


def _column(kind: Any, values: Sequence[object], *buffers: np.ndarray | bytes) -> Any:
    import pyarrow as pa

    is_there = np.array([value is not None for value in values], dtype=bool)
    buffers = (np.packbits(is_there, bitorder="little"), *buffers)
    return pa.Array.from_buffers(kind, len(values), [pa.py_buffer(buffer) for buffer in buffers])


def load_summary(prepared: Path) -> Summary:
    """Read the summary of a prepared folder.

    Raises:
        UserError: the folder is missing or broken.
    """
    with folder_explained(prepared):
        content = json.loads((prepared / SUMMARY).read_text(encoding="utf-8"))
        content["splits"] = {s: SplitSummary(**content["splits"][s]) for s in SPLITS}
        return Summary(**content)


def load_split(prepared: Path, split: str) -> Split:
    """Open one split of a prepared folder; pictures are read from disk as they are used.

    Args:
        prepared: what ``prepare`` wrote.
        split: "train", "validation" or "test".

    Raises:
        UserError: the folder is missing or broken.
    """
    return load_pool(prepared, (split,)).whole()


def load_sizes(prepared: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Width and height in pixels, int64 (n,) each, of a split's files; see ``load_split``."""
    with folder_explained(prepared):
        rows = _read_manifest(prepared, ["width", "height"], [split])
        return rows["width"].to_numpy(), rows["height"].to_numpy()


def load_pool(prepared: Path, splits: Sequence[str]) -> Pool:
    """List the pictures of some splits together, to open any as one split; see ``load_split``."""
    for split in splits:
        if split not in SPLITS:
            raise ValueError(f'split is one of {", ".join(SPLITS)}, but "{split}" was given')
    summary = load_summary(prepared)
    with folder_explained(prepared):
        columns = ["path", "label", "row", "sha256", "group"]
        chosen = _read_manifest(prepared, columns, splits)
        label_of = {name: label for label, name in enumerate(summary.class_names)}
        labels = [label_of[name] for name in chosen["label"].to_pylist()]
        pool = Pool(
            prepared=prepared,
            summary=summary,
            rows=chosen["row"].to_numpy(),
            labels=np.array(labels, dtype=np.int64),
            paths=chosen["path"].to_pylist(),
            splits=chosen["split"].to_pylist(),
            groups=_alone_or_together(chosen["group"].to_pylist()),
            contents=chosen["sha256"].to_pylist(),
        )
        if Counter(pool.splits) != {s: n for s in splits if (n := summary.splits[s].pictures)}:
            raise ValueError(f"{MANIFEST} does not fit {SUMMARY}")
        return pool


def _alone_or_together(groups: list[int | None]) -> np.ndarray:
    """A number for each picture, the same for copies only."""
    used = max((group for group in groups if group is not None), default=-1)
    alone = iter(range(used + 1, used + 1 + len(groups)))
    return np.array([next(alone) if g is None else g for g in groups], dtype=np.int64)


def _read_manifest(prepared: Path, columns: list[str], splits: Sequence[str]) -> Any:
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


@contextmanager
def folder_explained(prepared: Path) -> Iterator[None]:
    """What reading a broken folder raises becomes a sentence."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        cause = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        if isinstance(error, FileNotFoundError) and error.filename:
            cause = f"{Path(error.filename).name} is missing"
        what = f"is not complete ({cause})" if prepared.is_dir() else "was not found"
        raise UserError(
            f'the prepared folder "{prepared}" {what}: '
            "run `dvc repro prepare` or `pawprint prepare`"
        ) from error
