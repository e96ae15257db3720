"""Carrying a sweep out: what is missing runs, everything is ranked and recorded."""

from __future__ import annotations

import logging
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Protocol

import yaml

from pawprint.config import project_root
from pawprint.errors import UserError
from pawprint.paths import Paths
from pawprint.pipeline import dvc_settings
from pawprint.sweep.board import (
    ACCURACY,
    SECONDS,
    Board,
    as_csv,
    as_markdown,
    board_of,
    group_rows,
    print_rows,
)
from pawprint.sweep.planner import Order, Planner
from pawprint.sweep.trial import FAILED, FINISHED, KILLED, PRUNED, Outcome, Trial
from pawprint.sweep.workers import Workers, closing

if TYPE_CHECKING:
    from pawprint.tracking.run import Run
    from pawprint.tracking.store import Store
    from pawprint.tracking.trials import TrialRun

log = logging.getLogger(__name__)

Known = Mapping[str, "TrialRun"]


class Source(Protocol):
    """Which trials run, and in which order."""

    @property
    def asked(self) -> Sequence[str]:
        """Identities of the trials that this sweep is about, so far."""
        ...

    def plan(self) -> str:
        """Find out what is done already; returns it in words."""
        ...

    def next(self) -> Trial | None:
        """The next trial to run, None where none is left, for now."""
        ...

    def tell(self, trial: Trial, outcome: Outcome) -> None:
        """Take how a trial ended."""
        ...

    def left(self) -> int:
        """How many trials have not ended."""
        ...


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
    from filelock import FileLock, Timeout

    from pawprint.images.store import load_summary
    from pawprint.tracking.store import connect
    from pawprint.tracking.trials import trial_runs

    paths = Paths(project_root())
    summary = load_summary(paths.prepared)
    data = " ".join(summary.splits[split].digest for split in ("train", "validation"))
    tracking = order.base.tracking
    store = connect(tracking.uri, tracking.experiment)
    identity = order.identity(data)
    paths.sweeps.mkdir(parents=True, exist_ok=True)
    lock = FileLock(paths.sweeps / f"{identity}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(
            "the same sweep runs in another process; wait until it has ended, or change its axes"
        ) from None
    try:
        with store.explained(), _parent(store, order, identity) as (run, fresh):
            here = [t for t in trial_runs(store) if t.done and (not fresh or t.parent == run.id)]
            planner = Planner(order, data, run.id, store.uri)
            source = open_source(planner, {t.identity: t for t in here}, paths)
            began = time.monotonic()
            failed = 0
            try:
                log.info("%s: %s", run.tags["mlflow.runName"], source.plan())
                with closing(open_workers()) as workers:
                    failed = _run_all(source, workers, store, run.id)
            finally:
                board = _conclude(store, run, order, source, time.monotonic() - began)
            _offer(order, board, paths, store)
    finally:
        lock.release()
    if failed:
        raise UserError(
            f"{failed} of {len(source.asked)} trials failed, as told above; the same command runs "
            "them again, and no other"
        )
    return board


@contextmanager
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


def _run_all(
    source: Source,
    workers: Workers,
    store: Store,
    parent: str,
) -> int:
    """Keep the workers busy until no trial is left; returns how many failed."""
    began, ended_here, running, failed = time.monotonic(), 0, 0, 0

    def take(trial: Trial, outcome: Outcome) -> None:
        if outcome.status in (FAILED, KILLED):
            _mark(store, trial, parent, outcome)
        source.tell(trial, outcome)
        left = source.left()
        rest = (time.monotonic() - began) / max(1, ended_here) * left
        if outcome.status == FAILED:
            print(f"failed: {trial.name}: {outcome.sentence}; log: {trial.log}", file=sys.stderr)
        elif outcome.status == KILLED:
            log.info("stopped: %s", trial.name)
        else:
            log.info(
                "%s: %s, val_accuracy %.4f, %.1f s%s",
                "pruned" if outcome.status == PRUNED else "finished",
                *(trial.name, outcome.figures.get(ACCURACY, float("nan"))),
                outcome.figures.get(SECONDS, float("nan")),
                f"; {left} to run, about {_duration(rest)}" if left else "",
            )

    try:
        while True:
            while running < workers.count and (trial := source.next()):
                log.info("trial %d: %s", trial.number, trial.name)
                workers.start(trial)
                running += 1
            if not running:
                return failed
            for trial, outcome in workers.wait():
                running -= 1
                ended_here += 1
                failed += outcome.status == FAILED
                take(trial, outcome)
    except KeyboardInterrupt:
        for trial, outcome in workers.stop():
            take(trial, outcome)
        raise


