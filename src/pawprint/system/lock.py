"""Letting one process at a time do something, by a lock file that stands for it."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from pawprint.system.errors import BusyError

log = logging.getLogger(__name__)

_QUIET_SECONDS = 5.0


@contextmanager
def locked(path: Path, *, busy: str, patience: float | None = 0) -> Generator[None]:
    """Let one process at a time into the block; the system frees the lock of one that is killed.

    Args:
        path: the lock file; made, with its folder, and left there.
        busy: what is said where another process has the lock: in the error, and in the log where
            this one waits as long as it takes, or for more than five seconds.
        patience: for how many seconds to wait, None for as long as it takes. Defaults to 0.

    Raises:
        BusyError: another process still has the lock after ``patience``.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    quiet = min(patience or 0, _QUIET_SECONDS)
    try:
        try:
            held = lock.acquire(timeout=quiet)
        except Timeout:
            if patience == quiet:
                raise
            log.info("%s", busy)
            held = lock.acquire(timeout=-1 if patience is None else patience - quiet)
    except Timeout:
        raise BusyError(busy) from None
    with held:
        yield
