"""Who comes waits in turn, and files that would keep a decoder busy are known before they do."""

import asyncio
import io
import struct
import threading
import time
from pathlib import Path

import pytest
from PIL import Image
from starlette.exceptions import HTTPException
from web_server import picture, serving

from pawprint.data.decode import PictureError, read_picture
from pawprint.inference.predictor import Predictor
from pawprint.server.answers import LARGE, Batcher, predict_uploads
from pawprint.server.limits import (
    MOST_PAGES,
    MOST_SCANS,
    Admission,
    Limits,
    decode_cost,
)
from pawprint.server.metrics import Metrics
from pawprint.server.model import Model, WatchedModel
from pawprint.server.uploads import Upload


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
    decode_cost(chain(MOST_PAGES, order))
    begin = time.process_time()
    for content in (chain(MOST_PAGES + 1, order), chain(3, order, back_to=8)):
        with pytest.raises(PictureError, match="it has more than 1,000 pages"):
            decode_cost(content)
    assert time.process_time() - begin < 1


def test_big_tiffs_are_counted_too():
    plain = saved("TIFF", big_tiff=True, save_all=True, append_images=[Image.new("RGB", (9, 9))])
    assert plain[2:4] == b"+\0"
    decode_cost(plain)
    (first,) = struct.unpack_from("<Q", plain, 8)
    (entries,) = struct.unpack_from("<Q", plain, first)
    end = first + 8 + 20 * entries
    round_about = plain[:end] + struct.pack("<Q", first) + plain[end + 8 :]
    with pytest.raises(PictureError, match="it has more than 1,000 pages"):
        decode_cost(round_about)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "JPEG2000"])
def test_usual_pictures_pass_and_so_do_their_halves(form):
    content = saved(form)
    for end in (len(content), len(content) // 2, 20, 9, 3, 0):
        decode_cost(content[:end])


def test_a_progressive_jpeg_passes():
    decode_cost(saved("JPEG", progressive=True))


def headed(width, height, scans):
    """The head of a JPEG of that size, and so many beginnings of scans."""
    plain = saved("JPEG", progressive=True)
    place = plain.index(b"\xff\xc2") + 5
    head = plain[:place] + struct.pack(">HH", height, width) + plain[place + 4 :]
    return head + b"\xff\xda" * (scans - head.count(b"\xff\xda"))


def test_scans_count_as_much_as_the_picture_is_large():
    assert decode_cost(headed(7000, 7000, 12)) == 7000 * 7000 * 3
    assert decode_cost(headed(1000, 1000, 90)) == 1000 * 1000 * 90 // 4
    with pytest.raises(PictureError, match="it has 90 scans, too many for its size"):
        decode_cost(headed(7000, 7000, 90))


@pytest.mark.parametrize(
    ("form", "effort"), [("PNG", 432), ("TIFF", 432), ("JPEG", 108), ("GIF", 432)]
)
def test_effort_is_told_by_the_size_in_the_head(form, effort):
    assert decode_cost(saved(form)) == effort
    assert decode_cost(b"hello") == 0


def test_an_icon_counts_as_large_as_what_may_be_in_it(network):
    with serving(WatchedModel(str(network)), pixels=2 * LARGE):
        assert decode_cost(saved("ICO")) == 2 * LARGE


def test_files_of_a_request_take_turns_with_others(network):
    async def most_at_once():
        batcher, model = Batcher(), Model(WatchedModel(str(network)).model.source)
        uploads = [Upload(f"{seed}.jpg", picture(seed)) for seed in range(32)]
        task = asyncio.ensure_future(
            predict_uploads(uploads, model, batcher, Metrics(lambda: 0), Limits())
        )
        most = 0
        while not task.done():
            await asyncio.sleep(0)
            most = max(most, batcher.waiting)
        batcher.close()
        return task.result()[0], most

    status, most = asyncio.run(most_at_once())
    assert status == 200
    assert 1 < most < 10


class Slow(Predictor):
    """Looks at large pictures until it may go on."""

    def __init__(self, path):
        super().__init__(path)
        self.go_on, self.begun = threading.Event(), 0

    def read_with_size(self, source):
        if source.startswith(b"\x89PNG"):
            self.begun += 1
            self.go_on.wait(20)
        return super().read_with_size(source)


def test_large_pictures_wait_for_each_other_and_others_do_not_wait(network, monkeypatch):
    monkeypatch.setattr("pawprint.server.answers.LARGE", 400)

    async def ask():
        batcher, predictor = Batcher(), Slow(network)
        large = [asyncio.ensure_future(batcher.classify(predictor, saved("PNG"))) for _ in range(8)]
        async with asyncio.timeout(10):
            for seed in range(20):
                await batcher.classify(predictor, picture(seed))
        begun = predictor.begun
        predictor.go_on.set()
        await asyncio.gather(*large)
        batcher.close()
        return begun, predictor.begun

    begun, at_last = asyncio.run(ask())
    assert begun <= 1
    assert at_last == 8


def test_memory_is_given_back_after_large_pictures(network):
    def megabytes():
        return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * 4096 / 1e6

    content = io.BytesIO()
    Image.new("L", (6000, 6000)).save(content, "PNG")
    with serving(WatchedModel(str(network))) as server:
        server.send(picture(1))
        before = megabytes()
        for _ in range(2):
            assert server.send(content.getvalue(), content.getvalue()).status_code == 200
        deadline = time.monotonic() + 5
        while megabytes() - before > 50 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert megabytes() - before < 50


# Admission


def test_who_finds_no_place_waits_in_turn_and_is_then_sent_away_for_a_moment():
    async def ask(work, patience):
        admission = Admission(Limits(waiting_requests=2, waiting_seconds=patience))

        async def one():
            with admission.admit() as admitted:
                await admitted.place()
                await asyncio.sleep(work)

        return await asyncio.gather(*(one() for _ in range(6)), return_exceptions=True)

    assert asyncio.run(ask(0.01, 10)) == [None] * 6
    outcomes = asyncio.run(ask(0.5, 0.1))
    assert outcomes[:2] == [None] * 2
    assert [error.status_code for error in outcomes[2:]] == [503] * 4
    assert outcomes[2].headers == {"retry-after": "1"}


def test_large_requests_that_do_not_fit_in_together_come_to_their_end_one_by_one():
    limits = Limits(waiting_seconds=5)
    most = 0

    async def send(admission, size):
        nonlocal most
        with admission.admit() as admitted:
            while admitted.bytes < size:
                if admitted.fits(2**16):
                    admitted.take(2**16)
                else:
                    await admitted.wait(2**16)
                most = max(most, admission.bytes)
                await asyncio.sleep(0)

    async def ask():
        admission = Admission(limits)
        await asyncio.gather(*(send(admission, 4 * limits.file_bytes) for _ in range(20)))
        return admission.bytes, admission.first

    assert asyncio.run(ask()) == (0, None)
    assert limits.request_bytes * 3 < most <= limits.waiting_bytes


def test_small_requests_do_not_wait_for_large_ones_and_who_waited_in_vain_is_sent_away():
    async def ask():
        limits = Limits(waiting_seconds=0.1)
        admission = Admission(limits)
        with admission.admit() as first, admission.admit() as large, admission.admit() as small:
            first.take(limits.waiting_bytes - limits.request_bytes)
            await first.wait(2**16)
            assert first.first
            large.take(2**17)
            assert not large.fits(1)
            with pytest.raises(HTTPException, match="too many requests wait"):
                await large.wait(1)
            assert small.fits(2**17)
        return admission.bytes

    assert asyncio.run(ask()) == 0
