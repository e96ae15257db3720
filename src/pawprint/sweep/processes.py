"""Trials in processes of this machine, each with its share of the cores and GPUs."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from pawprint.sweep.workers import PATIENCE, THREADS, Ended, run_trial, stopped
from pawprint.system.machine import end_with_parent, usable_cores
from pawprint.training.trial import FAILED, Outcome, Trial


@dataclass
class _Slot:
    """A worker, its process, and what it does."""

    executor: ProcessPoolExecutor
    process: Any
    trial: Trial | None = None
    future: Future[Outcome] | None = None


class Processes:
    """``count`` processes that stay; one that dies takes its own trial along and no other.

    Args:
        count: how many; -1 for one per core.
    """

    def __init__(self, count: int) -> None:
        cores, gpus = usable_cores(), usable_gpus()
        self.count = len(cores) if count == -1 else count
        self._cores = [_share(cores, place, self.count) for place in range(self.count)]
        self._gpus = [_share(gpus, place, self.count) for place in range(self.count)]
        self._slots: list[_Slot | None] = [None] * self.count

    def start(self, trial: Trial) -> None:
        """Give the trial to an idle process."""
        place = next(i for i, s in enumerate(self._slots) if s is None or s.trial is None)
        slot = self._slots[place]
        if slot and not slot.process.is_alive():  # killed while it had nothing to do
            slot.executor.shutdown()
            slot = None
        slot = self._slots[place] = slot or self._open(place)
        slot.trial, slot.future = trial, slot.executor.submit(run_trial, trial, apart=True)

    def wait(self) -> Ended:
        """Trials that have ended since, at least one."""
        wait([s.future for s in self._slots if s and s.future], return_when=FIRST_COMPLETED)
        return self._collect()

    def stop(self) -> Ended:
        """Interrupt the running trials, which mark themselves as killed."""
        running = [slot for slot in self._slots if slot and slot.trial]
        for slot in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(slot.process.pid, signal.SIGINT)
        wait([slot.future for slot in running], timeout=PATIENCE)
        ended = [(trial, stopped(outcome)) for trial, outcome in self._collect()]
        return ended + [(slot.trial, stopped()) for slot in running if slot.trial]

    def close(self) -> None:
        """End the processes, also where one still trains."""
        for slot in self._slots:
            if slot:
                if slot.trial:
                    slot.process.kill()
                slot.executor.shutdown()

    def _open(self, place: int) -> _Slot:
        cores, gpus = self._cores[place], self._gpus[place]
        variables = dict.fromkeys(THREADS, str(len(cores)))
        if gpus:
            variables["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
        before = set(multiprocessing.active_children())
        executor = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _settle, (cores,))
        with _environment(variables):  # read by libraries as they are imported there
            executor.submit(os.getpid)  # which starts the process
        (process,) = set(multiprocessing.active_children()) - before
        return _Slot(executor, process)

    def _collect(self) -> Ended:
        ended: Ended = []
        for place, slot in enumerate(self._slots):
            if not (slot and slot.trial and slot.future and slot.future.done()):
                continue
            try:
                outcome = slot.future.result()
            except BrokenProcessPool:
                slot.executor.shutdown()  # whose thread learns the exit code
                outcome = Outcome(FAILED, sentence=_death(slot.process.exitcode))
                self._slots[place] = None
            ended.append((slot.trial, outcome))
            slot.trial = slot.future = None
        return ended


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def usable_gpus() -> list[str]:
    """The GPUs that trials may be given, as `CUDA_VISIBLE_DEVICES` names them."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name for name in given.split(",") if name and name != "-1"]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [str(i) for i, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU")]


def _share(things: list[Any], place: int, count: int) -> list[Any]:
    """The part of ``things`` for one of ``count``; where there are too few, one of them."""
    if not things:
        return []
    size = len(things) // count
    return things[place * size : (place + 1) * size] if size else [things[place % len(things)]]


def _settle(cores: list[int]) -> None:
    """Make a new process ready: its cores, no Ctrl-C that is not meant for it, no life alone."""
    os.setpgid(0, 0)  # the sweep tells its processes when to stop
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    end_with_parent()  # its trial is told by an unfinished run then


def _death(code: int | None) -> str:
    if code is not None and -code == signal.SIGKILL:
        return "its process was killed by the system (SIGKILL), probably for want of memory"
    if code is not None and code < 0:
        return f"its process died ({signal.Signals(-code).name})"
    return f"its process died (exit code {code})"
