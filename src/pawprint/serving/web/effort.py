"""Small files that take minutes to decode, told by a look at their bytes."""

from __future__ import annotations

import struct

from pawprint.images.decode import PictureError

MOST_SCANS = 100  # of a JPEG; a usual one has ten at most, and each costs as much as the picture
MOST_PAGES = 1000  # of a TIFF; to count them takes the square of the time
_SCAN = b"\xff\xda"


def check_effort(content: bytes) -> None:
    """Refuse a picture file that is made to keep a decoder busy.

    Raises:
        PictureError: it is one.
    """
    if content.startswith(b"\xff\xd8") and content.count(_SCAN) > MOST_SCANS:
        raise PictureError(f"cannot be read: it has more than {MOST_SCANS} scans")
    if content[:2] in (b"II", b"MM") and _has_more_pages(content, MOST_PAGES):
        raise PictureError(f"cannot be read: it has more than {MOST_PAGES:,} pages")


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
