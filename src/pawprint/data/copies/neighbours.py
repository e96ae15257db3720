"""All pairs of close 64-bit hashes, exact, in far less than quadratic time."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import comb

import numpy as np

from pawprint.system.machine import usable_cores

_BITS = 64
_WIDTH = 8  # hashes to a cell: cells are compared whole, many at once
_BLOCK = 4096  # cells to a task
_CHUNK = 2048  # pairs of cells compared at once: 1 MB of differences, which stays in the cache


def near_pairs(hashes: np.ndarray, radius: int) -> np.ndarray:
    """Find all pairs of hashes that differ in at most ``radius`` bits.

    Multi-index hashing (Norouzi, Punjani and Fleet, "Fast Exact Search in Hamming Space with
    Multi-Index Hashing", 2014): the bits are dealt to bands, and two close hashes are very close
    in at least one band; so only hashes whose keys, the bits of a band, are that close are
    compared. Equal hashes are linked to the first of them only, and close hashes through the
    first of each.

    Memory is about 100 bytes a hash, 40 a pair found, and 10 MB a thread. There are as many
    threads as cores; they do not change the result.

    Args:
        hashes: uint64 (n,).
        radius: most bits that differ, 0 to 64. Time grows quickly with it; up to 12 is quick.

    Returns:
        int64 (m, 2), places in ``hashes``: the lower first, each pair once, sorted.

    Raises:
        ValueError: another type or shape of hashes, or a radius out of range.
    """
    if hashes.dtype != np.uint64 or hashes.ndim != 1:
        raise ValueError(f"hashes must be uint64 (n,), not {hashes.dtype} {hashes.shape}")
    if not 0 <= radius <= _BITS:
        raise ValueError(f"radius must be 0 to {_BITS}, not {radius}")
    different, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    links = first[inverse]
    later = np.flatnonzero(links != np.arange(len(hashes)))
    found = [np.stack([links[later], later]), *_close_pairs(different, radius, first)]
    # As one number a pair is sorted at once, and in place.
    numbers = np.concatenate([lower * len(hashes) + upper for lower, upper in found])
    del found
    numbers.sort()
    return np.stack(np.divmod(numbers, max(len(hashes), 1)), axis=1)


@dataclass(frozen=True)
class _Band:
    """Some of the bits, and how many of them may differ."""

    bits: tuple[int, ...]
    radius: int

    def flips(self) -> Iterator[int]:
        """Every change to a key that is within the radius."""
        for count in range(self.radius + 1):
            for flipped in itertools.combinations(range(len(self.bits)), count):
                yield sum(1 << bit for bit in flipped)


def _plan(hashes: np.ndarray, radius: int) -> list[_Band]:
    """The bands that promise the least work; one band without bits compares all with all.

    Bits that are the same in all hashes tell nothing and are in no band; the others are dealt
    so that every band has its share of those that tell much.
    """
    if radius == 0 or len(hashes) < 2:
        return []
    ones = np.array([np.count_nonzero(hashes & np.uint64(1 << bit)) for bit in range(_BITS)])
    telling = np.minimum(ones, len(hashes) - ones)
    bits = [int(bit) for bit in np.argsort(-telling, kind="stable") if telling[bit]]
    plans = [[_Band((), radius)]]
    for count in range(1, min(radius + 1, len(bits)) + 1):
        # Hashes that differ in more than their radius in every band differ in all in
        # sum(radii + 1) bits at least, which is radius + 1.
        share, rest = divmod(radius + 1, count)
        radii = [share - (band >= rest) for band in range(count)]
        for length in range(1, -(-len(bits) // count) + 1):
            dealt = [tuple(bits[band::count][:length]) for band in range(count)]
            plans.append([_Band(*band) for band in zip(dealt, radii, strict=True)])
    return min(plans, key=lambda plan: sum(_cost(band, len(hashes)) for band in plan))


def _cost(band: _Band, hashes: int) -> float:
    """Seconds that a search of the band takes, about."""
    keys = 2.0 ** len(band.bits)
    cells = hashes / _WIDTH + min(keys, hashes) / 2
    flips = sum(comb(len(band.bits), count) for count in range(band.radius + 1))
    return keys * 1e-8 + flips * (cells * cells / keys * 6e-8 + cells * 1e-8 + 5e-5)


def _close_pairs(hashes: np.ndarray, radius: int, places: np.ndarray) -> list[np.ndarray]:
    """All close pairs of hashes that all differ, as arrays (2, m) of ``places``, lower first."""
    bands = _plan(hashes, radius)
    found: list[np.ndarray] = []
    stop = threading.Event()
    pool = ThreadPoolExecutor(len(usable_cores()))
    try:
        for number, band in enumerate(bands):
            cells = _Cells.of(hashes, places, band)
            compare = partial(_compare, cells, radius, bands[:number])
            search = partial(_search, cells, band, compare, stop)
            found += pool.map(search, range(0, len(cells.keys), _BLOCK))
    finally:  # at Ctrl-C there is more to do
        stop.set()
        pool.shutdown(cancel_futures=True)
    return found


@dataclass(frozen=True)
class _Cells:
    """Hashes in groups of ``_WIDTH`` that have the same key in a band."""

    keys: np.ndarray  # int64 (cells,), ascending
    starts: np.ndarray  # int64 (keys + 1,), the first cell of each key
    places: np.ndarray  # int64 (_WIDTH, cells), of the hashes; -1 where the cell has no more
    hashes: np.ndarray  # uint64 (_WIDTH, cells)

    @classmethod
    def of(cls, hashes: np.ndarray, places: np.ndarray, band: _Band) -> _Cells:
        key_of = np.zeros(len(hashes), np.int64)
        for place, bit in enumerate(band.bits):
            key_of |= (hashes >> np.uint64(bit) & np.uint64(1)).astype(np.int64) << place
        order = np.argsort(key_of, kind="stable")
        counts = np.bincount(key_of, minlength=1 << len(band.bits))
        ends = np.cumsum(counts)
        starts = _starts(-(-counts // _WIDTH))
        keys = np.repeat(np.arange(len(counts)), np.diff(starts))
        within = np.arange(len(keys)) - starts[keys]
        nth = (ends - counts)[keys] + within * _WIDTH + np.arange(_WIDTH)[:, None]
        last = ends[keys] - 1
        chosen = order[np.minimum(nth, last)]
        return cls(keys, starts, np.where(nth > last, -1, places[chosen]), hashes[chosen])


def _starts(counts: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)])


def _search(
    cells: _Cells, band: _Band, compare: partial[np.ndarray], stop: threading.Event, low: int
) -> np.ndarray:
    """Close pairs whose lower key is in ``_BLOCK`` cells from ``low`` on; (2, m)."""
    found = [np.empty((2, 0), np.int64)]
    keys = cells.keys[low : low + _BLOCK]
    for flip in band.flips():
        partners = keys ^ flip
        if flip:
            rows = np.flatnonzero(keys < partners)
            begin = cells.starts[partners[rows]]
        else:
            rows = np.arange(len(keys))
            begin = low + rows  # the later cells with the same key, and itself
        ends = cells.starts[partners[rows] + 1]
        for left, right in _each_with_each(low + rows, begin, ends):
            if stop.is_set():
                return found[0]
            found.append(compare(left, right))
    return np.concatenate(found, axis=1)


def _each_with_each(
    rows: np.ndarray, begin: np.ndarray, ends: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each row with every number from its begin to its end, ``_CHUNK`` at a time."""
    starts = _starts(ends - begin)
    for low in range(0, starts[-1], _CHUNK):
        high = min(low + _CHUNK, starts[-1])
        first, last = np.searchsorted(starts, [low, high - 1], side="right") - 1
        part = slice(first, last + 1)
        times = np.minimum(starts[first + 1 : last + 2], high) - np.maximum(starts[part], low)
        ahead = np.repeat(begin[part] - starts[part], times)
        yield np.repeat(rows[part], times), ahead + np.arange(low, high)


def _compare(
    cells: _Cells, radius: int, earlier: list[_Band], left: np.ndarray, right: np.ndarray
) -> np.ndarray:
    """Close pairs of cells ``left`` with those of cells ``right``; (2, m).

    Less those that the search of an earlier band has found.
    """
    # Cells are the last axis: the inner loop is long, and NumPy does several at once.
    a, b = cells.hashes.take(left, axis=1), cells.hashes.take(right, axis=1)
    differing = a[:, None] ^ b
    hits = np.flatnonzero(np.bitwise_count(differing) <= radius)
    differing = differing.reshape(-1)[hits]
    new = differing != 0
    for band in earlier:
        mask = np.uint64(sum(1 << bit for bit in band.bits))
        new &= np.bitwise_count(differing & mask) > band.radius
    slots, pair = np.divmod(hits[new], len(left))
    i = cells.places[slots // _WIDTH, left[pair]]
    j = cells.places[slots % _WIDTH, right[pair]]
    # Within one cell each pair is seen twice.
    real = (i >= 0) & (j >= 0) & ((left != right)[pair] | (i < j))
    return np.stack([np.minimum(i, j)[real], np.maximum(i, j)[real]])
