"""Where trials run: here, one after the other, or elsewhere, several at once."""

from __future__ import annotations

from typing import Protocol

from pawprint.training.trial import FAILED, KILLED, Outcome, Trial, run_trial

Ended = list[tuple[Trial, Outcome]]

PATIENCE = 60.0  # seconds in which stopped trials mark themselves
# Variables that say how many threads libraries start, read as they are imported.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")


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


def stopped(outcome: Outcome | None = None) -> Outcome:
    """How a trial ended that was told to stop: by itself, before, or by force."""
    ended = outcome is not None and outcome.status != FAILED
    return outcome if ended else Outcome(KILLED, sentence="stopped")
