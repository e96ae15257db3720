"""What is of the machine and its processes: cores, memory, names, signals, ends."""

import contextlib
import ctypes
import ipaddress
import multiprocessing
import os
import signal
import threading
from collections.abc import Generator
from typing import Any


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


@contextlib.contextmanager
def undisturbed() -> Generator[None]:
    """Let Ctrl-C and SIGTERM wait for the end of the block; a second one does not wait.

    For what others' code would turn into failures of another kind in its midst.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def note(number: int, _: Any) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)

    before = {one: signal.signal(one, note) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, signal.SIG_DFL if handler is None else handler)
        if came:
            signal.raise_signal(came[0])
