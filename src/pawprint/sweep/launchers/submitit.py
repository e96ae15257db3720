"""``hydra/launcher=submitit``: trials as jobs of a SLURM cluster."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Any

import submitit

from pawprint.sweep.launchers.base import Launcher, run_trial
from pawprint.sweep.planner import check_at_least
from pawprint.system.errors import UserError, first_line
from pawprint.training.trial import FAILED, Outcome, Trial

CLUSTERS = ("slurm", "local")
POLL = 0.2  # seconds; submitit itself asks SLURM less often


class SubmititJobs(Launcher[submitit.Job[Outcome]]):
    """A job per trial.

    Args:
        cluster: slurm, or local for processes of this machine.
        jobs: how many at once.
        options: submitit's parameters, as ``timeout_min`` or ``slurm_partition``.

    Raises:
        UserError: there is no such cluster here, or submitit does not know a parameter.
    """

    def __init__(self, cluster: str, jobs: int, **options: Any) -> None:
        check_at_least(1, "hydra.launcher.jobs", jobs)
        if cluster not in CLUSTERS:
            raise UserError(
                f"hydra.launcher.cluster is {cluster}, but must be one of {', '.join(CLUSTERS)}; "
                "change it"
            )
        super().__init__(jobs)
        self._cluster, self._options = cluster, options

    def close(self) -> None:
        """Nothing is held."""

    def _submit(self, trial: Trial) -> submitit.Job[Outcome]:
        """Its job's own files go beside the trial's log."""
        try:
            executor = submitit.AutoExecutor(trial.folder / "job", cluster=self._cluster)
            executor.update_parameters(name=f"pawprint-{trial.number}", **self._options)
            return executor.submit(run_trial, trial, own_process=True)
        except (RuntimeError, NameError, ValueError, FileNotFoundError) as error:
            words = " ".join(str(error).split())
            raise UserError(
                f"hydra/launcher=submitit cannot submit to {self._cluster} ({words}); see "
                "hydra.launcher, or set hydra.launcher.cluster=local"
            ) from None

    def _wait(
        self, jobs: Sequence[submitit.Job[Outcome]], timeout: float | None
    ) -> Sequence[submitit.Job[Outcome]]:
        until = None if timeout is None else time.monotonic() + timeout
        while not (ended := [job for job in jobs if job.done()]):
            if until is not None and time.monotonic() >= until:
                break
            time.sleep(POLL)
        return ended

    def _outcome(self, job: submitit.Job[Outcome]) -> Outcome:
        try:
            return job.result()
        except Exception as error:  # noqa: BLE001 (it died, or its answer cannot be read)
            return Outcome(FAILED, sentence=f"its job died ({job.state}): {first_line(error)}")

    def _interrupt(self, job: submitit.Job[Outcome]) -> None:
        with contextlib.suppress(Exception):  # it may have ended
            job.cancel(check=False)
