"""How long the search for close hashes takes, beside a comparison of all with all.

    python benchmarks/neighbours.py --counts 10000 100000 1000000 2000000

Expected on 2 cores: half a second for 100,000 hashes, 12 seconds for 1,000,000, half a minute for
2,000,000; time grows with the power 1.5 of the count, and all planted pairs are found.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from pawprint.data.copies.neighbours import near_pairs

COMPARED = 20_000_000  # pairs in the slice that a comparison of all with all is timed on


@dataclass(frozen=True)
class Measured:
    """One search."""

    count: int
    found: int
    planted: int
    planted_found: int
    seconds: float
    megabytes: float
    brute_seconds: float


def measured(count: int, radius: int, seed: int) -> Measured:
    """Search random hashes, a hundredth of them near another; in a process of its own."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, count, dtype=np.uint64)
    planted = rng.permutation(count)[: max(1, count // 100) * 2].reshape(-1, 2)
    for original, copy in planted:
        flipped = rng.permutation(64)[: rng.integers(1, radius + 1)]
        hashes[copy] = hashes[original] ^ np.uint64(sum(1 << int(bit) for bit in flipped))
    before = _megabytes()
    start = time.perf_counter()
    pairs = near_pairs(hashes, radius)
    seconds = time.perf_counter() - start
    megabytes = _megabytes() - before
    planted.sort(axis=1)
    there = np.isin(planted @ [count, 1], pairs @ [count, 1]).sum()
    brute = _brute_seconds(hashes, radius)
    return Measured(count, len(pairs), len(planted), int(there), seconds, megabytes, brute)


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _brute_seconds(hashes: np.ndarray, radius: int) -> float:
    """What comparing all with all would take in one thread, from a slice of it."""
    block, rows = hashes[:50_000], max(1, COMPARED // min(len(hashes), 50_000))
    start = time.perf_counter()
    for one in hashes[:rows]:
        np.flatnonzero(np.bitwise_count(one ^ block) <= radius)
    slice_seconds = time.perf_counter() - start
    return slice_seconds * len(hashes) ** 2 / 2 / (min(rows, len(hashes)) * len(block))


def main() -> None:
    """Run it and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--radius", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print("| hashes | pairs | planted found | seconds | MB | all with all, seconds | growth |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    spawned = multiprocessing.get_context("spawn")
    earlier = None
    with ProcessPoolExecutor(1, mp_context=spawned, max_tasks_per_child=1) as alone:
        for count in given.counts:
            now = alone.submit(measured, count, given.radius, given.seed).result()
            growth = ""
            if earlier:
                power = math.log(now.seconds / earlier.seconds, now.count / earlier.count)
                growth = f"n^{power:.2f}"
            print(
                f"| {count:,} | {now.found:,} | {now.planted_found:,} of {now.planted:,} "
                f"| {now.seconds:.2f} | {now.megabytes:.0f} | {now.brute_seconds:.2f} "
                f"| {growth} |",
                flush=True,
            )
            earlier = now


if __name__ == "__main__":
    main()
