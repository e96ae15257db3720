"""Where trials run: here, one after the other, or elsewhere, several at once."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Protocol

from pawprint.sweep.trial import Outcome, Trial, run_trial

Ended = list[tuple[Trial, Outcome]]


class Workers(Protocol):
    """What runs trials."""

    @property
    def count(self) -> int:
        """How many trials run at once."""
        ...

    def start(self, trial: Trial) -> None:
        """Begin a trial; never called for more than ``count`` at once."""
        ...

    def wait(self) -> Ended:
        """Trials that have ended since, at least one."""
        ...

    def stop(self) -> Ended:
        """Let the running trials mark themselves as killed, and end."""
        ...

    def close(self) -> None:
        """Give back what is held; nothing runs any more."""
        ...


class InProcess:
    """One trial after the other, in the sweep's own process."""

    count = 1

    def __init__(self) -> None:
        self._ended: Ended = []

    def start(self, trial: Trial) -> None:
        """Train; returns when the trial has ended."""
        self._ended.append((trial, run_trial(trial, apart=False)))

    def wait(self) -> Ended:
        """The trial that was started."""
        ended, self._ended = self._ended, []
        return ended

    def stop(self) -> Ended:
        """Nothing runs beside this."""
        return []

    def close(self) -> None:
        """Nothing is held."""


@contextlib.contextmanager
def closing(workers: Workers) -> Iterator[Workers]:
    """Close the workers at the end."""
    try:
        yield workers
    finally:
        workers.close()


def usable_cores() -> list[int]:
    """The numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