def _mark(store: Store, trial: Trial, parent: str, outcome: Outcome) -> None:
    """Give the trial's run its end where its process could not, and the reason."""
    from pawprint.tracking.trials import end_trial, trial_runs

    for run in trial_runs(store):
        if (run.identity, run.parent) == (trial.identity, parent) and not run.done:
            end_trial(store, run.id, outcome.status, outcome.sentence)


def _conclude(store: Store, run: Run, order: Order, source: Source, seconds: float) -> Board:
    """Rank what there is, show it, and put it into the sweep's run."""
    from pawprint.sweep.figures import axes_figure, parallel_figure
    from pawprint.tracking.trials import end_trial, trial_runs

    asked = set(source.asked)
    everything = trial_runs(store)
    for trial in everything:  # of a sweep that was killed, and not run again
        if trial.parent == run.id and trial.status == "RUNNING":
            end_trial(store, trial.id, FINISHED if trial.done else KILLED)
    latest = {t.identity: t for t in everything if t.done and t.identity in asked}
    own = [t for t in trial_runs(store) if t.parent == run.id]
    extra = [t for t in latest.values() if t.identity not in {o.identity for o in own if o.done}]
    board = board_of([*own, *extra], list(order.axes), order.objectives)
    counts = {
        "trials": sum(not t.pruned for t in board.trials),
        "pruned_trials": sum(t.pruned for t in board.trials),
        "failed_trials": sum(t.status == FAILED for t in board.without),
    }
    run.set_tags({key: str(value) for key, value in counts.items()})
    before = run.metrics.get("total_seconds", 0.0)
    figures = {
        "total_seconds": before + seconds,
        "seconds_of_trials": sum(t.figures.get(SECONDS, 0.0) for t in board.trials),
    }
    winner = board.winner
    if winner:
        figures[ACCURACY] = winner.figures[ACCURACY]
        run.set_tags({"best_run": winner.id, "best_trial": winner.name})
    run.log_metrics(figures)
    if not (rows := board.rows()):
        return board
    run.log_text(as_csv(rows), "leaderboard.csv")
    title = "Trials, best validation accuracy first"
    if len(order.objectives) > 1:
        title = f"Trials, by {', then '.join(order.objectives)}"
    print_rows(title, rows)
    groups = group_rows(board)
    if groups:
        run.log_text(as_csv(groups), "seeds.csv")
        print_rows("Means over seeds", groups)
    run.set_tags({"mlflow.note.content": _note(order, counts, rows, groups)})
    if board.trials and order.axes:
        run.log_figure(parallel_figure(board), "figures/parallel_coordinates.png")
        run.log_figure(axes_figure(board), "figures/axes.png")
    return board


def _note(
    order: Order,
    counts: Mapping[str, int],
    rows: Sequence[Mapping[str, str]],
    groups: Sequence[Mapping[str, str]],
) -> str:
    """What the run's page says at its top, in Markdown."""
    axes = "\n".join(f"- `{key}`: {values}" for key, values in order.axes.items())
    parts = [
        f"**{counts['trials']} trials**"
        + (f", {counts['pruned_trials']} pruned" if counts["pruned_trials"] else "")
        + (f", {counts['failed_trials']} failed" if counts["failed_trials"] else ""),
        axes,
        as_markdown(groups) if groups else "",
        as_markdown(rows[:20]),
        f"The first 20 of {len(rows)}; all are in `leaderboard.csv`." if len(rows) > 20 else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _offer(order: Order, board: Board, paths: Paths, store: Store) -> None:
    """Take the winner to the gate, or say how to make it the pipeline's experiment."""
    winner = board.winner
    if winner is None:
        return
    if order.base.sweep.promote:
        from pawprint.sweep.promote import promote

        promote(winner, order, paths, store)
        return
    command = shlex.join(["dvc", "exp", "run", *dvc_settings(winner.overrides, winner.parameters)])
    print(f"\nMake the winner the pipeline's experiment:\n  {command}")


def _duration(seconds: float) -> str:
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
