"""Reading files on all cores."""

import contextlib
import ctypes
import itertools
import multiprocessing
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from pawprint.system.errors import UserError
from pawprint.system.machine import end_with_parent, usable_cores

_AHEAD = 3  # parts for each core, so that decoded pictures do not pile up
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt
_LOOK = 2.0  # seconds between looks at whether all processes live

Part = TypeVar("Part")
Result = TypeVar("Result")


def on_all_cores(work: Callable[[Part], Result], parts: Iterable[Part]) -> Iterator[Result]:
    """Call ``work`` in as many processes as there are cores; yield its results in their order.

    Forked processes, because half of the work on a small picture holds Python's lock; threads
    where a fork is not safe: beside other threads, which may hold locks, and on other systems than
    Linux. One part alone is done in this process.

    Args:
        work: what is to be done, with a name by which another process finds it.
        parts: what to call it with, such as some files; taken as they are needed.

    Raises:
        UserError: a process was killed, for lack of memory perhaps.
    """
    parts = iter(parts)
    first = list(itertools.islice(parts, 2))
    parts = itertools.chain(first, parts)
    cores = len(usable_cores())
    if len(first) < 2 or cores == 1:
        yield from map(work, parts)
        return
    pool: Executor
    if may_fork():
        fork = multiprocessing.get_context("fork")
        pool = ProcessPoolExecutor(cores, fork, _begin)
    else:
        pool = ThreadPoolExecutor(cores)
    waiting: deque[Any] = deque()
    others = set(multiprocessing.active_children())
    try:
        for part in parts:
            waiting.append(pool.submit(work, part))
            if len(waiting) >= _AHEAD * cores:
                yield _result(waiting.popleft(), pool, cores, others)
        while waiting:
            yield _result(waiting.popleft(), pool, cores, others)
    except BrokenProcessPool as error:
        raise UserError(
            "a process that decodes pictures was killed, perhaps because memory ran out: "
            "close other programs and run it again; what was read is kept"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def may_fork() -> bool:
    """Whether ``on_all_cores`` calls its work in forked processes, and not in threads of this."""
    return sys.platform == "linux" and threading.active_count() == 1


def _result(part: Any, pool: Executor, cores: int, others: set[Any]) -> Any:
    """What a process has read; ``others`` are processes that are not the pool's."""
    while True:
        done, _ = wait([part], timeout=_LOOK)
        if done:
            return part.result()
        workers = set(multiprocessing.active_children()) - others
        if isinstance(pool, ProcessPoolExecutor) and len(workers) < cores:
            # Killed in the midst of its answer, whose rest the pool would wait for without end:
            # it ends where nobody can write any more.
            for worker in workers:
                worker.kill()
            # There is no public way to say so.
            pool._result_queue._writer.close()  # type: ignore[attr-defined]  # noqa: SLF001


def _begin() -> None:
    """Make a worker leave signals to the process above, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with contextlib.suppress(AttributeError, OSError):  # another C library than glibc
        malloc_options = ctypes.CDLL(None).mallopt
        for option in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):  # keep what is freed: a tenth sooner
            malloc_options(option, 32 * 2**20)
    end_with_parent()
