"""Carrying a sweep out: what is missing runs, everything is ranked and recorded."""

from __future__ import annotations

import logging
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Protocol

import yaml

from pawprint.config import project_root
from pawprint.errors import UserError
from pawprint.paths import Paths
from pawprint.pipeline import dvc_settings
from pawprint.sweep.board import (
    ACCURACY,
    SECONDS,
    SHORT,
    Board,
    as_csv,
    as_markdown,
    board_of,
    group_rows,
    print_rows,
)
from pawprint.sweep.planner import Order, Planner
from pawprint.sweep.trial import BUSY, FAILED, FINISHED, KILLED, PRUNED, Outcome, Trial
from pawprint.sweep.workers import Workers, closing

if TYPE_CHECKING:
    from pawprint.tracking.run import Run
    from pawprint.tracking.store import Store
    from pawprint.tracking.trials import TrialRun

log = logging.getLogger(__name__)

PAUSE = 2.0  # seconds between looks at a trial that another process trains
# Axes along which figures of trials cannot be compared.
OTHER_MEANING = {
    "class_weights": "val_accuracy is the mean over the classes under balanced, plain under none",
    "validation_steps": "val_accuracy is of other pictures for each value",
}

Known = Mapping[str, "TrialRun"]


class Source(Protocol):
    """Which trials run, and in which order."""

    @property
    def asked(self) -> Mapping[str, Trial]:
        """The trials that this sweep is about so far, by identity."""
        ...

    @property
    def refused(self) -> int:
        """How many could not be configured."""
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

    def told(self) -> str | None:
        """What is to be said at the end."""
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
                with closing(open_workers()) as workers:
                    _run_all(source, workers, store, run.id, clock, failed)
            finally:
                board = _conclude(store, run, order, source, failed)
                clock.tell()
            _offer(order, board, paths, store)
    finally:
        lock.release()
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
    clock: _Clock,
    failed: dict[str, str],
) -> None:
    """Keep the workers busy until no trial is left; sentences of failed ones go into ``failed``."""
    began, ended_here, running = time.monotonic(), 0, 0
    told_busy: set[str] = set()
    elsewhere: list[Trial] = []  # which other processes train at this moment

    def take(trial: Trial, outcome: Outcome) -> None:
        nonlocal ended_here
        ended_here += 1
        if outcome.status in (FAILED, KILLED):
            _mark(store, trial, parent, outcome)
        source.tell(trial, outcome)
        clock.tell()
        left = source.left()
        rest = (time.monotonic() - began) / ended_here * left
        if outcome.status == FAILED:
            failed[trial.identity] = outcome.sentence
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

    def begin(trial: Trial) -> None:
        nonlocal running
        workers.start(trial)
        running += 1

    try:
        while True:
            while running < workers.count and (trial := source.next()):
                log.info("trial %d: %s", trial.number, trial.name)
                begin(trial)
            if not running and elsewhere:
                trial = elsewhere.pop(0)
                if outcome := _done_elsewhere(store, trial):
                    take(trial, outcome)
                else:
                    time.sleep(PAUSE)
                    begin(trial)
                continue
            if not running:
                return
            for trial, outcome in workers.wait():
                running -= 1
                if outcome.status != BUSY:
                    take(trial, outcome)
                    continue
                if trial.identity not in told_busy:
                    log.info("another process trains %s; waiting for it", trial.name)
                    told_busy.add(trial.identity)
                elsewhere.append(trial)
    except KeyboardInterrupt:
        for trial, outcome in workers.stop():
            take(trial, outcome)
        raise


def _done_elsewhere(store: Store, trial: Trial) -> Outcome | None:
    """What another process has made of a trial in the meantime."""
    from pawprint.tracking.trials import trial_runs

    for run in reversed(trial_runs(store)):
        if run.identity == trial.identity and run.done and run.status == FINISHED:
            return Outcome(PRUNED if run.pruned else FINISHED, run.figures, run.id)
    return None


def _mark(store: Store, trial: Trial, parent: str, outcome: Outcome) -> None:
    """Give the trial's run its end where its process could not, and the reason."""
    from pawprint.tracking.trials import end_trial, trial_runs

    for run in reversed(trial_runs(store)):
        if (run.identity, run.parent) == (trial.identity, parent):
            if not run.done:
                end_trial(store, run.id, outcome.status, outcome.sentence)
            return


def _conclude(
    store: Store, run: Run, order: Order, source: Source, failed: Mapping[str, str]
) -> Board:
    """Rank what there is, show it, and put it into the sweep's run."""
    from pawprint.sweep.figures import axes_figure, parallel_figure
    from pawprint.tracking.trials import FRESH_TAG, end_trial, show_again, trial_runs

    for trial in trial_runs(store):  # of a session that was killed, and not run again
        if trial.parent == run.id and trial.status == "RUNNING":
            end_trial(store, trial.id, FINISHED if trial.done else KILLED)
    others = FRESH_TAG not in run.tags
    latest: dict[str, TrialRun] = {}
    for trial in trial_runs(store):  # of several runs of one trial the latest that is done
        earlier = latest.get(trial.identity)
        mine = trial.parent == run.id or (others and trial.done and not trial.pruned)
        if mine and (trial.done or not (earlier and earlier.done)):
            latest[trial.identity] = trial
    shown = [
        _as_asked(trial, latest.get(identity), identity in failed)
        for identity, trial in source.asked.items()
    ]
    for trial in shown:
        if trial.done and trial.parent != run.id:
            show_again(store, trial, run.id)
    board = board_of(shown, list(order.axes), order.objectives)
    counts = {
        "trials": sum(not t.pruned for t in board.trials),
        "pruned_trials": sum(t.pruned for t in board.trials),
        "failed_trials": sum(t.status == FAILED for t in board.without),
    }
    run.set_tags({key: str(value) for key, value in counts.items()})
    figures = {
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
    title = f"Trials, by {', then '.join(SHORT.get(m, m) for m in order.objectives)}"
    print_rows(title, rows)
    if words := source.told():
        log.info(words)
    groups = group_rows(board)
    if groups:
        run.log_text(as_csv(groups), "seeds.csv")
        print_rows("Means over seeds", groups)
    run.set_tags({"mlflow.note.content": _note(order, counts, rows, groups)})
    if board.trials and order.axes:
        run.log_figure(parallel_figure(board), "figures/parallel_coordinates.png")
        run.log_figure(axes_figure(board), "figures/axes.png")
    return board


def _as_asked(trial: Trial, run: TrialRun | None, failed: bool) -> TrialRun:
    """A trial's run in the words of this sweep; another one may have called it otherwise."""
    from pawprint.tracking.trials import TrialRun

    if run:
        return replace(run, name=trial.name, axes=trial.axes, overrides=list(trial.overrides))
    status = FAILED if failed else ""
    nothing = ({}, trial.axes, list(trial.overrides), {}, False, "")
    return TrialRun("", trial.name, trial.identity, trial.parent, status, *nothing)


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
    chosen = dict(word.lstrip("+").split("=", 1) for word in winner.overrides)  # the last counts
    words = [f"{k}={v}" for k, v in chosen.items() if k.split(".")[0] not in ("sweep", "tracking")]
    command = shlex.join(["dvc", "exp", "run", *dvc_settings(words, winner.parameters)])
    print(f"\nMake the winner the pipeline's experiment:\n  {command}")


def _duration(seconds: float) -> str:
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
