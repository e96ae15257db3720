"""What is wrong inside a picture file that is decoded all the same."""

import zlib
from collections.abc import Iterable
from typing import BinaryIO, Literal

from PIL import Image

from pawprint.data.jpeg import JPEG_START, jpeg_damage

_TELLING = ("JPEG", "MPO", "PNG", "WEBP", "AVIF", "HEIF", "JPEG2000")
_LEAST_ZEROS, _ZEROS = 32, 1 / 12  # bytes, and share of a file: flat pictures have half as many
_PNG_START, _PNG_PIXELS = 8, (b"PLTE", b"IDAT")
_JPEG2000_END = b"\xff\xd9"
_FILLERS = (b"free", b"skip")  # boxes
_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 12: 8}  # bytes of a value, by its type
_CHECKSUM = "a checksum is wrong"


def damage_of(file: BinaryIO, image: Image.Image) -> str | None:
    """What is wrong inside a file, or None: other formats raise an error instead, or cannot tell.

    Args:
        file: is open.
        image: what was decoded of it, with its ``format`` and ``info``.
    """
    if image.format not in _TELLING:
        return None
    file.seek(0)
    content = file.read()
    if content.startswith(JPEG_START):
        return jpeg_damage(content)
    if image.format == "PNG":
        return _png_damage(content)
    content = _told_content(content, image.format)
    for name in ("exif", "icc_profile", "xmp"):
        if block := image.info.get(name):
            content = content.replace(block, b"")
    return zeros_in_a_row(content)


def is_cut(file: BinaryIO) -> bool:
    """Whether a TIFF, a WebP or a file of boxes, as AVIF, says that it goes on behind its end."""
    file.seek(0)
    content = file.read()
    if content.startswith((b"II*\0", b"MM\0*")):
        return len(content) < _tiff_end(content)
    if content.startswith(b"RIFF"):
        return len(content) < 8 + int.from_bytes(content[4:8], "little")
    place = 0
    while content[4:8] == b"ftyp" and place + 8 <= len(content):
        size = int.from_bytes(content[place : place + 4], "big")
        if size < 8:  # to the end, or longer than 4 GB
            return False
        place += size
    return place > len(content)


def _tiff_end(content: bytes) -> int:
    """Where the first directory of a TIFF, and what it points to, ends at the earliest."""
    order: Literal["little", "big"] = "little" if content.startswith(b"II") else "big"

    def number(place: int, length: int = 4) -> int:
        return int.from_bytes(content[place : place + length], order)

    place = number(4)
    end = last = place + 2 + 12 * number(place, 2) + 4
    for entry in range(place + 2, min(last - 4, len(content)), 12):
        size = _TIFF_SIZES.get(number(entry + 2, 2), 0) * number(entry + 4)
        if size > 4:  # else the value stands in the entry
            end = max(end, number(entry + 8) + size)
    return end


def _told_content(content: bytes, file_format: str) -> bytes:
    """A picture's content as far as it says that it goes, without what only fills it up."""
    if file_format == "WEBP":
        return content[: 8 + int.from_bytes(content[4:8], "little")]
    if file_format == "JPEG2000":
        return content[: content.rfind(_JPEG2000_END) + 2] or content
    place, boxes = 0, []
    while place + 8 <= len(content) and content[place + 4 : place + 8].isalnum():
        size = int.from_bytes(content[place : place + 4], "big")
        if size == 1:
            size = int.from_bytes(content[place + 8 : place + 16], "big")
        end = place + size if size >= 8 else len(content)  # 0: to the end
        if content[place + 4 : place + 8] not in _FILLERS:
            boxes.append(content[place:end])
        place = end
    return b"".join(boxes)


def zeros_in_a_row(content: bytes) -> str | None:
    """Tell of more zero bytes in a row than a well compressed picture has."""
    zeros = max(_LEAST_ZEROS, int(len(content) * _ZEROS))
    return f"{zeros:,} zero bytes in a row" if bytes(zeros) in content else None


def deflate_damage(streams: Iterable[bytes], most: int) -> str | None:
    """Tell whether one of some zlib streams, each of at most so many bytes unpacked, is damaged."""
    for stream in streams:
        unpacker = zlib.decompressobj()
        try:
            unpacker.decompress(stream, most + 1)  # a checksum follows the last byte
        except zlib.error:
            return _CHECKSUM
        if not unpacker.eof:
            return "its samples are more or less than its pixels"
    return None


def _png_damage(content: bytes) -> str | None:
    place, view = _PNG_START, memoryview(content)
    while place + 12 <= len(content):
        end = place + 8 + int.from_bytes(view[place : place + 4], "big")
        checked = zlib.crc32(view[place + 4 : end])
        is_pixels = content[place + 4 : place + 8] in _PNG_PIXELS
        if is_pixels and checked != int.from_bytes(view[end : end + 4], "big"):
            return _CHECKSUM
        place = end + 4
    return None
