"""Reading every file once: its facts, its fingerprint and its pixels."""

import functools
import hashlib
import itertools
import os
import struct
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from pawprint.data.audit import DAMAGED, UNUSABLE, FileRecord, Finding
from pawprint.data.copies.fingerprint import (
    THUMB,
    THUMB_BYTES,
    colours_of,
    is_blank,
    perceptual_hashes,
    thumbs_of,
)
from pawprint.data.decode import (
    WHOLE,
    Picture,
    PictureError,
    decode_content,
    decode_file,
    open_file,
)
from pawprint.data.image_array import encode
from pawprint.data.layout import PictureFile
from pawprint.data.reading.cache import RECORD, PictureCache
from pawprint.data.reading.workers import on_all_cores
from pawprint.data.resize import resize_image
from pawprint.system.code import code_digest
from pawprint.system.terminal import pictures_bar

_LIBRARIES = ("numpy", "pi-heif", "pillow", "simplejpeg", "tifffile")
_STATUS = struct.Struct("<5Q")
_SETTLED = 100_000_000  # nanoseconds
_AT_A_TIME = 64  # files for a process; so few are read sooner than processes are started
_TINY = 8  # pixels: a shorter side below this shows nothing
_EXTREME = 8  # a longer side of more than so many shorter ones is no picture of a thing


def settings_key(image_size: int, resize: str) -> str:
    """Name what pixels depend on beside the file: the settings, this code, the libraries."""
    libraries = [version(library) for library in _LIBRARIES]
    words = [str(image_size), resize, *libraries, code_digest("data.reading.files")]
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of all files, in their order."""

    places: np.ndarray  # int64 (n,), of each file's record in the cache
    statuses: np.ndarray  # S40 (n,), see ``status_of``
    decoded: int  # how many files had to be decoded; the others were known


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


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some files, read."""

    records: np.ndarray  # ``RECORD`` (n,), but for status and start
    thumbs: bytes  # of those that were not known, one after the other
    pixels: bytes  # what is stored of those that can be used, one after the other
    known: list[bool]  # for each whether its content was known, so that it was not decoded


def read_chunk(locations: list[str], image_size: int, resize: str, known: np.ndarray) -> Chunk:
    """Read some files.

    Args:
        locations: where to open them.
        image_size: side of the square pictures in pixels.
        resize: "squash", "crop" or "pad".
        known: S32 (m,), sorted: contents that need no decoding.
    """
    records = np.zeros(len(locations), RECORD)
    thumbs, middles, pixels, is_known = [], [], [], []
    for record, location in zip(records, locations, strict=True):
        thumb = middle = bytes(THUMB_BYTES)
        picture = None
        try:
            picture = _open(location, image_size, known, record)
            is_known.append(picture is None)
        except PictureError as error:
            is_known.append(False)
            record["kind"], record["problem"] = error.kind.encode(), str(error).encode()
        if picture is not None:
            whole, inner = thumbs_of(picture.image)
            thumb, middle = whole.tobytes(), inner.tobytes()
            pixels.append(encode(resize_image(picture.image, image_size, resize)))
            record["length"], record["check"] = len(pixels[-1]), zlib.crc32(pixels[-1])
            record["blank"] = is_blank(picture.image, whole)
            record["colours"] = colours_of(picture.image)
            record["format"], record["mode"] = picture.format.encode(), picture.mode.encode()
            for name in ("width", "height", "orientation", "frames"):
                record[name] = getattr(picture, name)
            if picture.damage:
                record["kind"] = DAMAGED.encode()
                record["problem"] = f"is damaged inside ({picture.damage})".encode()
        thumbs.append(thumb)
        middles.append(middle)
    records["hash"], records["inner"] = perceptual_hashes(thumbs), perceptual_hashes(middles)
    turned = np.frombuffer(b"".join(thumbs), np.uint8).reshape(-1, THUMB, THUMB)[:, :, ::-1]
    records["mirrored"] = perceptual_hashes([turned.tobytes()])
    new_thumbs = itertools.compress(thumbs, np.logical_not(is_known))
    return Chunk(records, b"".join(new_thumbs), b"".join(pixels), is_known)


def _open(location: str, image_size: int, known: np.ndarray, record: np.void) -> Picture | None:
    """The picture in a file, or None where its content is known; notes content and size."""
    try:
        with open_file(location) as file:
            size = os.fstat(file.fileno()).st_size
            content = file.read() if size < WHOLE else b""
            if len(content) == size:
                digest = hashlib.sha256(content).digest()
            else:
                file.seek(0)
                digest, size = hashlib.file_digest(file, "sha256").digest(), file.tell()
                content = b""
            record["sha256"], record["bytes"] = digest, size
            at = np.searchsorted(known, digest) if len(known) else 0
            if at < len(known) and known[at] == digest.rstrip(b"\0"):
                return None
            return decode_content(content, image_size) if content else decode_file(file, image_size)
    except OSError as error:
        record["sha256"], record["bytes"] = b"", 0
        raise PictureError(f"cannot be read: {error.strerror}") from error


def file_records(files: list[PictureFile], records: np.ndarray) -> list[FileRecord]:
    """Say of each file what its record in the cache, ``RECORD`` (n,), says."""
    names = records.dtype.names or ()
    rows = (dict(zip(names, record.item(), strict=True)) for record in records)
    return [_file_record(file, facts) for file, facts in zip(files, rows, strict=True)]


def _file_record(file: PictureFile, facts: dict[str, Any]) -> FileRecord:
    record = FileRecord(file.path, file.label, file.split)
    if facts["sha256"]:  # else it could not be read
        record.sha256, record.bytes = facts["sha256"].ljust(32, b"\0").hex(), facts["bytes"]
    if facts["kind"]:
        problem = facts["problem"].decode(errors="ignore")
        record.findings = (Finding(facts["kind"].decode(), problem),)
        if record.findings[0].kind in UNUSABLE:
            return record
    own = _own_findings(facts["width"], facts["height"], facts["blank"])
    record.findings = (*record.findings, *own)
    record.format, record.mode = (sys.intern(facts[name].decode()) for name in ("format", "mode"))
    for name in ("width", "height", "orientation", "frames"):
        setattr(record, name, facts[name])
    record.perceptual_hash = f"{facts['hash']:016x}"
    return record


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
