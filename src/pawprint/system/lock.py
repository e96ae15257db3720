"""Letting one process at a time do something, by a lock file that stands for it."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from pawprint.system.errors import BusyError

log = logging.getLogger(__name__)


@contextmanager
def locked(path: Path, *, busy: str, patience: float | None = 0) -> Generator[None]:
    """Let one process at a time into the block; the system frees the lock of one that is killed.

    Args:
        path: the lock file; made, with its folder, and left there.
        busy: what is said where another process has the lock: in the error, or in the log where
            this one waits as long as it takes; nothing is logged where it is empty.
        patience: for how many seconds to wait, None for as long as it takes. Defaults to 0.

    Raises:
        BusyError: another process still has the lock after ``patience``.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        held = lock.acquire(timeout=patience or 0)
    except Timeout:
        if patience is not None:
            raise BusyError(busy) from None
        if busy:
            log.info("%s", busy)
        held = lock.acquire()
    with held:
        yield
