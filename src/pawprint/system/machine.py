"""What is of the machine itself: cores, memory, names; and processes that end with their parent."""

from __future__ import annotations

import ctypes
import ipaddress
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


def is_this_machine(host: str) -> bool:
    """Whether a name or address without a port leads to this machine and never to another.

    The names are those that RFC 6761 keeps for it: ``localhost`` and all that end in it.
    """
    name = host.lower().rstrip(".")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def end_with_parent() -> None:
    """Let this process, which multiprocessing started, end as soon as the one above does."""
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("this process was not started by multiprocessing")

    def wait_and_end() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait_and_end, daemon=True).start()
