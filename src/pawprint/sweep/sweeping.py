"""Carrying a sweep out: what is missing runs, everything is ranked and recorded."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

import yaml

from pawprint.config.compose import project_root
from pawprint.config.paths import Paths
from pawprint.sweep.board import Board
from pawprint.sweep.conclusion import conclude, offer
from pawprint.sweep.planner import Order, Planner
from pawprint.sweep.running import Source, run_all
from pawprint.sweep.workers import Workers
from pawprint.system.errors import UserError
from pawprint.system.lock import locked

if TYPE_CHECKING:
    from pawprint.tracking.run import Run
    from pawprint.tracking.store import Store
    from pawprint.tracking.trials import TrialRun

log = logging.getLogger(__name__)

# Axes along which figures of trials cannot be compared.
OTHER_MEANING = {
    "class_weights": "val_accuracy is the mean over the classes under balanced, plain under none",
    "validation_steps": "val_accuracy is of other pictures for each value",
}

Known = Mapping[str, "TrialRun"]


def sweep(
    order: Order,
    open_source: Callable[[Planner, Known, Paths], Source],
    open_workers: Callable[[], Workers],
) -> Board:
    """Run the missing trials of a sweep under one run; rank all of them.

    Started again, whatever ended it, a sweep goes on. One with more values along the same axes is
    the same sweep.

    Args:
        order: what was asked for.
        open_source: makes what chooses the trials.
        open_workers: makes what runs them; called once the store is there.

    Raises:
        UserError: nothing is prepared, the store does not answer, the same sweep runs elsewhere,
            or a trial failed (after all others have ended).
    """
    from pawprint.data.store import load_summary
    from pawprint.tracking.store import connect
    from pawprint.tracking.trials import trial_runs

    paths = Paths(project_root())
    summary = load_summary(paths.prepared)
    data = " ".join(summary.splits[split].digest for split in ("train", "validation"))
    tracking = order.base.tracking
    store = connect(tracking.uri, tracking.experiment)
    identity = order.identity(data)
    busy = "the same sweep runs in another process; wait until it has ended, or change its axes"
    with (
        locked(paths.sweeps / f"{identity}.lock", busy=busy),
        store.explained(),
        _parent(store, order, identity) as (run, fresh),
    ):
        # Of other sweeps only what learned to its end.
        known = {
            t.identity: t
            for t in trial_runs(store)
            if t.done and (t.parent == run.id or not (fresh or t.pruned))
        }
        planner = Planner(order, data, run.id, store.uri)
        source = open_source(planner, known, paths)
        for key in set(order.axes) & set(OTHER_MEANING):
            log.warning("%s is an axis: %s", key, OTHER_MEANING[key])
        clock = _Clock(run)
        failed: dict[str, str] = {}
        try:
            log.info("%s: %s", run.tags["mlflow.runName"], source.plan())
            if source.left():
                with contextlib.closing(open_workers()) as workers:
                    run_all(source, workers, store, run.id, failed, clock.tell)
        finally:
            board = conclude(store, run, order, source, failed)
            clock.tell()
        offer(order, board, paths, store)
    if count := len(failed) + source.refused:
        raise UserError(
            f"{count} trial{'s' if count > 1 else ''} failed, as told above; the same command "
            + (
                f"runs {'them' if count > 1 else 'it'} again, and no other"
                if order.kind == "grid"
                else "goes on searching"
            )
        )
    return board


class _Clock:
    """The time that a sweep has taken, over all its sessions, in its run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._before = run.metrics.get("total_seconds", 0.0)
        self._began = time.monotonic()

    def tell(self) -> None:
        """Record it: what is not recorded is lost with a process that is killed."""
        seconds = self._before + time.monotonic() - self._began
        self._run.log_metrics({"total_seconds": seconds})


@contextlib.contextmanager
def _parent(store: Store, order: Order, identity: str) -> Iterator[tuple[Run, bool]]:
    """The sweep's run, opened or gone on with, and whether it takes no trials of others."""
    from pawprint.tracking.provenance import provenance
    from pawprint.tracking.store import link_opened_run
    from pawprint.tracking.trials import FRESH_TAG, SWEEP_TAG, find_sweep

    name = " ".join(["sweep", *(f"{key}={values}" for key, values in order.axes.items())])[:200]
    fresh = order.base.sweep.fresh
    run = None if fresh else find_sweep(store, identity)
    if run:
        fresh = FRESH_TAG in run.tags
        run.go_on(name)
        link_opened_run(store, run, "sweep")
    else:
        run = store.open_run(name, adopt=os.environ.get("MLFLOW_RUN_ID"))
    os.environ.pop("MLFLOW_RUN_ID", None)  # the trials have runs of their own
    tags = {**provenance(project_root()), "kind": "sweep", SWEEP_TAG: identity}
    tags |= {f"sweep.{key}": values for key, values in order.axes.items()}
    run.set_tags(tags | ({FRESH_TAG: "true"} if fresh else {}))
    run.log_text(yaml.safe_dump(asdict(order.base), sort_keys=False), "config.yaml")
    status = "FAILED"
    try:
        yield run, fresh
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        run.finish(status)
