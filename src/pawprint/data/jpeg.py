"""JPEG, decoded quickly: at a fraction of its size where that is enough."""

import io
import re

import simplejpeg
from PIL import Image

from pawprint.data.picture import QUIET, Picture, PictureError, check_size, orientation_of, turned

JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_SPARE = 1.55  # a reduced JPEG is this much larger than the square, or more; 1.5 blurs: in step
_LEAST = 64  # smaller squares reduce no further, so that perceptual hashes do not depend on them
_MODES = {"YCbCr": "RGB", "Gray": "L"}  # of a JPEG, by its colours
_SCAN = 0xDA  # begins the pixels of a JPEG, after all that tells of them
_WARNINGS = ("Corrupt JPEG data: ", "Inconsistent progression")  # of libjpeg, that tell of damage
_AFTER_SCAN = re.compile(rb"\xff+[^\0\xd0-\xd7\xff]")  # a marker, but for those that restart
_SCAN_START = bytes((0xFF, _SCAN))
_TABLES = 0xC4  # Huffman's
_ZEROS = bytes(32)  # in a row: photographs have 4 or fewer
_NOT_PLAIN = (b"Exif\0", b"MPF\0", b"http://ns.adobe.com/xap")  # may say how to turn, or hold more


def _is_plain(content: bytes) -> bool:
    """Whether a JPEG says nothing of how to turn it, and holds one picture."""
    place = 2
    while content[place : place + 1] == b"\xff":
        if content[place + 1] == _SCAN:
            return True
        if content.startswith(_NOT_PLAIN, place + 4):
            return False
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return False


def quick_jpeg(content: bytes, image_size: int) -> Picture | None:
    """Decode several times as fast as Pillow, to the same pixels; None is for Pillow to see to."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
        if colours not in _MODES:
            return None
        check_size(width, height)
        file_format, orientation, frames = _jpeg_facts(content)
        by = reduction(width, height, image_size)
        least_height, least_width = -(-height // by), -(-width // by)
        pixels = simplejpeg.decode_jpeg(
            content, "RGB", min_height=least_height, min_width=least_width
        )
    except PictureError:
        raise
    except Exception:  # noqa: BLE001 - damage, or what libjpeg warns of and Pillow lets pass
        return None
    image = Image.frombuffer("RGB", pixels.shape[1::-1], pixels, "raw", "RGB", 0, 1)
    rgb = turned(trimmed(image, width, height, by), orientation)
    damage = _zeros_damage(content)
    return Picture(rgb, file_format, _MODES[colours], width, height, orientation, frames, damage)


def _jpeg_facts(content: bytes) -> tuple[str, int, int]:
    """Format, orientation and frames."""
    if _is_plain(content):
        return "JPEG", 1, 1
    with QUIET, Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
        return image.format or "", orientation_of(image), getattr(image, "n_frames", 1)


def with_end(content: bytes) -> bytes:
    """A JPEG that lacks nothing but the mark of its end, with it; others as they are."""
    if _warning(content).startswith("Premature end") and not _warning(content + _JPEG_END):
        return content + _JPEG_END
    return content


def jpeg_damage(content: bytes) -> str | None:
    """What is wrong in a JPEG that Pillow decodes all the same, or None."""
    warning = _warning(content)
    if warning.startswith(_WARNINGS):
        return warning.removeprefix(_WARNINGS[0])
    return _zeros_damage(content)


def _zeros_damage(content: bytes) -> str | None:
    """Tell of zero bytes in a row among the pixels where they do not mean that these are flat.

    Where they may mean that, zeroed bytes are far more pixels than there were, and libjpeg warns.
    """
    if content.find(_ZEROS, max(0, content.find(_SCAN_START))) < 0:
        return None
    first: dict[int, int] = {}  # symbol whose code is all zeros, by kind and number of table
    place = 2
    while content[place : place + 1] == b"\xff" and place + 4 <= len(content):
        kind, end = (
            content[place + 1],
            place + 2 + int.from_bytes(content[place + 2 : place + 4], "big"),
        )
        segment = content[place + 4 : end]
        if kind == _TABLES:
            while len(segment) > 17:
                first[segment[0]] = segment[17]
                segment = segment[17 + sum(segment[1:17]) :]
        if kind == _SCAN and segment:
            after = _AFTER_SCAN.search(content, end)
            stop = after.start() if after else len(content)
            if content.find(_ZEROS, end, stop) >= 0 and not _zeros_are_flat(segment, first):
                return f"{len(_ZEROS)} zero bytes in a row"
            end = stop
        place = end
    return None


def _zeros_are_flat(scan: bytes, first: dict[int, int]) -> bool:
    """Whether zero bits may stand for pixels like those before, by the head of their scan."""
    tables = scan[2 : 1 + 2 * scan[0] : 2]  # of each component: for its means, and for the rest
    last, refined = scan[-2], scan[-1] >> 4
    if last == 0:  # means alone, of a progressive one
        return bool(refined) or all(first.get(table >> 4) == 0 for table in tables)
    return all(first.get(0x10 | table & 15, 0) & 15 == 0 for table in tables)  # ends the block


def _warning(content: bytes) -> str:
    """What libjpeg says of a JPEG, decoded as small as it can be; "" is nothing."""
    try:
        colours = simplejpeg.decode_jpeg_header(content)[2]
        colours = "CMYK" if colours in ("CMYK", "YCCK") else "RGB"
        simplejpeg.decode_jpeg(content, colours, min_height=1, min_width=1)
    except ValueError as error:
        return str(error)
    return ""


def reduction(width: int, height: int, image_size: int) -> int:
    """By how much a JPEG may be reduced and still be larger than the resize has use for."""
    needed = _SPARE * max(image_size, _LEAST)
    return next((by for by in (8, 4, 2) if min(width, height) / by >= needed), 1)


def trimmed(image: Image.Image, width: int, height: int, by: int) -> Image.Image:
    """Take off the last column and row of a reduced JPEG where less than half of them is real."""
    if image.size == (width, height):
        return image
    size = ((2 * width + by) // (2 * by), (2 * height + by) // (2 * by))
    return image if image.size == size else image.crop((0, 0, *size))
