"""Trials as jobs of a SLURM cluster, by submitit."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import Any

import submitit

from pawprint.sweep.workers import PATIENCE, Ended, run_trial, stopped
from pawprint.system.errors import UserError, first_line
from pawprint.training.trial import FAILED, Outcome, Trial

CLUSTERS = ("slurm", "local")
POLL = 0.2  # seconds; submitit itself asks SLURM less often


class Jobs:
    """A job per trial.

    Args:
        cluster: slurm, or local for processes of this machine.
        count: how many jobs at once.
        options: submitit's parameters.

    Raises:
        UserError: there is no such cluster here, or submitit does not know a parameter.
    """

    def __init__(self, cluster: str, count: int, options: Mapping[str, Any]) -> None:
        if cluster not in CLUSTERS:
            raise UserError(
                f"hydra.launcher.cluster is {cluster}, but must be one of {', '.join(CLUSTERS)}; "
                "change it"
            )
        self.count = count
        self._cluster, self._options = cluster, dict(options)
        self._running: list[tuple[Trial, Any]] = []

    def start(self, trial: Trial) -> None:
        """Submit the trial; its job's own files go beside its log."""
        try:
            executor = submitit.AutoExecutor(trial.folder / "job", cluster=self._cluster)
            executor.update_parameters(name=f"pawprint-{trial.number}", **self._options)
            job = executor.submit(run_trial, trial, apart=True)
        except (RuntimeError, NameError, ValueError, FileNotFoundError) as error:
            words = " ".join(str(error).split())
            raise UserError(
                f"hydra/launcher=submitit cannot submit to {self._cluster} ({words}); see "
                "hydra.launcher, or set hydra.launcher.cluster=local"
            ) from None
        self._running.append((trial, job))

    def wait(self) -> Ended:
        """Trials whose jobs have ended since, at least one."""
        while not (ended := self._collect()):
            time.sleep(POLL)
        return ended

    def stop(self) -> Ended:
        """Cancel the running jobs."""
        for _, job in self._running:
            with contextlib.suppress(Exception):  # it may have ended
                job.cancel(check=False)
        until = time.monotonic() + PATIENCE
        ended: Ended = []
        while self._running and time.monotonic() < until:
            ended += [(trial, stopped(outcome)) for trial, outcome in self._collect()]
            time.sleep(POLL)
        return ended + [(trial, stopped()) for trial, _ in self._running]

    def close(self) -> None:
        """Nothing is held."""

    def _collect(self) -> Ended:
        ended: Ended = []
        for trial, job in self._running[:]:
            if job.done():
                self._running.remove((trial, job))
                ended.append((trial, _outcome(job)))
        return ended


def _outcome(job: Any) -> Outcome:
    try:
        return job.result()
    except Exception as error:  # the job died, or its answer cannot be read
        return Outcome(FAILED, sentence=f"its job died ({job.state}): {first_line(error)}")
