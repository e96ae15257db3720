"""Whoever comes waits in turn, and memory stays below its limit."""

import asyncio

import pytest

from pawprint.server.limits import Admission, Limits, RefusedError


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
    assert [error.status for error in outcomes[2:]] == [503] * 4
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
            with pytest.raises(RefusedError, match="too many requests wait"):
                await large.wait(1)
            assert small.fits(2**17)
        return admission.bytes

    assert asyncio.run(ask()) == 0
