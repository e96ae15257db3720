"""Files that would keep a decoder busy for minutes are known before they are decoded."""

import io
import struct
import time

import pytest
from PIL import Image
from web_server import picture

from pawprint.images.decode import PictureError, read_picture
from pawprint.serving.web.effort import MOST_PAGES, MOST_SCANS, check_effort


def saved(form, **options):
    content = io.BytesIO()
    Image.open(io.BytesIO(picture(1))).save(content, form, **options)
    return content.getvalue()


def chain(pages, order="<", back_to=None):
    """A TIFF of one pixel with so many pages; the last one leads ``back_to`` a place."""
    tags = ((256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 0), (278, 1), (279, 1))
    made = bytearray((b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8))
    for page in range(1, pages + 1):
        made += struct.pack(order + "H", len(tags))
        made += b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in tags)
        following = len(made) + 4 if page < pages else back_to or 0
        made += struct.pack(order + "I", following)
    return bytes(made)


def test_a_jpeg_that_is_told_again_and_again_is_refused_undecoded(served):
    plain = saved("JPEG", progressive=True)
    scan = plain[plain.rindex(b"\xff\xda") : -2]
    response = served.send(plain[:-2] + scan * MOST_SCANS + plain[-2:])
    assert response.status_code == 422
    assert "more than 100 scans" in response.json()["error"]


@pytest.mark.parametrize("order", "<>")
def test_a_tiff_of_very_many_pages_is_refused_undecoded(order):
    assert read_picture(chain(20, order), 8).shape == (8, 8, 3)
    check_effort(chain(MOST_PAGES, order))
    begin = time.monotonic()
    for content in (chain(MOST_PAGES + 1, order), chain(3, order, back_to=8)):
        with pytest.raises(PictureError, match="it has more than 1,000 pages"):
            check_effort(content)
    assert time.monotonic() - begin < 1


def test_big_tiffs_are_counted_too():
    plain = saved("TIFF", big_tiff=True, save_all=True, append_images=[Image.new("RGB", (9, 9))])
    assert plain[2:4] == b"+\0"
    check_effort(plain)
    (first,) = struct.unpack_from("<Q", plain, 8)
    (entries,) = struct.unpack_from("<Q", plain, first)
    end = first + 8 + 20 * entries
    round_about = plain[:end] + struct.pack("<Q", first) + plain[end + 8 :]
    with pytest.raises(PictureError, match="it has more than 1,000 pages"):
        check_effort(round_about)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "JPEG2000"])
def test_usual_pictures_pass_and_so_do_their_halves(form):
    content = saved(form)
    for end in (len(content), len(content) // 2, 20, 9, 3, 0):
        check_effort(content[:end])


def test_a_progressive_jpeg_passes():
    check_effort(saved("JPEG", progressive=True))
