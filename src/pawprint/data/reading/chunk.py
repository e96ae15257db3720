"""What one process does with some files: reads, decodes, resizes and fingerprints them."""

from __future__ import annotations

import hashlib
import itertools
import os
import zlib
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np

from pawprint.data.copies.fingerprint import THUMB_BYTES, is_blank, perceptual_hashes, thumbs_of
from pawprint.data.decode import (
    WHOLE,
    Picture,
    PictureError,
    decode_content,
    decode_file,
    open_file,
)
from pawprint.data.image_array import encode
from pawprint.data.resize import resize_image
from pawprint.system.code import code_digest

_LIBRARIES = ("numpy", "pillow", "simplejpeg")
RECORD = np.dtype(
    [
        ("status", "S40"),  # see ``status_of``
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
        ("blank", "?"),
        ("kind", "S24"),  # of the problem that makes the file unusable
        ("problem", "S160"),
    ]
)


def settings_key(image_size: int, resize: str) -> str:
    """Name what pixels depend on beside the file: the settings, this code, the libraries."""
    libraries = [version(library) for library in _LIBRARIES]
    words = [
        str(image_size),
        resize,
        *libraries,
        code_digest("data.reading.chunk", "data.reading.cache"),
    ]
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some files, read.

    Attributes:
        records: ``RECORD`` (n,), but for status and start.
        thumbs: thumbnails of those that were not known, one after the other.
        pixels: what is stored of those that can be used, one after the other.
        known: for each whether its content was known, so that it was not decoded.
    """

    records: np.ndarray
    thumbs: bytes
    pixels: bytes
    known: list[bool]


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
            record["format"], record["mode"] = picture.format.encode(), picture.mode.encode()
            for name in ("width", "height", "orientation", "frames"):
                record[name] = getattr(picture, name)
        thumbs.append(thumb)
        middles.append(middle)
    records["hash"], records["inner"] = perceptual_hashes(thumbs), perceptual_hashes(middles)
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
