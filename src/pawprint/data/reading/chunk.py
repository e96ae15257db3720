"""What one process does with some files: reads, decodes, resizes and fingerprints them."""

from __future__ import annotations

import hashlib
import itertools
import os
import zlib
from dataclasses import dataclass
from typing import Any

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
from pawprint.data.encoding import encode
from pawprint.data.reading.cache import RECORD
from pawprint.data.resize import to_square

_TOLD = [name for name in RECORD.names if name not in ("status", "start", "hash", "inner", "seal")]
_EMPTY = {name: b"" if RECORD[name].kind == "S" else 0 for name in _TOLD}


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some files, read.

    Attributes:
        records: ``RECORD`` (n,), but for status, start and seal.
        thumbs: Thumbnails of those that were not known, one after the other.
        pixels: What is stored of those that can be used, one after the other.
        known: For each whether its content was known, so that it was not decoded.
    """

    records: np.ndarray
    thumbs: bytes
    pixels: bytes
    known: list[bool]


def read_chunk(locations: list[str], image_size: int, resize: str, known: np.ndarray) -> Chunk:
    """Read some files.

    Args:
        locations: Where to open them.
        image_size: Side of the square pictures in pixels.
        resize: "squash", "crop" or "pad".
        known: S32 (m,), sorted: contents that need no decoding.
    """
    thumbs, middles, pixels, is_known = [], [], [], []
    all_facts: list[dict[str, Any]] = []
    for location in locations:
        facts: dict[str, Any] = {}
        thumb = middle = bytes(THUMB_BYTES)
        try:
            picture = _open(location, image_size, known, facts)
            is_known.append(picture is None)
            if picture is not None:
                whole, inner = thumbs_of(picture.image)
                thumb, middle = whole.tobytes(), inner.tobytes()
                pixels.append(encode(to_square(picture.image, image_size, resize)))
                blank = is_blank(picture.image, whole)
                facts |= _facts(picture, blank, thumb, pixels[-1])
        except PictureError as error:
            is_known.append(False)
            facts |= {"kind": error.kind.encode(), "problem": str(error).encode()}
            facts["check"] = zlib.crc32(thumb)
        all_facts.append(facts)
        thumbs.append(thumb)
        middles.append(middle)
    records = np.zeros(len(locations), dtype=RECORD)
    for name in _TOLD:
        records[name] = [facts.get(name, _EMPTY[name]) for facts in all_facts]
    records["hash"], records["inner"] = perceptual_hashes(thumbs), perceptual_hashes(middles)
    new_thumbs = itertools.compress(thumbs, np.logical_not(is_known))
    return Chunk(records, b"".join(new_thumbs), b"".join(pixels), is_known)


def _open(
    location: str, image_size: int, known: np.ndarray, facts: dict[str, Any]
) -> Picture | None:
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
            facts |= {"sha256": digest, "bytes": size}
            at = np.searchsorted(known, digest) if len(known) else 0
            if at < len(known) and known[at] == digest.rstrip(b"\0"):
                return None
            return decode_content(content, image_size) if content else decode_file(file, image_size)
    except OSError as error:
        facts.clear()
        raise PictureError(f"cannot be read: {error.strerror}") from error


def _facts(picture: Picture, blank: bool, thumb: bytes, pixels: bytes) -> dict[str, Any]:
    return {
        "length": len(pixels),
        "check": zlib.crc32(pixels, zlib.crc32(thumb)),
        "format": picture.format.encode(),
        "mode": picture.mode.encode(),
        "width": picture.width,
        "height": picture.height,
        "orientation": picture.orientation,
        "frames": picture.frames,
        "blank": blank,
    }
