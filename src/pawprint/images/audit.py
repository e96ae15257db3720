"""Reading every file once: what can be used, and what is refused and why."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pawprint.errors import UserError
from pawprint.images.decode import Picture, PictureError, decode_picture
from pawprint.images.layout import PictureFile

_NAMED = 3  # how many refused files an error names


@dataclass(frozen=True)
class FileRecord:
    """What is known of one file; the fields after ``bytes`` are None where ``problem`` is not.

    Attributes:
        path: Relative to the images, with forward slashes.
        label: Its class.
        given_split: The split whose folder it came in, or None.
        sha256: Of the content, in hex; None where the file cannot be opened.
        bytes: Size of the file; None where the file cannot be opened.
        problem: Why it is refused ("is truncated"), or None.
        format: As "JPEG".
        mode: Pixel format in the file, as "RGB".
        width: In pixels.
        height: In pixels.
        frames: 1, or more for an animation.
    """

    path: str
    label: str
    given_split: str | None
    sha256: str | None = None
    bytes: int | None = None
    problem: str | None = None
    format: str | None = None
    mode: str | None = None
    width: int | None = None
    height: int | None = None
    frames: int | None = None


def read_files(files: list[PictureFile], pixels: np.ndarray) -> list[FileRecord]:
    """Decode every file once, on all cores, with a progress bar where a person watches.

    Args:
        files: The files to read.
        pixels: uint8 (len(files), image_size, image_size, 3), written in the order of
            ``files``; rows of refused files stay as they are.

    Returns:
        A record per file, in the order of ``files``.
    """
    from tqdm import tqdm  # here, because the progress bar is all that needs it

    results = _on_all_cores(files, pixels.shape[1])
    records = []
    # disable=None: quiet unless stderr is a terminal
    progress = tqdm(results, total=len(files), unit=" pictures", disable=None, dynamic_ncols=True)
    for row, (record, picture) in enumerate(progress):
        if picture is not None:
            pixels[row] = picture.array
        records.append(record)
    return records


def refuse_unusable(
    records: list[FileRecord], images: Path, *, max_refused_fraction: float
) -> None:
    """Stop where so much cannot be read that the rest is not what the person meant.

    Raises:
        UserError: A class folder, of any split, has no readable picture; or more than
            ``max_refused_fraction`` (0 to 1) of all files are refused.
    """
    folders: dict[tuple[str, str], list[FileRecord]] = {}
    for record in records:
        folders.setdefault((record.given_split or "", record.label), []).append(record)
    for (split, label), inside in sorted(folders.items()):
        if all(record.problem for record in inside):
            where = f" of the {split} split" if split else ""
            raise UserError(
                f'The class "{label}"{where} in "{images}" has no readable pictures '
                f"({_first(inside)}): put pictures into its folder, or take it away."
            )
    refused = [record for record in records if record.problem]
    if len(refused) > max_refused_fraction * len(records):
        raise UserError(
            f'{len(refused)} of {len(records)} files in "{images}" cannot be read '
            f"({_first(refused)}), more than max_refused_fraction: {max_refused_fraction:g} "
            "allows: mend or remove them, or raise max_refused_fraction."
        )


def _first(refused: list[FileRecord]) -> str:
    named = "; ".join(f"{record.path} {record.problem}" for record in refused[:_NAMED])
    return named + ("; …" if len(refused) > _NAMED else "")


def _on_all_cores(
    files: list[PictureFile], image_size: int
) -> Iterator[tuple[FileRecord, Picture | None]]:
    """Read in threads (Pillow decodes without the interpreter's lock), in the order given."""
    cores = _cores()
    waiting = deque()
    with ThreadPoolExecutor(cores) as pool:
        for file in files:
            waiting.append(pool.submit(_read, file, image_size))
            if len(waiting) >= 16 * cores:  # so that decoded pictures do not pile up
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _read(file: PictureFile, image_size: int) -> tuple[FileRecord, Picture | None]:
    named = {"path": file.path, "label": file.label, "given_split": file.split}
    try:
        with file.location.open("rb") as content:
            named["sha256"] = hashlib.file_digest(content, "sha256").hexdigest()
            named["bytes"] = content.tell()
            picture = decode_picture(content, image_size)
    except PictureError as error:
        return FileRecord(**named, problem=str(error)), None
    except OSError as error:
        return FileRecord(**named, problem=f"cannot be read: {error.strerror}"), None
    facts = {name: getattr(picture, name) for name in ("format", "mode", "width", "height")}
    return FileRecord(**named, **facts, frames=picture.frames), picture


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # the cores that this process may use
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
