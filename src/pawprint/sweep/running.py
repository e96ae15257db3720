"""Keeping workers busy with the trials of a sweep."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from pawprint.sweep.board import ACCURACY, SECONDS
from pawprint.sweep.workers import Workers
from pawprint.system.terminal import in_words
from pawprint.training.trial import BUSY, FAILED, FINISHED, KILLED, PRUNED, Outcome, Trial

if TYPE_CHECKING:
    from pawprint.tracking.store import Store

log = logging.getLogger(__name__)

PAUSE = 2.0  # seconds between looks at a trial that another process trains


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


def run_all(
    source: Source,
    workers: Workers,
    store: Store,
    parent: str,
    failed: dict[str, str],
    ended: Callable[[], None],
) -> None:
    """Keep the workers busy until no trial is left.

    Args:
        source: chooses the trials.
        workers: run them.
        store: where their runs are.
        parent: id of the sweep's run.
        failed: takes the sentences of failed trials by identity.
        ended: called after each trial.
    """
    began, ended_here, running = time.monotonic(), 0, 0
    told_busy: set[str] = set()
    elsewhere: list[Trial] = []  # which other processes train at this moment

    def take(trial: Trial, outcome: Outcome) -> None:
        nonlocal ended_here
        ended_here += 1
        if outcome.status in (FAILED, KILLED):
            _mark(store, trial, parent, outcome)
        source.tell(trial, outcome)
        ended()
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
                f"; {left} to run, about {in_words(rest)}" if left else "",
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
    except BaseException:  # Ctrl-C, or what makes no sense to go on with
        for trial, outcome in workers.stop():
            take(trial, outcome)
        raise


def _done_elsewhere(store: Store, trial: Trial) -> Outcome | None:
    """What another process has made of a trial in the meantime."""
    from pawprint.tracking.trials import trial_runs

    for run in reversed(trial_runs(store, trial.identity)):
        if run.done and run.status == FINISHED:
            return Outcome(PRUNED if run.pruned else FINISHED, run.figures, run.id)
    return None


def _mark(store: Store, trial: Trial, parent: str, outcome: Outcome) -> None:
    """Give the trial's run its end where its process could not, and the reason."""
    from pawprint.tracking.trials import end_trial, trial_runs

    own = [run for run in trial_runs(store, trial.identity) if run.parent == parent]
    if own and not own[-1].done:
        end_trial(store, own[-1].id, outcome.status, outcome.sentence)
