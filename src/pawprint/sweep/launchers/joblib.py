"""``hydra/launcher=joblib``: trials in processes of this machine that share cores and GPUs."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple

from pawprint.sweep.launchers.base import THREADS, Launcher, run_trial
from pawprint.sweep.planner import check_at_least
from pawprint.system.machine import end_with_parent, usable_cores
from pawprint.training.trial import FAILED, Outcome, Trial


class _Worker(NamedTuple):
    """A process that stays, and the pool of one that it belongs to."""

    pool: ProcessPoolExecutor
    process: Any


class _Job(NamedTuple):
    """A trial in the worker of a place."""

    place: int
    worker: _Worker
    future: Future[Outcome]


class LocalProcesses(Launcher[_Job]):
    """``n_jobs`` processes that stay; one that dies takes its own trial along and no other.

    Args:
        n_jobs: how many; -1 for one per core.

    Raises:
        UserError: that is no number of processes.
    """

    def __init__(self, n_jobs: int) -> None:
        if n_jobs != -1:
            check_at_least(1, "hydra.launcher.n_jobs", n_jobs, ", or -1 for one per core")
        cores, gpus = usable_cores(), usable_gpus()
        super().__init__(len(cores) if n_jobs == -1 else n_jobs)
        self._cores = [_share(cores, place, self.count) for place in range(self.count)]
        self._gpus = [_share(gpus, place, self.count) for place in range(self.count)]
        self._workers: list[_Worker | None] = [None] * self.count

    def close(self) -> None:
        """End the processes, also where one still trains."""
        for _, job in self._running:
            job.worker.process.kill()
        for worker in self._workers:
            if worker:
                worker.pool.shutdown()

    def _submit(self, trial: Trial) -> _Job:
        """Give the trial to an idle process."""
        busy = {job.place for _, job in self._running}
        place = next(place for place in range(self.count) if place not in busy)
        worker = self._workers[place]
        if worker and not worker.process.is_alive():  # killed while it had nothing to do
            worker.pool.shutdown()
            worker = None
        worker = self._workers[place] = worker or self._open(place)
        return _Job(place, worker, worker.pool.submit(run_trial, trial, own_process=True))

    def _wait(self, jobs: Sequence[_Job], timeout: float | None) -> Sequence[_Job]:
        futures = [job.future for job in jobs]
        done, _ = wait(futures, timeout=timeout, return_when=FIRST_COMPLETED)
        return [job for job in jobs if job.future in done]

    def _outcome(self, job: _Job) -> Outcome:
        try:
            return job.future.result()
        except BrokenProcessPool:
            job.worker.pool.shutdown()  # whose thread learns the exit code
            self._workers[job.place] = None
            return Outcome(FAILED, sentence=_death(job.worker.process.exitcode))

    def _interrupt(self, job: _Job) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(job.worker.process.pid, signal.SIGINT)

    def _open(self, place: int) -> _Worker:
        cores, gpus = self._cores[place], self._gpus[place]
        variables = dict.fromkeys(THREADS, str(len(cores)))
        if gpus:
            variables["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
        before = set(multiprocessing.active_children())
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(1, context, initializer=_initialize, initargs=(cores,))
        own = dict(os.environ)
        os.environ.update(variables)  # read by libraries as they are imported there
        try:
            pool.submit(os.getpid)  # which starts the process
        finally:
            for name in variables:
                os.environ.pop(name)
            os.environ.update(own)
        (process,) = set(multiprocessing.active_children()) - before
        return _Worker(pool, process)


def usable_gpus() -> list[str]:
    """The GPUs that trials may be given, as `CUDA_VISIBLE_DEVICES` names them."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name for name in given.split(",") if name and name != "-1"]
    try:
        listed = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [str(i) for i, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU")]


def _share(things: list[Any], place: int, count: int) -> list[Any]:
    """The part of ``things`` for one of ``count``; where there are too few, one of them."""
    if not things:
        return []
    size = len(things) // count
    return things[place * size : (place + 1) * size] if size else [things[place % len(things)]]


def _initialize(cores: list[int]) -> None:
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
