"""Trials as tasks of a Ray cluster."""

from __future__ import annotations

import os
from typing import Any

from pawprint.sweep.workers import PATIENCE, THREADS, Ended, run_trial, stopped
from pawprint.system.errors import UserError, first_line
from pawprint.training.trial import FAILED, Outcome, Trial


class Cluster:
    """A task per trial, as many at once as there is room for.

    Args:
        address: of the cluster, or None for one of this machine that ends with the sweep.
        cores: of a trial.
        gpus: of a trial.

    Raises:
        UserError: the cluster does not answer, or has no room for a single trial.
    """

    def __init__(self, address: str | None, cores: float, gpus: float) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else it tells its makers
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray

        self._ray = ray
        try:
            ray.init(
                address=address,
                include_dashboard=False if address is None else None,
                log_to_driver=False,
                logging_level="ERROR",
                configure_logging=False,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UserError(
                f"hydra.launcher.address is {address}, where no Ray cluster answers "
                f"({first_line(error)}); start one with `ray start --head`, or leave it out for "
                "one of this machine"
            ) from None
        there_is = ray.cluster_resources()
        rooms = [there_is.get("CPU", 0) / cores] if cores else []
        rooms += [there_is.get("GPU", 0) / gpus] if gpus else []
        self.count = int(min(rooms)) if rooms else 1
        if not self.count:
            ray.shutdown()
            raise UserError(
                f"a trial takes {cores:g} cores and {gpus:g} GPUs, which the cluster does not "
                "have; lower hydra.launcher.num_cpus or num_gpus"
            )
        # A task that dies is a trial that failed: Ray must not repeat it by itself.
        task = ray.remote(num_cpus=cores, num_gpus=gpus, max_retries=0)(_run)
        self._start = lambda trial: task.remote(trial, max(1, int(cores)))
        self._running: dict[Any, Trial] = {}

    def start(self, trial: Trial) -> None:
        """Hand the trial to the cluster."""
        self._running[self._start(trial)] = trial

    def wait(self) -> Ended:
        """Trials that have ended since, at least one."""
        done, _ = self._ray.wait(list(self._running), num_returns=1)
        return [(self._running.pop(one), self._outcome(one)) for one in done]

    def stop(self) -> Ended:
        """Interrupt the running trials, which mark themselves as killed."""
        for one in self._running:
            self._ray.cancel(one, force=False)
        running = list(self._running)
        if not running:
            return []
        done, late = self._ray.wait(running, num_returns=len(running), timeout=PATIENCE)
        ended = [(self._running[one], stopped(self._outcome(one))) for one in done]
        return ended + [(self._running[one], stopped()) for one in late]

    def close(self) -> None:
        """Leave the cluster; one of this machine ends."""
        self._ray.shutdown()

    def _outcome(self, one: Any) -> Outcome:
        try:
            return self._ray.get(one)
        except self._ray.exceptions.RayError as error:
            what = f"{type(error).__name__}: {first_line(error)}"
            return Outcome(FAILED, sentence=f"its process was killed by the system ({what})")


def _run(trial: Trial, cores: int) -> Outcome:
    """In a process of Ray's, which sets neither cores nor threads for TensorFlow."""
    for name in THREADS:
        os.environ.setdefault(name, str(cores))
    return run_trial(trial, apart=True)
