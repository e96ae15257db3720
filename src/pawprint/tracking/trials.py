"""The trials of sweeps as a store has them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pawprint.tracking.names import AXES_TAG, ERROR_TAG, OVERRIDES_TAG, PRUNED_TAG, TRIAL_TAG
from pawprint.tracking.run import Run
from pawprint.tracking.store import Store

SWEEP_TAG, FRESH_TAG, SAME_TAG = "sweep", "fresh", "same_as"
_LAST_METRIC = "trial_seconds"  # recorded when all else is


@dataclass(frozen=True)
class TrialRun:
    """A trial's run.

    Attributes:
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
        return _LAST_METRIC in self.figures and self.status in ("FINISHED", "RUNNING")

    @property
    def words(self) -> str:
        """How it ended, for a table."""
        if self.done:
            return "pruned" if self.pruned else "finished"
        return {"FAILED": "failed", "KILLED": "stopped"}.get(self.status, "not run")


def find_sweep(store: Store, identity: str) -> Run | None:
    """The latest run of the sweep that is known by ``identity``."""
    found = next(store.search(f"tags.{SWEEP_TAG} = '{identity}'"), None)
    return store.run(found.info.run_id) if found else None


def trial_runs(store: Store, identity: str | None = None) -> list[TrialRun]:
    """The runs of all trials of the experiment, or of one of them, oldest first."""
    query = "LIKE '%'" if identity is None else f"= '{identity}'"
    return [
        TrialRun(
            id=run.info.run_id,
            name=run.info.run_name,
            identity=run.data.tags[TRIAL_TAG],
            parent=run.data.tags.get("mlflow.parentRunId", ""),
            status=run.info.status,
            figures=run.data.metrics,
            axes=json.loads(run.data.tags.get(AXES_TAG, "{}")),
            overrides=json.loads(run.data.tags.get(OVERRIDES_TAG, "[]")),
            parameters=run.data.params,
            pruned=PRUNED_TAG in run.data.tags,
            error=run.data.tags.get(ERROR_TAG, ""),
        )
        for run in store.search(f"tags.{TRIAL_TAG} {query}", order="ASC")
    ]


def show_again(store: Store, trial: TrialRun, parent: str) -> None:
    """Let a trial of another sweep stand under this one too, as a run that refers to it.

    Args:
        store: that has both.
        trial: with the name and axes that it has here.
        parent: id of the run of the sweep that did not need to run it.
    """
    query = f"tags.mlflow.parentRunId = '{parent}' and tags.{SAME_TAG} = '{trial.id}'"
    if next(store.search(query), None) is not None:
        return
    run = store.open_run(trial.name, parent=parent)
    tags = {
        SAME_TAG: trial.id,
        AXES_TAG: json.dumps(dict(trial.axes)),
        OVERRIDES_TAG: json.dumps(trial.overrides),
        "mlflow.note.content": f"Trained in another sweep, as run `{trial.id}`.",
    }
    run.set_tags(tags)
    run.log_parameters(trial.parameters)
    for name in trial.figures:
        for point in store.client.get_metric_history(trial.id, name):
            run.log_metrics({name: point.value}, step=point.step)
    run.finish()


def end_trial(store: Store, run_id: str, status: str, error: str = "") -> None:
    """Give a trial's run the end that it could not give itself."""
    run = store.run(run_id)
    if error:
        run.set_tags({ERROR_TAG: error[:5000]})
    run.finish(status)
