"""Reading every file once: its facts, its fingerprint and its pixels."""

from __future__ import annotations

import functools
import os
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pawprint.data.audit import FileRecord, Finding
from pawprint.data.layout import PictureFile
from pawprint.data.reading.cache import PictureCache
from pawprint.data.reading.chunk import read_chunk
from pawprint.data.reading.workers import on_all_cores
from pawprint.system.terminal import pictures_bar

_BLOCK = 1024  # files
_STATUS = struct.Struct("<5Q")
_SETTLED = 100_000_000  # nanoseconds
_AT_A_TIME = 64  # files for a process; so few are read sooner than processes are started
_TINY = 8  # pixels: a shorter side below this shows nothing
_EXTREME = 8  # a longer side of more than so many shorter ones is no picture of a thing


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of all files, in their order.

    Attributes:
        places: int64 (n,), the place of each file's record in the cache.
        statuses: S40 (n,), the status of each file, see ``status_of``.
        decoded: how many files had to be decoded; the others were known.
    """

    places: np.ndarray
    statuses: np.ndarray
    decoded: int


def read_files(
    files: list[PictureFile], cache: PictureCache, *, image_size: int, resize: str
) -> Reading:
    """Read what is not known yet, on all cores, with a progress bar where a person watches.

    Args:
        files: the files, in the order that their pixels are to have.
        cache: what is known; the rest is added to it.
        image_size: side of the square pictures in pixels.
        resize: "squash", "crop" or "pad".
    """
    statuses = np.array([status_of(file.location) for file in files], dtype="S40")
    places = cache.find("status", statuses)
    new = np.nonzero(places < 0)[0]
    decoded = 0
    locations = [files[row].location for row in new]
    parts = (locations[at : at + _AT_A_TIME] for at in range(0, len(locations), _AT_A_TIME))
    read = functools.partial(read_chunk, image_size=image_size, resize=resize, known=cache.contents)
    with pictures_bar(len(new)) as advance:
        for chunk in on_all_cores(read, parts):
            rows, new = new[: len(chunk.known)], new[len(chunk.known) :]
            is_new = ~np.array(chunk.known)
            records = chunk.records[is_new]
            could_be_read = records["sha256"] != b""  # else: try again next time
            records["status"] = np.where(could_be_read, statuses[rows[is_new]], b"")
            if len(records):
                places[rows[is_new]] = cache.add(records, chunk.thumbs, chunk.pixels)
            contents = chunk.records["sha256"][~is_new]
            places[rows[~is_new]] = cache.find("sha256", contents)
            decoded += int(could_be_read.sum())
            advance(len(rows))
    return Reading(places, statuses, decoded)


def file_records(files: list[PictureFile], records: np.ndarray) -> list[FileRecord]:
    """Say of each file what its record in the cache, ``RECORD`` (n,), says."""
    all_facts: list[FileRecord] = []
    for start in range(0, len(files), _BLOCK):  # all rows as Python objects would take much memory
        rows = records[start : start + _BLOCK].tolist()
        for file, row in zip(files[start : start + _BLOCK], rows, strict=True):
            facts = dict(zip(records.dtype.names or (), row, strict=True))
            all_facts.append(_file_record(file, facts))
    return all_facts


def _file_record(file: PictureFile, facts: dict[str, Any]) -> FileRecord:
    could_be_read = bool(facts["sha256"])
    content = facts["sha256"].ljust(32, b"\0").hex() if could_be_read else None
    size = facts["bytes"] if could_be_read else None
    if facts["kind"]:
        finding = Finding(facts["kind"].decode(), facts["problem"].decode(errors="ignore"))
        return FileRecord(file.path, file.label, file.split, content, size, (finding,))
    return FileRecord(
        path=file.path,
        label=file.label,
        given_split=file.split,
        sha256=content,
        bytes=size,
        findings=tuple(_own_findings(facts["width"], facts["height"], facts["blank"])),
        format=sys.intern(facts["format"].decode()),
        mode=sys.intern(facts["mode"].decode()),
        width=facts["width"],
        height=facts["height"],
        orientation=facts["orientation"],
        frames=facts["frames"],
        perceptual_hash=f"{facts['hash']:016x}",
    )


def _own_findings(width: int, height: int, blank: bool) -> Iterator[Finding]:
    if blank:
        yield Finding("blank", "is blank (one colour)")
    if min(width, height) < _TINY:
        yield Finding("tiny", f"is tiny ({width}×{height} pixels)")
    if max(width, height) > _EXTREME * min(width, height):
        yield Finding("extreme aspect", f"has an extreme aspect ({width}×{height} pixels)")


def status_of(path: str) -> bytes:
    """Device, inode, size and times of a file in 40 bytes: the same status is the same content.

    It is empty where the file is not there, or was changed a moment ago: it may change again under
    the same time.
    """
    try:
        status = os.stat(path)  # noqa: PTH116 - a Path for each of very many takes longer
    except OSError:
        return b""
    changed = status.st_ctime_ns
    if time.time_ns() - changed < _SETTLED:
        return b""
    return _STATUS.pack(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, changed)
