"""The prepared folder: arrays per split, a manifest of all files and a summary."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pawprint.errors import UserError
from pawprint.files import write_json
from pawprint.images.audit import FileRecord
from pawprint.images.layout import Layout
from pawprint.images.split import SPLITS

SUMMARY = "summary.json"
MANIFEST = "manifest.parquet"
_BLOCK = 1024  # pictures copied at a time
_BROKEN = (OSError, ValueError, KeyError, TypeError)  # what reading a broken folder raises


@dataclass(frozen=True)
class SplitSummary:
    """One split in figures.

    Attributes:
        pictures: How many.
        per_class: How many of each class, in the order of the class names.
        digest: sha256 in hex over the content and class of every picture, whatever their names
            and order and the image_size.
    """

    pictures: int
    per_class: dict[str, int]
    digest: str


@dataclass(frozen=True)
class Refused:
    """A file that cannot be used: ``path`` relative to the images, and its ``problem``."""

    path: str
    problem: str


@dataclass(frozen=True)
class Summary:
    """What a prepared folder holds.

    Attributes:
        images: The source, as it was given.
        image_size: Side of the square pictures in pixels.
        seed: That drew the splits.
        class_names: Sorted; a label is an index into it.
        splits: By "train", "validation" and "test".
        digest: As of a split, over the pictures of all of them.
        refused: Files that cannot be used, by path.
        ignored: Folders beside given splits that were not read.
        notes: What a person may not expect, in sentences.
    """

    images: str
    image_size: int
    seed: int
    class_names: list[str]
    splits: dict[str, SplitSummary]
    digest: str
    refused: list[Refused]
    ignored: list[str]
    notes: list[str]


@dataclass(frozen=True)
class Split:
    """The pictures of one split, by path.

    Attributes:
        pictures: uint8 (n, image_size, image_size, 3), RGB, memory-mapped and read-only.
        labels: int64 (n,), indices into class_names.
        paths: n paths, relative to the images.
        class_names: Sorted.
    """

    pictures: np.memmap
    labels: np.ndarray
    paths: list[str]
    class_names: list[str]


def summarize(
    records: list[FileRecord],
    splits: dict[str, str],
    layout: Layout,
    *,
    images: str,
    image_size: int,
    seed: int,
) -> Summary:
    """Count and digest what is in each split; ``splits`` gives it by path."""
    members = {split: [r for r in records if splits.get(r.path) == split] for split in SPLITS}
    return Summary(
        images=images,
        image_size=image_size,
        seed=seed,
        class_names=layout.class_names,
        splits={split: _summarize(inside, layout) for split, inside in members.items()},
        digest=_digest(record for inside in members.values() for record in inside),
        refused=[Refused(r.path, r.problem) for r in records if r.problem],
        ignored=layout.ignored,
        notes=layout.notes,
    )


def write_prepared(
    folder: Path,
    records: list[FileRecord],
    splits: dict[str, str],
    pixels: np.ndarray,
    summary: Summary,
) -> None:
    """Write the arrays, the manifest and the summary.

    Args:
        folder: An existing folder.
        records: A record per file, sorted by path.
        splits: The split of each readable file, by path.
        pixels: uint8 (len(records), image_size, image_size, 3), in the order of ``records``.
        summary: As ``summarize`` made it.
    """
    rows_of = {
        split: [row for row, record in enumerate(records) if splits.get(record.path) == split]
        for split in SPLITS
    }
    for split, rows in rows_of.items():
        _write_array(folder / f"{split}.npy", pixels, rows)
    position = {row: place for rows in rows_of.values() for place, row in enumerate(rows)}
    _write_manifest(folder / MANIFEST, records, splits, position)
    write_json(folder / SUMMARY, asdict(summary))


def load_summary(prepared: Path) -> Summary:
    """Read the summary of a prepared folder.

    Raises:
        UserError: The folder is missing or broken.
    """
    try:
        content = json.loads((prepared / SUMMARY).read_text(encoding="utf-8"))
        content["splits"] = {s: SplitSummary(**content["splits"][s]) for s in SPLITS}
        content["refused"] = [Refused(**refused) for refused in content["refused"]]
        return Summary(**content)
    except _BROKEN as error:
        raise _broken(prepared, error) from error


def load_split(prepared: Path, split: str) -> Split:
    """Open one split of a prepared folder; pictures are read from disk as they are used.

    Args:
        prepared: What ``prepare`` wrote.
        split: "train", "validation" or "test".

    Raises:
        UserError: The folder is missing or broken.
    """
    if split not in SPLITS:
        raise ValueError(f'split is one of {", ".join(SPLITS)}, but "{split}" was asked for.')
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    class_names = load_summary(prepared).class_names
    try:
        pictures = np.load(prepared / f"{split}.npy", mmap_mode="r")
        columns = ["path", "label", "split", "row"]
        with ParquetFile(prepared / MANIFEST) as file:
            manifest = file.read(columns).to_pydict()
        chosen = [place for place, name in enumerate(manifest["split"]) if name == split]
        if [manifest["row"][place] for place in chosen] != list(range(len(pictures))):
            raise ValueError(f"{split}.npy does not fit {MANIFEST}")
        label_of = {name: label for label, name in enumerate(class_names)}
        labels = [label_of[manifest["label"][place]] for place in chosen]
    except (*_BROKEN, EOFError, pa.ArrowException) as error:
        raise _broken(prepared, error) from error
    paths = [manifest["path"][place] for place in chosen]
    return Split(pictures, np.array(labels, dtype=np.int64), paths, class_names)


def _summarize(inside: list[FileRecord], layout: Layout) -> SplitSummary:
    counts = Counter(record.label for record in inside)
    per_class = {name: counts[name] for name in layout.class_names}
    return SplitSummary(len(inside), per_class, _digest(inside))


def _digest(records: Iterable[FileRecord]) -> str:
    digest = hashlib.sha256()
    for content, label in sorted((record.sha256, record.label) for record in records):
        digest.update(f"{content}\0{label}\0".encode())
    return digest.hexdigest()


def _write_array(path: Path, pixels: np.ndarray, rows: list[int]) -> None:
    shape = (len(rows), *pixels.shape[1:])
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        array[start : start + len(block)] = pixels[block]
    array.flush()


def _write_manifest(
    path: Path, records: list[FileRecord], splits: dict[str, str], position: dict[int, int]
) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    text, whole = pa.string(), pa.int32()
    columns = {
        "path": text,
        "label": text,
        "split": text,
        "row": whole,
        "sha256": text,
        "bytes": pa.int64(),
        "format": text,
        "mode": text,
        "width": whole,
        "height": whole,
        "frames": whole,
        "problem": text,
    }
    rows = [
        asdict(record) | {"split": splits.get(record.path), "row": position.get(row)}
        for row, record in enumerate(records)
    ]
    parquet.write_table(pa.Table.from_pylist(rows, schema=pa.schema(columns)), path)


def _broken(prepared: Path, error: Exception) -> UserError:
    what = "was not found" if not prepared.is_dir() else f"is not complete ({_brief(error)})"
    return UserError(
        f'The prepared folder "{prepared}" {what}: '
        "run `dvc repro prepare` or `python -m pawprint.prepare`."
    )


def _brief(error: Exception) -> str:
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"{Path(error.filename).name} is missing"
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
