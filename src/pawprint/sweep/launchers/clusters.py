"""``hydra/launcher=submitit`` and ``ray``: trials as jobs of a SLURM or tasks of a Ray cluster."""

import contextlib
import logging
import os
import time
from collections.abc import Sequence
from typing import Any

from pawprint.sweep.launchers.base import THREADS, Launcher, run_trial
from pawprint.sweep.planner import check_at_least
from pawprint.system.errors import UserError, first_line
from pawprint.training.trial import FAILED, Outcome, Trial

CLUSTERS = ("slurm", "local")
POLL = 0.2  # seconds; submitit itself asks SLURM less often


class SubmititJobs(Launcher[Any]):
    """A job per trial.

    Args:
        cluster: slurm, or local for processes of this machine.
        jobs: how many at once.
        options: submitit's parameters, as ``timeout_min`` or ``slurm_partition``.

    Raises:
        UserError: there is no such cluster here, or submitit does not know a parameter.
    """

    def __init__(self, cluster: str, jobs: int, **options: Any) -> None:
        import submitit

        check_at_least(1, "hydra.launcher.jobs", jobs)
        if cluster not in CLUSTERS:
            raise UserError(
                f"hydra.launcher.cluster is {cluster}, but must be one of {', '.join(CLUSTERS)}; "
                "change it"
            )
        super().__init__(jobs)
        self._executor, self._cluster, self._options = submitit.AutoExecutor, cluster, options

    def _submit(self, trial: Trial) -> Any:
        """Its job's own files go beside the trial's log."""
        try:
            executor = self._executor(trial.folder / "job", cluster=self._cluster)
            executor.update_parameters(name=f"pawprint-{trial.number}", **self._options)
            return executor.submit(run_trial, trial, own_process=True)
        except (RuntimeError, NameError, ValueError, FileNotFoundError) as error:
            words = " ".join(str(error).split())
            raise UserError(
                f"hydra/launcher=submitit cannot submit to {self._cluster} ({words}); see "
                "hydra.launcher, or set hydra.launcher.cluster=local"
            ) from None

    def _wait(self, jobs: Sequence[Any], timeout: float | None) -> Sequence[Any]:
        until = None if timeout is None else time.monotonic() + timeout
        while not (ended := [job for job in jobs if job.done()]):
            if until is not None and time.monotonic() >= until:
                break
            time.sleep(POLL)
        return ended

    def _outcome(self, job: Any) -> Outcome:
        try:
            return job.result()
        except Exception as error:  # noqa: BLE001 (it died, or its answer cannot be read)
            return Outcome(FAILED, sentence=f"its job died ({job.state}): {first_line(error)}")

    def _interrupt(self, job: Any) -> None:
        with contextlib.suppress(Exception):  # it may have ended
            job.cancel(check=False)


class RayTasks(Launcher[Any]):
    """A task per trial, as many at once as there is room for.

    Args:
        address: of the cluster, or None for one of this machine that ends with the sweep.
        num_cpus: cores of a trial.
        num_gpus: GPUs of a trial.

    Raises:
        UserError: the cluster does not answer, or has no room for a single trial.
    """

    def __init__(self, address: str | None, num_cpus: float, num_gpus: float) -> None:
        check_at_least(0, "hydra.launcher.num_cpus", num_cpus)
        check_at_least(0, "hydra.launcher.num_gpus", num_gpus)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else it tells its makers
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray  # which reads these variables

        self._ray = ray
        try:
            ray.init(
                address=address,
                include_dashboard=False if address is None else None,
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=False,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UserError(
                f"hydra.launcher.address is {address}, where no Ray cluster answers "
                f"({first_line(error)}); start one with `ray start --head`, or leave it out for "
                "one of this machine"
            ) from None
        resources = ray.cluster_resources()
        counts = [resources.get("CPU", 0) / num_cpus] if num_cpus else []
        counts += [resources.get("GPU", 0) / num_gpus] if num_gpus else []
        super().__init__(int(min(counts)) if counts else 1)
        if not self.count:
            ray.shutdown()
            raise UserError(
                f"a trial takes {num_cpus:g} cores and {num_gpus:g} GPUs, which the cluster does "
                "not have; lower hydra.launcher.num_cpus or num_gpus"
            )
        # A task that dies is a trial that failed: Ray must not repeat it by itself.
        self._task = ray.remote(num_cpus=num_cpus, num_gpus=num_gpus, max_retries=0)(_run)
        self._threads = max(1, int(num_cpus))

    def close(self) -> None:
        """Leave the cluster; one of this machine ends."""
        self._ray.shutdown()

    def _submit(self, trial: Trial) -> Any:
        return self._task.remote(trial, self._threads)

    def _wait(self, jobs: Sequence[Any], timeout: float | None) -> Sequence[Any]:
        return self._ray.wait(list(jobs), num_returns=1, timeout=timeout)[0]

    def _outcome(self, job: Any) -> Outcome:
        try:
            return self._ray.get(job)
        except self._ray.exceptions.RayError as error:
            what = f"{type(error).__name__}: {first_line(error)}"
            return Outcome(FAILED, sentence=f"its process was killed by the system ({what})")

    def _interrupt(self, job: Any) -> None:
        self._ray.cancel(job, force=False)


def _run(trial: Trial, threads: int) -> Outcome:
    """In a process of Ray's, which sets neither cores nor threads for TensorFlow."""
    for name in THREADS:
        os.environ.setdefault(name, str(threads))
    return run_trial(trial, own_process=True)
