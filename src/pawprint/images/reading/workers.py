"""Reading chunks of files on all cores."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import numpy as np

from pawprint.errors import UserError
from pawprint.images.reading.chunk import Chunk, read_chunk
from pawprint.machine import end_with_parent, usable_cores

_CHUNK = 64  # files a process takes at a time
_AHEAD = 3  # chunks for each core, so that decoded pictures do not pile up
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt
_LOOK = 2.0  # seconds between looks at whether all processes live
_FEW = 64  # files that are read sooner than processes are started


def on_all_cores(
    locations: list[str], image_size: int, resize: str, known: np.ndarray
) -> Iterator[Chunk]:
    """Read files in as many processes as there are cores, and yield chunks in their order.

    Forked processes, because half of the work on a small picture holds Python's lock; threads
    where a fork is not safe: beside other threads, which may hold locks, and on other systems than
    Linux.

    Args:
        locations: Where to open the files.
        image_size: Side of the square pictures in pixels.
        resize: "squash", "crop" or "pad".
        known: S32 (m,), sorted: contents that need no decoding.

    Raises:
        UserError: A process was killed, for lack of memory perhaps.
    """
    starts = range(0, len(locations), _CHUNK)
    cores = len(usable_cores())
    if len(locations) <= _FEW or cores == 1:
        for start in starts:
            yield read_chunk(locations[start : start + _CHUNK], image_size, resize, known)
        return
    if sys.platform == "linux" and threading.active_count() == 1:
        fork = multiprocessing.get_context("fork")
        pool: Executor = ProcessPoolExecutor(cores, fork, _begin)
    else:
        pool = ThreadPoolExecutor(cores)
    waiting: deque[Any] = deque()
    others = set(multiprocessing.active_children())
    try:
        for start in starts:
            some = locations[start : start + _CHUNK]
            waiting.append(pool.submit(read_chunk, some, image_size, resize, known))
            if len(waiting) >= _AHEAD * cores:
                yield _result(waiting.popleft(), pool, others)
        while waiting:
            yield _result(waiting.popleft(), pool, others)
    except BrokenProcessPool as error:
        raise UserError(
            "A process that decodes pictures was killed, perhaps because memory ran out: "
            "close other programs and run it again; what was read is kept."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _result(chunk: Any, pool: Executor, others: set[Any]) -> Chunk:
    """What a process has read; ``others`` are processes that are not the pool's.

    Raises:
        BrokenProcessPool: One was killed.
    """
    while True:
        done, _ = wait([chunk], timeout=_LOOK)
        if done:
            return chunk.result()
        workers = set(multiprocessing.active_children()) - others
        if isinstance(pool, ProcessPoolExecutor) and len(workers) < pool._max_workers:
            # Killed in the midst of its answer, whose rest the pool would wait for without end:
            # it ends where nobody can write any more.
            for worker in workers:
                worker.kill()
            pool._result_queue._writer.close()


def _begin() -> None:
    """Make a worker leave signals to the process above, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _keep_memory()
    end_with_parent()


def _keep_memory() -> None:
    """Tell glibc to keep what is freed: the next picture needs it again, a tenth sooner."""
    with contextlib.suppress(AttributeError, OSError):  # another C library
        malloc_options = ctypes.CDLL(None).mallopt
        for option in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
            malloc_options(option, 32 * 2**20)
