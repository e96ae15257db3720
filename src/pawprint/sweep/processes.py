"""Trials in processes of this machine, each with its share of the cores and GPUs."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import Any

from joblib.externals.loky.process_executor import BrokenProcessPool, ProcessPoolExecutor

from pawprint.sweep.trial import FAILED, KILLED, Outcome, Trial, run_trial
from pawprint.sweep.workers import Ended, forget_training, usable_cores

PATIENCE = 60.0  # seconds in which stopped trials mark themselves


@dataclass
class _Slot:
    """A worker, its process, and what it does."""

    executor: ProcessPoolExecutor
    pid: int
    trial: Trial | None = None
    future: Any = None


class Processes:
    """``count`` processes that stay; one that dies takes its own trial along and no other.

    Args:
        count: how many; -1 for one per core.
    """

    def __init__(self, count: int) -> None:
        cores = usable_cores()
        self.count = len(cores) if count == -1 else count
        self._shares = [_share(cores, place, self.count) for place in range(self.count)]
        self._gpus = [_share(usable_gpus(), place, self.count) for place in range(self.count)]
        self._slots: list[_Slot | None] = [None] * self.count

    def start(self, trial: Trial) -> None:
        """Give the trial to an idle process."""
        place = next(i for i, s in enumerate(self._slots) if s is None or s.trial is None)
        slot = self._slots[place] or self._open(place)
        slot.trial, slot.future = trial, slot.executor.submit(_run, trial)
        self._slots[place] = slot

    def wait(self) -> Ended:
        """Trials that have ended since, at least one."""
        running = [slot.future for slot in self._slots if slot and slot.trial]
        concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
        return self._collect()

    def stop(self) -> Ended:
        """Interrupt the running trials, which mark themselves as killed."""
        running = [slot for slot in self._slots if slot and slot.trial]
        for slot in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(slot.pid, signal.SIGINT)
        concurrent.futures.wait([slot.future for slot in running], timeout=PATIENCE)
        ended = self._collect()
        late = [slot.trial for slot in running if slot.trial]
        return ended + [(trial, Outcome(KILLED, sentence="stopped")) for trial in late]

    def close(self) -> None:
        """End the processes."""
        for slot in self._slots:
            if slot:
                slot.executor.shutdown(wait=True, kill_workers=True)

    def _open(self, place: int) -> _Slot:
        cores = self._shares[place]
        # Read by the libraries as they are imported there.
        threads = str(len(cores))
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
        environment = dict.fromkeys(names, threads)
        if self._gpus[place]:
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(self._gpus[place])
        executor = ProcessPoolExecutor(
            1, initializer=_settle, initargs=(cores, os.getpid()), env=environment
        )
        return _Slot(executor, executor.submit(os.getpid).result())

    def _collect(self) -> Ended:
        ended: Ended = []
        for place, slot in enumerate(self._slots):
            if not (slot and slot.trial and slot.future.done()):
                continue
            try:
                outcome = slot.future.result()
            except BrokenProcessPool as error:
                outcome = Outcome(FAILED, sentence=_death(str(error)))
                slot.executor.shutdown(wait=False, kill_workers=True)
                self._slots[place] = None
            ended.append((slot.trial, outcome))
            slot.trial = slot.future = None
        return ended


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


def _settle(cores: list[int], parent: int) -> None:
    """Make a new process ready: its cores, no Ctrl-C that is not meant for it, no life alone."""
    os.setpgid(0, 0)  # the sweep tells its processes when to stop
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)  # the sweep was killed: its trials are told by their unfinished runs


def _run(trial: Trial) -> Outcome:
    outcome = run_trial(trial, apart=True)
    forget_training()
    return outcome


def _death(words: str) -> str:
    found = re.search(r"SIG[A-Z]+", words)
    if found and found[0] == "SIGKILL":
        return "its process was killed by the system (SIGKILL), probably for want of memory"
    return f"its process died ({found[0]})" if found else "its process died"
