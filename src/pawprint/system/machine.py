"""The cores and the memory of this machine, and processes that end with their parent."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import threading


def usable_cores() -> list[int]:
    """The numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def give_back_memory() -> None:
    """Give the system back what was freed; where glibc is, which else keeps it for later."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def end_with_parent() -> None:
    """Let this process, which multiprocessing started, end as soon as the one above does."""
    threading.Thread(target=_wait_and_end, daemon=True).start()


def _wait_and_end() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
