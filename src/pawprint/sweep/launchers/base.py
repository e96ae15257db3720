"""What all launchers share, and the one that trains in the sweep's own process."""

import abc
import contextlib
import logging
import os
import socket
import sys
import time
import traceback
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from pawprint.stages.train import train_trial
from pawprint.system.errors import BusyError, UserError, first_line
from pawprint.training.trial import BUSY, FAILED, KILLED, Outcome, Trial

Ended = list[tuple[Trial, Outcome]]
Job = TypeVar("Job")

PATIENCE = 60.0  # seconds in which interrupted trials mark themselves
# Variables that say how many threads libraries start, read as they are imported.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")


class Launcher(abc.ABC, Generic[Job]):
    """Runs trials as jobs; a kind of launcher says what a job is.

    Args:
        count: how many trials run at once.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._running: list[tuple[Trial, Job]] = []

    def start(self, trial: Trial) -> None:
        """Begin a trial; never called for more than ``count`` at once."""
        self._running.append((trial, self._submit(trial)))

    def wait(self, timeout: float | None = None) -> Ended:
        """Trials that have ended since, at least one where no ``timeout`` (in seconds) is given."""
        ended = self._wait([job for _, job in self._running], timeout)
        pairs = [(trial, job) for trial, job in self._running if job in ended]
        self._running = [(trial, job) for trial, job in self._running if job not in ended]
        return [(trial, self._outcome(job)) for trial, job in pairs]

    def stop(self) -> Ended:
        """Interrupt the running trials, which mark themselves as killed."""
        for _, job in self._running:
            self._interrupt(job)
        ended: Ended = []
        until = time.monotonic() + PATIENCE
        while self._running and (left := until - time.monotonic()) > 0:
            ended += [(trial, _stopped(outcome)) for trial, outcome in self.wait(left)]
        return ended + [(trial, _stopped(None)) for trial, _ in self._running]

    def close(self) -> None:
        """Give back what is held, if anything, and end what still runs where that is ours."""

    @abc.abstractmethod
    def _submit(self, trial: Trial) -> Job: ...

    @abc.abstractmethod
    def _wait(self, jobs: Sequence[Job], timeout: float | None) -> Sequence[Job]:
        """Those of ``jobs`` that have ended, as soon as one has or the time is over."""

    @abc.abstractmethod
    def _outcome(self, job: Job) -> Outcome: ...

    @abc.abstractmethod
    def _interrupt(self, job: Job) -> None: ...


class InProcess(Launcher[Outcome]):
    """``hydra/launcher=basic``: one trial after the other, in the sweep's own process."""

    def __init__(self) -> None:
        super().__init__(1)

    def _submit(self, trial: Trial) -> Outcome:
        return run_trial(trial, own_process=False)

    def _wait(self, jobs: Sequence[Outcome], timeout: float | None) -> Sequence[Outcome]:
        del timeout  # they end before they are waited for
        return jobs

    def _outcome(self, job: Outcome) -> Outcome:
        return job

    def _interrupt(self, job: Outcome) -> None:
        """It has ended."""


def _stopped(outcome: Outcome | None) -> Outcome:
    """How a trial ended that was interrupted: by itself, before that, or by force."""
    if outcome is None or outcome.status == FAILED:
        return Outcome(KILLED, sentence="stopped")
    return outcome


def run_trial(trial: Trial, *, own_process: bool) -> Outcome:
    """Train in this process; whatever happens becomes an outcome.

    Args:
        trial: what to train.
        own_process: whether this process is not the sweep's; all that it writes goes into the log.

    Raises:
        KeyboardInterrupt: the sweep's own process is to stop.
    """
    if own_process:
        if not trial.project.is_dir():
            return Outcome(
                FAILED,
                sentence=f"the project's folder {trial.project} is not on {socket.gethostname()}; "
                "give all machines of the cluster the same folder",
            )
        os.chdir(trial.project)  # a cluster starts its processes in folders of its own
    try:
        trial.folder.mkdir(parents=True, exist_ok=True)
        trial.log.touch()
    except OSError as error:
        return Outcome(
            FAILED,
            sentence=f"{error.filename} cannot be made ({error.strerror}); set hydra.sweep.dir to "
            "a folder that can be written",
        )
    with _all_output_logged(trial.log) if own_process else _also_logged(trial.log):
        try:
            return train_trial(trial)
        except BusyError:
            return Outcome(BUSY)
        except UserError as error:
            _append(trial.log, f"error: {error}")
            return Outcome(FAILED, sentence=str(error))
        except KeyboardInterrupt:
            if not own_process:
                raise
            return Outcome(KILLED, sentence="stopped")
        except Exception as error:  # noqa: BLE001 (no fault of one trial may end the others)
            _append(trial.log, traceback.format_exc())
            return Outcome(FAILED, sentence=f"{type(error).__name__}: {first_line(error)}")


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{text.rstrip()}\n")


@contextlib.contextmanager
def _also_logged(path: Path) -> Generator[None, None, None]:
    """Write a trial's log beside what the terminal shows."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


@contextlib.contextmanager
def _all_output_logged(path: Path) -> Generator[None, None, None]:
    """Write all that this process says into a trial's log instead."""
    root = logging.getLogger()
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
