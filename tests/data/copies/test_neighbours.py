import os
import signal
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pawprint.data.copies import neighbours
from pawprint.data.copies.neighbours import near_pairs


def random_hashes(count, seed=0):
    return np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64)


def with_planted(hashes, planted, most, seed=0):
    """Some replaced by others of which 0 to ``most`` bits are flipped."""
    rng = np.random.default_rng(seed)
    hashes = hashes.copy()
    for place in rng.permutation(len(hashes))[:planted]:
        flipped = rng.permutation(64)[: rng.integers(0, most + 1)]
        hashes[place] = hashes[rng.integers(len(hashes))] ^ mask(*flipped)
    return hashes


def mask(*bits):
    return np.uint64(sum(1 << int(bit) for bit in bits))


def brute_force(hashes, radius):
    """The documented answer: all first places of each hash, and the others linked to them."""
    first = {}
    found = []
    for place, value in enumerate(hashes.tolist()):
        if first.setdefault(value, place) != place:
            found.append((first[value], place))
    places = np.sort(np.array(list(first.values()), int))
    for start in range(0, len(places), 500):
        some = places[start : start + 500]
        near = np.bitwise_count(hashes[some, None] ^ hashes[places]) <= radius
        left, right = np.nonzero(near & (some[:, None] < places))
        found += zip(some[left].tolist(), places[right].tolist(), strict=True)
    return np.array(sorted(found), np.int64).reshape(-1, 2)


def agree(hashes, radius):
    found = near_pairs(hashes, radius)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, brute_force(hashes, radius))
    return found


@pytest.mark.parametrize("count", [0, 1, 2, 3, 17, 300, 3000])
@pytest.mark.parametrize("radius", [0, 1, 4, 10, 12])
def test_all_close_pairs_are_found_and_no_others(count, radius):
    agree(with_planted(random_hashes(count), count // 2, radius + 2), radius)


def test_many_hashes_are_searched_in_bands_and_none_is_missed():
    hashes = with_planted(random_hashes(20_000), 3000, 12)
    assert len(neighbours._plan(hashes, 10)) > 1
    assert len(agree(hashes, 10)) > 2000


def test_the_borders_of_tasks_and_chunks_lose_nothing(monkeypatch):
    monkeypatch.setattr(neighbours, "_BLOCK", 5)
    monkeypatch.setattr(neighbours, "_CHUNK", 3)
    agree(with_planted(random_hashes(1000), 500, 8) & ~mask(*range(40)), 4)


@pytest.mark.parametrize(
    "kept",
    [~mask(*range(16)), mask(*range(12)), mask(*range(0, 64, 5)), mask(63), mask()],
    ids=["low bits zero", "high bits zero", "few bits", "one bit", "none"],
)
@pytest.mark.parametrize("radius", [1, 10])
def test_bits_that_tell_nothing_do_no_harm(kept, radius):
    agree(with_planted(random_hashes(1500), 500, 12) & kept, radius)


def test_most_hashes_in_one_corner():
    hashes = with_planted(random_hashes(2000), 500, 12)
    hashes[:1500] &= mask(*range(0, 64, 3))
    agree(hashes, 6)


def test_far_radii():
    hashes = random_hashes(60)
    agree(hashes, 30)
    assert len(agree(hashes, 64)) == 60 * 59 // 2


def test_equal_hashes_are_linked_to_the_first_and_close_ones_through_it():
    hashes = np.array([7, 0, 7, 7, 6, 6], np.uint64)
    expected = [[0, 2], [0, 3], [0, 4], [4, 5]]
    np.testing.assert_array_equal(near_pairs(hashes, 1), expected)


def test_a_million_equal_hashes_take_no_time():
    start = time.perf_counter()
    found = near_pairs(np.full(1_000_000, 5, np.uint64), 10)
    assert time.perf_counter() - start < 60  # pair by pair it would be days
    np.testing.assert_array_equal(found[:, 1], np.arange(1, 1_000_000))
    assert not found[:, 0].any()


@pytest.fixture
def pools(monkeypatch):
    """How many threads each search was given, in their order."""
    sizes = []

    class Pool(ThreadPoolExecutor):
        def __init__(self, max_workers):
            sizes.append(max_workers)
            super().__init__(max_workers)

    monkeypatch.setattr(neighbours, "ThreadPoolExecutor", Pool)
    return sizes


def on_cores(count, monkeypatch):
    monkeypatch.setattr(neighbours, "usable_cores", lambda: list(range(count)))


def test_the_result_is_the_same_with_any_number_of_threads(monkeypatch, pools):
    hashes = with_planted(random_hashes(20_000), 5000, 12)
    found = []
    for threads in (1, 2, 7):
        on_cores(threads, monkeypatch)
        found.append(near_pairs(hashes, 10))
    assert pools == [1, 2, 7]
    assert len(found[0]) > 4000
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system binds no process")
def test_there_are_as_many_threads_as_cores_that_the_process_may_use(pools):
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        near_pairs(random_hashes(100), 10)
    finally:
        os.sched_setaffinity(0, before)
    near_pairs(random_hashes(100), 10)
    assert pools == [1, len(before)]


@pytest.mark.parametrize("kept", [~mask(), ~mask(*range(16))], ids=["any", "low bits zero"])
def test_memory_stays_small(kept, monkeypatch, pools):
    on_cores(2, monkeypatch)
    hashes = with_planted(random_hashes(50_000), 5000, 10) & kept
    tracemalloc.start()
    try:
        found = near_pairs(hashes, 10)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40e6
    assert pools == [2]
    assert len(found) > 4500


def test_an_interrupt_stops_the_search_at_once():
    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    start = time.perf_counter()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(KeyboardInterrupt):
            near_pairs(random_hashes(1_000_000), 20)  # which takes many minutes
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.perf_counter() - start < 60


@pytest.mark.parametrize(
    "hashes", [np.zeros(3), np.zeros(3, np.int64), np.zeros((3, 1), np.uint64)]
)
def test_other_arrays_are_refused(hashes):
    with pytest.raises(ValueError, match="hashes must be uint64"):
        near_pairs(hashes, 10)


@pytest.mark.parametrize("radius", [-1, 65])
def test_a_radius_out_of_range_is_refused(radius):
    with pytest.raises(ValueError, match="radius must be 0 to 64"):
        near_pairs(random_hashes(3), radius)
