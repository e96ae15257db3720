"""Where trials run: here, one after the other, or elsewhere, several at once."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from pawprint.stages.train import train_trial
from pawprint.system.errors import BusyError, UserError, first_line
from pawprint.training.trial import BUSY, FAILED, KILLED, Outcome, Trial

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


def run_trial(trial: Trial, *, apart: bool) -> Outcome:
    """Train in this process; whatever happens becomes an outcome.

    Args:
        trial: what to train.
        apart: whether this process is not the sweep's own; all that it writes goes into the log.

    Raises:
        KeyboardInterrupt: the sweep's own process is asked to stop.
    """
    try:
        trial.folder.mkdir(parents=True, exist_ok=True)
        trial.log.touch()
    except OSError as error:
        return Outcome(
            FAILED,
            sentence=f"{error.filename} cannot be made ({error.strerror}); set hydra.sweep.dir to "
            "a folder that can be written",
        )
    with _logged(trial.log, apart):
        try:
            return train_trial(trial)
        except BusyError:
            return Outcome(BUSY)
        except UserError as error:
            _note(trial, f"error: {error}")
            return Outcome(FAILED, sentence=str(error))
        except KeyboardInterrupt:
            if not apart:
                raise
            return Outcome(KILLED, sentence="stopped")
        except Exception as error:
            _note(trial, traceback.format_exc())
            return Outcome(FAILED, sentence=f"{type(error).__name__}: {first_line(error)}")


def _note(trial: Trial, words: str) -> None:
    with trial.log.open("a", encoding="utf-8") as file:
        file.write(f"{words.rstrip()}\n")


@contextlib.contextmanager
def _logged(path: Path, apart: bool) -> Iterator[None]:
    """Write a trial's log: beside what the terminal shows, or all of it instead."""
    root = logging.getLogger()
    if not apart:
        handler = logging.FileHandler(path, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        root.addHandler(handler)
        try:
            yield
        finally:
            root.removeHandler(handler)
            handler.close()
        return
    level, handlers = root.level, root.handlers[:]
    kept = os.dup(1), os.dup(2)
    sys.stdout.flush(), sys.stderr.flush()
    with path.open("ab", buffering=0) as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    root.handlers[:], root.level = [handler], logging.INFO
    try:
        yield
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        root.handlers[:], root.level = handlers, level
        for stream, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, stream)
            os.close(copy)
