"""The story of a sweep: what is done is reused, what is missing runs, all of it is ranked."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import yaml

from pawprint.config.compose import project_root
from pawprint.config.paths import Paths
from pawprint.sweep.launchers.base import Launcher
from pawprint.sweep.leaderboard import Leaderboard
from pawprint.sweep.planner import Planner, SweepSpec, TrialSource
from pawprint.sweep.results import conclude, print_command, promote
from pawprint.sweep.scheduler import ActiveSweep
from pawprint.system.errors import UserError
from pawprint.system.lock import locked

if TYPE_CHECKING:
    from pawprint.tracking.run import Run
    from pawprint.tracking.store import Store
    from pawprint.tracking.trials import TrialRun

log = logging.getLogger(__name__)

# Axes along which figures of trials cannot be compared.
INCOMPARABLE = {
    "class_weights": "val_accuracy is the mean over the classes under balanced, plain under none",
    "validation_steps": "val_accuracy is of other pictures for each value",
}


def run_sweep(
    spec: SweepSpec,
    open_source: Callable[[Planner, Mapping[str, TrialRun]], TrialSource],
    open_launcher: Callable[[], Launcher[Any]],
) -> Leaderboard:
    """Run the missing trials of a sweep under one run; rank all of them.

    Started again, whatever ended it, a sweep goes on. One with more values along the same axes is
    the same sweep.

    Args:
        spec: what it is to do.
        open_source: makes what chooses the trials, of the runs by identity that are done.
        open_launcher: makes what runs them; called once the store is there.

    Raises:
        UserError: nothing is prepared, the store does not answer, the same sweep runs elsewhere,
            or a trial failed (after all others have ended).
    """
    from pawprint.data.store import load_summary
    from pawprint.tracking.store import connect
    from pawprint.tracking.trials import trial_runs

    # Which sweep this is: its settings and pictures.
    paths = Paths(project_root())
    splits = load_summary(paths.prepared).splits
    data = " ".join(splits[split].digest for split in ("train", "validation"))
    identity = spec.identity(data)
    store = connect(spec.base.tracking.uri, spec.base.tracking.experiment)
    busy = "the same sweep runs in another process; wait until it has ended, or change its axes"
    with (
        locked(paths.sweeps / f"{identity}.lock", busy=busy),
        store.explained(),
        _parent_run(store, spec, identity) as (run, fresh),
    ):
        # Reuse what is done; of other sweeps only what was trained to its end.
        known = {
            trial.identity: trial
            for trial in trial_runs(store)
            if trial.done and (trial.parent == run.id or not (fresh or trial.pruned))
        }
        # Plan the rest.
        source = open_source(Planner(spec, data, run.id, store.uri), known)
        for key in set(spec.axes) & set(INCOMPARABLE):
            log.warning("%s is an axis: %s", key, INCOMPARABLE[key])
        sweep = ActiveSweep(spec, store, run, source, run.metrics.get("total_seconds", 0.0))
        try:
            # Run it.
            log.info("%s: %s", run.tags["mlflow.runName"], source.plan())
            if source.remaining():
                with contextlib.closing(open_launcher()) as launcher:
                    sweep.run_trials(launcher)
        finally:
            # Rank and record all that there is, also after Ctrl-C.
            leaderboard = conclude(sweep)
            sweep.log_time()
        # The winner goes to the gate, or its command is told.
        if winner := leaderboard.winner:
            if spec.base.sweep.promote:
                promote(winner, spec, paths, store)
            else:
                print_command(winner)
    if count := len(sweep.failed) + source.rejected:
        raise UserError(
            f"{count} trial{'s' if count > 1 else ''} failed, as told above; the same command "
            + (
                f"runs {'them' if count > 1 else 'it'} again, and no other"
                if spec.kind == "grid"
                else "goes on searching"
            )
        )
    return leaderboard


@contextlib.contextmanager
def _parent_run(
    store: Store, spec: SweepSpec, identity: str
) -> Generator[tuple[Run, bool], None, None]:
    """The sweep's run, opened or gone on with, and whether it takes no trials of others."""
    from pawprint.tracking.provenance import provenance
    from pawprint.tracking.store import link_opened_run
    from pawprint.tracking.trials import FRESH_TAG, SWEEP_TAG, find_sweep

    name = " ".join(["sweep", *(f"{key}={values}" for key, values in spec.axes.items())])[:200]
    fresh = spec.base.sweep.fresh
    run = None if fresh else find_sweep(store, identity)
    if run:
        fresh = FRESH_TAG in run.tags
        run.go_on(name)
        link_opened_run(store, run, "sweep")
    else:
        run = store.open_run(name, adopt=os.environ.get("MLFLOW_RUN_ID"))
    os.environ.pop("MLFLOW_RUN_ID", None)  # the trials have runs of their own
    tags = {**provenance(project_root()), "kind": "sweep", SWEEP_TAG: identity}
    tags |= {f"sweep.{key}": values for key, values in spec.axes.items()}
    run.set_tags(tags | ({FRESH_TAG: "true"} if fresh else {}))
    run.log_text(yaml.safe_dump(asdict(spec.base), sort_keys=False), "config.yaml")
    status = "FAILED"
    try:
        yield run, fresh
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        run.finish(status)
