"""How much work it is to decode a file, and which are made to take minutes, told by its bytes."""

from __future__ import annotations

import struct

from pawprint.data.decode import PictureError, pixels_told

MOST_SCANS = 100  # of a JPEG; a usual one has ten at most, and each costs as much as the picture
MOST_WORK = 1_000_000_000  # pixels of a JPEG in all its scans: about a second
MOST_PAGES = 1000  # of a TIFF; to count them takes the square of the time
_SCAN = b"\xff\xda"


def effort_of(content: bytes) -> int:
    """How much time and memory it takes to decode a picture file, in pixels of a PNG.

    A JPEG that is told in one scan takes a quarter; most of it is never made. What cannot be told
    is 0: then it is no picture.

    Raises:
        PictureError: the file is made to keep a decoder busy.
    """
    if content.startswith(b"\xff\xd8"):
        scans = content.count(_SCAN)
        if scans > MOST_SCANS:
            raise PictureError(f"cannot be read: it has more than {MOST_SCANS} scans")
        work = pixels_told(content) * max(1, scans)
        if work > MOST_WORK:
            raise PictureError(f"cannot be read: it has {scans} scans, too many for its size")
        return work // 4
    if content[:2] in (b"II", b"MM") and _has_more_pages(content, MOST_PAGES):
        raise PictureError(f"cannot be read: it has more than {MOST_PAGES:,} pages")
    return pixels_told(content)


def _has_more_pages(content: bytes, most: int) -> bool:
    """Whether the chain of a TIFF's pages, one of classic or of big ones, is longer than that."""
    order = "<" if content.startswith(b"II") else ">"
    try:
        (version,) = struct.unpack_from(f"{order}H", content, 2)
        big = version == 43
        count, entry, offset = ("Q", 20, "Q") if big else ("H", 12, "I")
        (place,) = struct.unpack_from(order + offset, content, 8 if big else 4)
        for _ in range(most):
            if place == 0:
                return False
            (entries,) = struct.unpack_from(order + count, content, place)
            place += struct.calcsize(count) + entry * entries
            (place,) = struct.unpack_from(order + offset, content, place)
    except struct.error:  # the chain leads out of the file
        return False
    return place != 0
