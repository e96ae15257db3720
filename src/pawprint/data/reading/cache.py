"""What earlier runs have read, so that each picture is decoded once.

Beside the prepared folder lies a hidden one with, for every file, who it was (device, inode, size
and times), what it was (content, facts, fingerprint) and where its pixels are. A run that is killed
leaves the same of the files that it had read. All of it can be made again: to remove it costs
nothing but time.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import time
import zlib
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pawprint.data.copies.fingerprint import THUMB, THUMB_BYTES
from pawprint.system.files import mend_file, mend_folder, replacing_file, replacing_folder

RECORD = np.dtype(
    [
        ("status", "S40"),  # who the file is: see status_of
        ("sha256", "S32"),
        ("bytes", "<i8"),
        ("start", "<i8"),  # of the pixels in their file; -1 where there are none
        ("length", "<i8"),
        ("check", "<u4"),  # crc32 of the thumbnail, then of the pixels
        ("format", "S10"),
        ("mode", "S10"),
        ("width", "<u4"),
        ("height", "<u4"),
        ("orientation", "<u4"),
        ("frames", "<u4"),
        ("hash", "<u8"),
        ("inner", "<u8"),
        ("blank", "?"),
        ("kind", "S24"),  # of the problem that makes the file unusable
        ("problem", "S160"),
        ("seal", "<u4"),  # crc32 of all before it
    ]
)
_SEAL = RECORD["seal"].itemsize
_STATUS = struct.Struct("<5Q")
_SETTLED = 100_000_000  # ns
_CODE = (
    *("decode.py", "encoding.py", "resize.py"),
    *("copies/fingerprint.py", "reading/chunk.py", "reading/cache.py"),
)
_SEARCH = ("copies/find.py", "copies/likeness.py", "copies/neighbours.py")
_LIBRARIES = ("numpy", "pillow", "simplejpeg")
HEADER = 128  # bytes before the pixels, room for what np.load wants to read there
_BLOCK = 2**20  # bytes copied at a time


def settings_key(image_size: int, resize: str) -> str:
    """Name what pixels depend on beside the file: the settings, this code, the libraries."""
    here = Path(__file__).parent.parent
    words = [str(image_size), resize, *(version(library) for library in _LIBRARIES)]
    parts = [" ".join(words).encode(), *((here / name).read_bytes() for name in _CODE)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def status_of(path: str) -> bytes:
    """Who a file is, in 40 bytes: the same status is the same content.

    The status says nothing, and is empty, where the file was changed a moment ago: it may change
    again under the same time.
    """
    status = os.stat(path)  # noqa: PTH116 - a Path for each of very many takes longer
    changed = status.st_ctime_ns
    if time.time_ns() - changed < _SETTLED:
        return b""
    who = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, changed)
    return _STATUS.pack(*who)


class Memory:
    """The records of earlier runs, and the journal of this one.

    A record's place counts through the last run's records, then those of a killed run and those
    that this run adds.

    Attributes:
        last: How many records are of the last run that ended well.
        pairs: int64 (m, 2), places below ``last``: pictures that were found to be near copies.
        compared: bool (last,): which of its pictures were compared with the others.
    """

    def __init__(self, folder: Path, key: str, pictures: Path) -> None:
        """Open what is remembered.

        Args:
            folder: Where; made if it is not there.
            key: As of ``settings_key``; what is remembered under another one is of no use, and
                forgotten when this run has ended well.
            pictures: The pixels of the last run.
        """
        self.folder = folder / key
        self.folder.mkdir(parents=True, exist_ok=True)
        mend_folder(self.folder / "last")
        self._pictures = (pictures, self.folder / "pictures.part")
        self._thumbs = (self.folder / "last" / "thumbs", self.folder / "thumbs.part")
        records, self.pairs, self.compared = self._load_last()
        self.last = len(records)
        known = np.concatenate([records, self._open_journal()])
        self._records, self._count = [known], len(known)
        self._by_file = _Index(known["status"])
        self._by_content = _Index(known["sha256"])

    def __len__(self) -> int:
        return self._count

    def of_files(self, statuses: np.ndarray) -> np.ndarray:
        """The places of unchanged files' records, or -1, int64 (n,), by their status (n,)."""
        return np.where(statuses == b"", -1, self._by_file.places(statuses))

    def of_contents(self, contents: np.ndarray) -> np.ndarray:
        """The places of the records with these contents, or -1, int64 (n,), by S32 (n,)."""
        return np.where(contents == b"", -1, self._by_content.places(contents))

    @property
    def contents(self) -> np.ndarray:
        """All contents that are known, S32 (n,), sorted."""
        return self._by_content.values

    def add(self, records: np.ndarray, thumbs: bytes, pixels: bytes) -> np.ndarray:
        """Remember some files; what a kill loses is the call that it interrupts.

        Args:
            records: ``RECORD`` (n,), but for start and seal.
            thumbs: Their thumbnails, each ``THUMB_BYTES`` long.
            pixels: What is stored of those whose length is not 0, one after the other.

        Returns:
            Their places, int64 (n,).
        """
        records = records.copy()
        has = records["length"] > 0
        ends = self._end + np.cumsum(records["length"])
        records["start"] = np.where(has, ends - records["length"], -1)
        records["seal"] = [zlib.crc32(record.tobytes()[:-_SEAL]) for record in records]
        # Pixels first, so that no record speaks of what is not there.
        for file, content in zip(self._journal, (pixels, thumbs, records.tobytes()), strict=True):
            _write(file, content)
        self._end += len(pixels)
        self._records.append(records)
        self._count += len(records)
        return np.arange(self._count - len(records), self._count)

    def close(self) -> None:
        """Close the journal; what is remembered stays for the next run."""
        for file in self._journal:
            file.close()

    def records(self, places: np.ndarray) -> np.ndarray:
        """The records ``RECORD`` (n,) at ``places`` (n,); not to be written to."""
        if len(self._records) > 1:
            self._records = [np.concatenate(self._records)]
        everything = self._records[0]
        if np.array_equal(places, np.arange(len(everything))):  # as it is in a first run
            return everything
        return everything[places]

    def write_pictures(self, places: np.ndarray, target: Path) -> np.ndarray:
        """Write the pixels of the records at ``places`` one after the other, after ``HEADER``.

        Returns:
            int64 (n,): where each starts; -1 where the record has none.
        """
        records = self.records(places)
        has = records["length"] > 0
        spans = _Spans(places[has] >= self.last, records["start"][has], records["length"][has])
        spans.write(self._pictures, target, HEADER, whole=self._end)
        starts = np.full(len(records), -1, dtype=np.int64)
        ends = HEADER + np.cumsum(spans.length)
        starts[has] = ends - spans.length
        return starts

    def thumbs(self, places: np.ndarray) -> np.ndarray:
        """The thumbnails uint8 (n, 32, 32) of the records at ``places``, memory-mapped."""
        is_new = places >= self.last
        start = np.where(is_new, places - self.last, places) * THUMB_BYTES
        target = self.folder / "thumbs.new"
        _Spans(is_new, start, np.full(len(places), THUMB_BYTES)).write(self._thumbs, target, 0)
        shape = (len(places), THUMB, THUMB)
        if not len(places):
            return np.empty(shape, dtype=np.uint8)
        return np.memmap(target, dtype=np.uint8, mode="r", shape=shape)

    def pairs_among(self, places: np.ndarray) -> np.ndarray:
        """The near pairs, of which both are among ``places`` (n,), by position in it."""
        position = np.full(self.last, -1, dtype=np.int64)
        known = np.nonzero(places < self.last)[0]
        position[places[known]] = known
        pairs = position[self.pairs]
        return pairs[(pairs >= 0).all(axis=1)]

    def keep(
        self,
        places: np.ndarray,
        statuses: np.ndarray,
        starts: np.ndarray,
        pairs: np.ndarray,
        compared: np.ndarray,
    ) -> None:
        """Remember a run that ended well, and forget the others.

        Args:
            places: int64 (n,): its records; ``thumbs`` was asked for the same last.
            statuses: S40 (n,): who its files are.
            starts: int64 (n,): where their pixels start now.
            pairs: int64 (m, 2): pictures that are near copies, by position in ``places``.
            compared: bool (n,): which were compared with the others, and not only equal to one.
        """
        records = self.records(places).copy()
        opened = records["sha256"] != b""  # else: to be tried again next time
        records["status"], records["start"] = np.where(opened, statuses, b""), starts
        self.close()
        with replacing_folder(self.folder / "last") as new:
            np.save(new / "records.npy", records)
            np.save(new / "pairs.npy", pairs)
            np.save(new / "compared.npy", compared)
            np.save(new / "search.npy", _search_key())
            np.save(new / "pictures.npy", _identity(self._pictures[0]))
            os.replace(self.folder / "thumbs.new", new / "thumbs")
            np.save(new / "sums.npy", _sums(new))
        for file in self._journal:
            Path(file.name).unlink()
        _forget_others(self.folder)

    def _load_last(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Records, pairs and who was compared in the last run, if its pixels are still there."""
        nothing = (
            np.empty(0, dtype=RECORD),
            np.empty((0, 2), dtype=np.int64),
            np.empty(0, dtype=bool),
        )
        last = self.folder / "last"
        try:
            if not np.array_equal(np.load(last / "sums.npy"), _sums(last)):
                return nothing
            records, pairs = np.load(last / "records.npy"), np.load(last / "pairs.npy")
            pictures, thumbs = self._pictures[0], self._thumbs[0]
            same = np.array_equal(np.load(last / "pictures.npy"), _identity(pictures))
            if not same and _sound(records, pictures, thumbs) < len(records):
                return nothing
            if not np.array_equal(np.load(last / "search.npy"), _search_key()):
                return records, nothing[1], np.zeros(len(records), dtype=bool)
            return records, pairs, np.load(last / "compared.npy")
        except (OSError, ValueError, EOFError):
            return nothing

    def _open_journal(self) -> np.ndarray:
        """Open the three files of the journal behind what is sound in them."""
        pixels, thumbs, journal = self._pictures[1], self._thumbs[1], self.folder / "journal"
        mend_file(pixels)
        for path in (pixels, thumbs, journal):
            path.touch()
        if pixels.stat().st_nlink > 1:  # a run was killed just when it handed its pixels over
            with replacing_file(pixels) as own:
                shutil.copyfile(pixels, own)
        records = np.fromfile(journal, dtype=RECORD)
        records = records[: _sealed(records)]
        records = records[: _sound(records, pixels, thumbs)]
        ends = records["start"] + records["length"]
        self._end = int(max(ends.max(initial=HEADER), HEADER))
        self._journal = tuple(path.open("r+b", buffering=0) for path in (pixels, thumbs, journal))
        sizes = (self._end, len(records) * THUMB_BYTES, records.nbytes)
        for file, size in zip(self._journal, sizes, strict=True):
            file.truncate(size)
            file.seek(size)
        return records


class _Index:
    """Finds the place of a value among many, in arrays instead of a dictionary's memory."""

    def __init__(self, values: np.ndarray) -> None:
        self._order = np.argsort(values, kind="stable")
        self.values = values[self._order]

    def places(self, wanted: np.ndarray) -> np.ndarray:
        """int64 (n,): the last place of each value, or -1."""
        if not len(self.values):
            return np.full(len(wanted), -1, dtype=np.int64)
        at = np.searchsorted(self.values, wanted, side="right") - 1
        found = (at >= 0) & (self.values[at] == wanted)
        return np.where(found, self._order[at], -1)


class _Spans:
    """Stretches of two files that are to stand one after the other in a new one."""

    def __init__(self, second: np.ndarray, start: np.ndarray, length: np.ndarray) -> None:
        self.second, self.start, self.length = second, start, length

    def write(self, sources: tuple[Path, Path], target: Path, header: int, whole: int = -1) -> None:
        """Write ``target``; a second file that is ``whole`` what is wanted becomes it."""
        runs = self._runs()
        if header and runs == [(True, header, whole - header)]:
            try:
                os.link(sources[1], target)
                return
            except OSError:  # a file system without hard links
                pass
        with target.open("wb") as out:
            out.truncate(header)
            out.seek(header)
            opened = {is_second: sources[is_second].open("rb") for is_second, *_ in runs}
            try:
                for is_second, start, length in runs:
                    _copy(opened[is_second], out, start, length)
            finally:
                for file in opened.values():
                    file.close()

    def _runs(self) -> list[tuple[bool, int, int]]:
        if not len(self.start):
            return []
        ends = self.start + self.length
        breaks = (self.second[1:] != self.second[:-1]) | (self.start[1:] != ends[:-1])
        first = np.concatenate([[0], np.nonzero(breaks)[0] + 1])
        last = np.concatenate([first[1:] - 1, [len(self.start) - 1]])
        lengths = ends[last] - self.start[first]
        columns = (self.second[first], self.start[first], lengths)
        return list(zip(*(column.tolist() for column in columns), strict=True))


def _copy(source: BinaryIO, out: BinaryIO, start: int, length: int) -> None:
    source.seek(start)
    while length > 0:
        block = source.read(min(length, _BLOCK))
        if not block:
            raise EOFError(f"{source.name} ends too early")
        out.write(block)
        length -= len(block)


def _sealed(records: np.ndarray) -> int:
    """How many records, from the first, are as they were written."""
    for place, record in enumerate(records):
        content = record.tobytes()
        if zlib.crc32(content[:-_SEAL]) != record["seal"]:
            return place
    return len(records)


def _sound(records: np.ndarray, pictures: Path, thumbs: Path) -> int:
    """How many records, from the first, find their pixels and thumbnails as they were."""
    facts = records[["start", "length", "check"]].tolist()
    with pictures.open("rb") as pixels, thumbs.open("rb") as small:
        for place, (start, length, check) in enumerate(facts):
            thumb = small.read(THUMB_BYTES)
            pixels.seek(max(start, 0))
            if zlib.crc32(pixels.read(length), zlib.crc32(thumb)) != check:
                return place
    return len(records)


def _write(file: BinaryIO, content: bytes) -> None:
    """Write all of it to an unbuffered file, which may take less at a time."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


def _sums(last: Path) -> np.ndarray:
    """Of the last run's files, but for the pixels, what tells that they are as they were."""
    sums = []
    for name in ("records.npy", "pairs.npy", "compared.npy", "thumbs"):
        value = 0
        with (last / name).open("rb") as file:
            while block := file.read(_BLOCK):
                value = zlib.crc32(block, value)
        sums.append(value)
    return np.array(sums)


def _identity(path: Path) -> np.ndarray:
    """What another file, or the same with another content, hardly has."""
    status = path.stat()
    return np.array([status.st_ino, status.st_size, status.st_mtime_ns])


def _search_key() -> np.ndarray:
    """Names the code that found the pairs: another may find others."""
    here = Path(__file__).parent.parent
    return np.array([zlib.crc32((here / name).read_bytes()) for name in _SEARCH])


def _forget_others(folder: Path) -> None:
    for other in folder.parent.iterdir():
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
