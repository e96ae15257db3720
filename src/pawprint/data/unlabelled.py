"""Pictures without labels: which of them may teach, and where a prepared folder has them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pawprint.data.audit import FileRecord, Finding
from pawprint.data.folders import files_below
from pawprint.data.image_array import Pictures
from pawprint.data.layout import PictureFile
from pawprint.data.store import (
    Split,
    folder_explained,
    load_pool,
    number_column,
    text_column,
)
from pawprint.system.errors import UserError

UNLABELLED = "unlabelled.parquet"
NO_LABEL = -1


def unlabelled_folder(prepared: Path) -> Path:
    """The path beside which an archive of them is unpacked: never where that of the images is."""
    return prepared.with_name(f"{prepared.name}.unlabelled")


@dataclass(frozen=True)
class Unlabelled:
    """The files of a source without labels, and what keeps some of them out.

    Attributes:
        records: what each file is, by path.
        findings: why each is left out, or None. A copy of a labelled picture has a label, and may
            be one of a held-out picture.
    """

    records: list[FileRecord]
    findings: list[Finding | None]

    def digest(self) -> str:
        """Sha256 in hex of what is taken, whatever its names and its order."""
        digest = hashlib.sha256()
        for content in sorted(record.sha256 or "" for record in self.taken):
            digest.update(f"{content}\0".encode())
        return digest.hexdigest()

    @property
    def taken(self) -> list[FileRecord]:
        """The files that teach."""
        pairs = zip(self.records, self.findings, strict=True)
        return [record for record, finding in pairs if finding is None]

    def left_out(self) -> str:
        """How many are left out and why, in words; empty where none is."""
        why = Counter(finding.kind for finding in self.findings if finding)
        return ", ".join(f"{count} {kind}" for kind, count in why.most_common())


def find_unlabelled(root: Path, name: str) -> list[PictureFile]:
    """The files below a folder, by path; hidden ones are skipped.

    Args:
        root: the folder.
        name: what the person called it, named in an error.

    Raises:
        UserError: there is none, or a folder cannot be read.
    """
    found = [(Path(file).relative_to(root).as_posix(), file) for file in files_below(root)]
    if not found:
        raise UserError(f'"{name}" holds no pictures: set unlabelled to a folder that does')
    # Names of files need not be UTF-8, which a manifest is.
    texts = [(path.encode("utf-8", "backslashreplace").decode(), file) for path, file in found]
    return sorted(
        (PictureFile(file, path, "", None) for path, file in texts), key=lambda file: file.path
    )


def judge_unlabelled(
    records: list[FileRecord], groups: Sequence[int], labelled: dict[int, str], name: str
) -> Unlabelled:
    """Leave out what cannot be used, and what is a copy of a labelled picture.

    Args:
        records: the files, by path.
        groups: for each the number of its group of copies, or -1.
        labelled: by such a number, the path of a labelled picture in it.
        name: of their source, for an error.

    Raises:
        UserError: nothing is left.
    """
    findings: list[Finding | None] = []
    for record, group in zip(records, groups, strict=True):
        if not record.usable:
            findings.append(record.findings[0])
        elif group in labelled:
            text = f"is a copy of {labelled[group]}, which has a label"
            findings.append(Finding("labelled already", text))
        else:
            findings.append(None)
    found = Unlabelled(records, findings)
    if not found.taken:
        raise UserError(
            f'of the {len(records)} files in "{name}" none is left to teach without a label '
            f"({found.left_out()}): set unlabelled to other pictures, or to null"
        )
    return found


def write_unlabelled(folder: Path, found: Unlabelled, rows: np.ndarray) -> None:
    """List the files in a prepared folder.

    Args:
        folder: exists.
        found: the files.
        rows: int64 (n,), the row of each among the stored pictures, or -1.
    """
    import pyarrow as pa
    from pyarrow import parquet

    pairs = zip(rows.tolist(), found.findings, strict=True)
    places = [row if finding is None else None for row, finding in pairs]
    table = pa.table(
        {
            "path": text_column([record.path for record in found.records]),
            "row": number_column(places),
            "sha256": text_column([record.sha256 for record in found.records]),
            "problem": text_column(
                [finding.text if finding else None for finding in found.findings]
            ),
        }
    )
    parquet.write_table(table, folder / UNLABELLED, write_statistics=False)


def load_with_unlabelled(prepared: Path) -> Split:
    """The training pictures of a prepared folder, and behind them those without labels.

    The label of these is ``NO_LABEL``.

    Raises:
        UserError: the folder is missing or broken.
    """
    from pyarrow import parquet

    pool = load_pool(prepared, ("train",))
    train = pool.whole()
    with folder_explained(prepared):
        table = parquet.read_table(prepared / UNLABELLED)
        table = table.filter(table["row"].is_valid())
        rows = np.concatenate([pool.rows, table["row"].to_numpy()])
        pictures = Pictures(prepared, pool.summary.image_size, rows)
    digest = hashlib.sha256(train.digest.encode())
    for content in table["sha256"].to_pylist():
        digest.update(f"{content}\0".encode())
    labels = np.concatenate([train.labels, np.full(len(table), NO_LABEL, np.int64)])
    paths = [*train.paths, *table["path"].to_pylist()]
    return Split(pictures, labels, paths, train.class_names, digest.hexdigest())
