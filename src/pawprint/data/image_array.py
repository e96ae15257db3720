"""The stored pictures: as they are, or as JPEGs; written once and read as one array."""

import mmap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image

from pawprint.system.machine import usable_cores

RAW_TO = 128  # largest image_size stored as it is: 48 KiB a picture
_QUALITY = 95  # and whole chroma: differs from the picture by about one step of 255
HEADER = 128  # bytes before the pixels, room for what np.load wants to read there
_RAW, _JPEGS, _OFFSETS = "pictures.npy", "pictures.jpegs", "offsets.npy"
_MOST_READ = 16  # pictures, before what was mapped for them is given back: up to 2 MB each
_FEW = 8  # pictures that are decoded sooner than threads are started


def is_raw(image_size: int) -> bool:
    """Whether pictures of this size are stored as they are."""
    return image_size <= RAW_TO


def bytes_of_one(image_size: int) -> int:
    """About how many bytes a picture takes on disk, rather too many."""
    return 3 * image_size**2 if is_raw(image_size) else image_size**2 // 2


def encode(image: Image.Image) -> bytes:
    """Bytes of an RGB picture."""
    if is_raw(image.width):
        return image.tobytes()
    pixels = np.ascontiguousarray(image)
    return simplejpeg.encode_jpeg(pixels, quality=_QUALITY, colorsubsampling="444")


def decode(content: bytes | memoryview, out: np.ndarray) -> None:
    """Write a JPEG of ``encode`` into uint8 (size, size, 3); a ValueError says it is damaged."""
    simplejpeg.decode_jpeg(content, "RGB", buffer=out)


def pictures_file(prepared: Path, image_size: int) -> Path:
    """Where the pixels of a prepared folder are."""
    return prepared / (_RAW if is_raw(image_size) else _JPEGS)


def complete(prepared: Path, image_size: int, starts: np.ndarray) -> None:
    """Make the pixels, written one after the other behind ``HEADER`` bytes, readable.

    Args:
        prepared: the folder with the pixels in ``pictures_file``.
        image_size: side in pixels.
        starts: int64 (n,): where each picture starts.
    """
    path = pictures_file(prepared, image_size)
    if not is_raw(image_size):
        ends = np.append(starts, path.stat().st_size)
        np.save(prepared / _OFFSETS, ends.astype(np.int64))
        return
    shape = (len(starts), image_size, image_size, 3)
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with path.open("r+b") as file:
        np.lib.format.write_array_header_1_0(file, header)
        if file.tell() != HEADER:
            raise ValueError(f"the header of {path.name} takes {file.tell()} bytes, not {HEADER}")


class Pictures:
    """Pictures of one split as an array uint8 (n, size, size, 3), RGB, that stays on disk.

    Indexed by a number, a slice or an array of numbers, like a NumPy array along its first axis;
    what is indexed is read, nothing else. The file is memory-mapped.
    """

    def __init__(self, prepared: Path, image_size: int, rows: np.ndarray) -> None:
        """Open the pictures ``rows`` (n,) of a prepared folder.

        Raises:
            OSError: a file is missing.
            ValueError: a file is damaged, or holds fewer pictures.
        """
        self._rows = np.asarray(rows, dtype=np.int64)
        self.shape = (len(self._rows), image_size, image_size, 3)
        self.dtype, self.ndim = np.dtype(np.uint8), 4
        path = pictures_file(prepared, image_size)
        self._offsets = None if is_raw(image_size) else np.load(prepared / _OFFSETS)
        if self._offsets is None:
            self._data = np.load(path, mmap_mode="r")
            held, size = self._data.shape[:2]
        else:
            self._data = np.memmap(path, dtype=np.uint8, mode="r")
            held, size = len(self._offsets) - 1, image_size
            if self._offsets[-1] != len(self._data):
                raise ValueError(f"{path.name} does not fit {_OFFSETS}")
        if size != image_size or self._rows.max(initial=-1) >= held:
            raise ValueError(f"{path.name} does not fit the manifest")
        self._pool: ThreadPoolExecutor | None = None
        self._read = 0

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> np.ndarray:
        rows = self._rows[index]
        if rows.ndim == 0:
            picture = self._pictures(rows[np.newaxis])[0]
            picture.flags.writeable = False  # it is a copy: what is written would be lost
            return picture
        return self._pictures(rows)

    def _pictures(self, rows: np.ndarray) -> np.ndarray:
        out = np.empty((len(rows), *self.shape[1:]), dtype=np.uint8)
        if self._offsets is not None:
            self._decode(rows, self._offsets, out)
            return out
        for start in range(0, len(rows), _MOST_READ):
            part = rows[start : start + _MOST_READ]
            out[start : start + _MOST_READ] = self._data[part]
            self._give_back(len(part))
        return out

    def _give_back(self, count: int) -> None:
        """Now and then let go of the pages that were read: they are the system's cache, not ours.

        Mapped pages count as this process's memory, which would grow with the data; where the
        system caches a file in large pages, those of one picture are 2 MB.
        """
        self._read += count
        if self._read >= _MOST_READ and hasattr(mmap, "MADV_DONTNEED"):
            self._read = 0
            base = self._data
            while isinstance(base, np.ndarray):
                base = base.base
            base.madvise(mmap.MADV_DONTNEED)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)

    def _decode(self, rows: np.ndarray, offsets: np.ndarray, out: np.ndarray) -> None:
        def fill(place: int) -> None:
            start, end = offsets[rows[place] : rows[place] + 2]
            content = self._data[start:end].tobytes()
            self._give_back(1)
            decode(content, out[place])

        if len(rows) <= _FEW:
            for place in range(len(rows)):
                fill(place)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(len(usable_cores()))
        list(self._pool.map(fill, range(len(rows))))
