"""The trials of sweeps as a store has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pawprint.sweep.trial import AXES_TAG, FINISHED, OVERRIDES_TAG, PRUNED_TAG, TRIAL_TAG
from pawprint.tracking.run import Run

if TYPE_CHECKING:
    from pawprint.tracking.store import Store

SWEEP_TAG = "sweep"
FRESH_TAG = "fresh"
ERROR_TAG = "error"
LAST = "trial_seconds"  # recorded when all else is
MOST = 50_000


@dataclass(frozen=True)
class TrialRun:
    """A trial's run.

    Attributes:
        id: of the run.
        name: of the run.
        identity: what the trial is known by.
        parent: id of the sweep's run.
        status: as MLflow has it.
        figures: the last value of each metric.
        axes: its settings along the sweep's axes.
        overrides: all its settings.
        parameters: what it was trained with.
        pruned: whether it ended early.
        error: what went wrong.
    """

    id: str
    name: str
    identity: str
    parent: str
    status: str
    figures: Mapping[str, float]
    axes: Mapping[str, str]
    overrides: list[str]
    parameters: Mapping[str, str]
    pruned: bool
    error: str

    @property
    def done(self) -> bool:
        """Whether it need not run again."""
        return LAST in self.figures and self.status in (FINISHED, "RUNNING")

    @property
    def words(self) -> str:
        """How it ended, for a table."""
        if self.done:
            return "pruned" if self.pruned else "finished"
        return {"FAILED": "failed", "KILLED": "stopped"}.get(self.status, "unfinished")


def find_sweep(store: Store, identity: str) -> Run | None:
    """The latest run of the sweep that is known by ``identity``."""
    found = store.client.search_runs(
        [store.experiment_id],
        f"tags.{SWEEP_TAG} = '{identity}'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    return Run(store.client, store.uri, found[0].info.run_id) if found else None


def trial_runs(store: Store) -> list[TrialRun]:
    """The runs of all trials of the experiment, oldest first."""
    runs: list[Any] = []
    token = None
    while True:
        page = store.client.search_runs(
            [store.experiment_id],
            f"tags.{TRIAL_TAG} LIKE '%'",
            order_by=["attributes.start_time ASC"],
            max_results=1000,
            page_token=token,
        )
        runs += page
        token = page.token
        if not token:
            return [_trial_run(run) for run in runs]


def end_trial(store: Store, run_id: str, status: str, error: str = "") -> None:
    """Give a trial's run the end that it could not give itself."""
    run = Run(store.client, store.uri, run_id)
    if error:
        run.set_tags({ERROR_TAG: error[:5000]})
    run.finish(status)


def _trial_run(run: Any) -> TrialRun:
    tags = run.data.tags
    return TrialRun(
        run.info.run_id,
        run.info.run_name,
        tags[TRIAL_TAG],
        tags.get("mlflow.parentRunId", ""),
        run.info.status,
        run.data.metrics,
        json.loads(tags.get(AXES_TAG, "{}")),
        json.loads(tags.get(OVERRIDES_TAG, "[]")),
        run.data.params,
        PRUNED_TAG in tags,
        tags.get(ERROR_TAG, ""),
    )
