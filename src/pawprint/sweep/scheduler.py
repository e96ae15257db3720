"""Keeping a launcher busy with the trials of a sweep."""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pawprint.sweep.launchers.base import Launcher
from pawprint.sweep.leaderboard import ACCURACY, SECONDS
from pawprint.sweep.planner import SweepSpec, TrialSource
from pawprint.system.terminal import in_words
from pawprint.training.trial import BUSY, FAILED, FINISHED, KILLED, PRUNED, Outcome, Trial

if TYPE_CHECKING:
    from pawprint.tracking.run import Run
    from pawprint.tracking.store import Store

log = logging.getLogger(__name__)

PAUSE = 2.0  # seconds between looks at a trial that another process trains


@dataclass
class ActiveSweep:
    """A sweep that runs.

    Attributes:
        spec: what it is to do.
        store: where its runs are.
        run: its own run, the parent of its trials' runs.
        source: chooses the trials.
        seconds_before: that its earlier sessions took.
        failed: the sentences of trials that failed, by identity.
    """

    spec: SweepSpec
    store: Store
    run: Run
    source: TrialSource
    seconds_before: float
    failed: dict[str, str] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)
    _running: int = 0
    _ended: int = 0
    _elsewhere: list[Trial] = field(default_factory=list)  # trained by others at this moment
    _announced: set[str] = field(default_factory=set)

    def log_time(self) -> None:
        """Record the time so far: what is not recorded is lost with a process that is killed."""
        seconds = self.seconds_before + time.monotonic() - self._began
        self.run.log_metrics({"total_seconds": seconds})

    def run_trials(self, launcher: Launcher[Any]) -> None:
        """Keep the launcher busy until no trial is left; on Ctrl-C interrupt what runs."""
        try:
            while self._go_on(launcher):
                pass
        except BaseException:  # Ctrl-C, or what makes no sense to go on with
            for trial, outcome in launcher.stop():
                self._take(trial, outcome)
            raise

    def _go_on(self, launcher: Launcher[Any]) -> bool:
        """Start what there is room for, and wait for the next trial; whether one is left."""
        while self._running < launcher.count and (trial := self.source.next()):
            log.info("trial %d: %s", trial.number, trial.name)
            self._start(launcher, trial)
        if self._running:
            for trial, outcome in launcher.wait():
                self._running -= 1
                if outcome.status == BUSY:
                    self._put_off(trial)
                else:
                    self._take(trial, outcome)
        elif self._elsewhere:
            trial = self._elsewhere.pop(0)
            if done := _done_elsewhere(self.store, trial):
                self._take(trial, done)
            else:  # it may have been killed there: then it is ours to train
                time.sleep(PAUSE)
                self._start(launcher, trial)
        else:
            return False
        return True

    def _take(self, trial: Trial, outcome: Outcome) -> None:
        """Record how a trial ended, and say it."""
        self._ended += 1
        if outcome.status in (FAILED, KILLED):
            _mark(self, trial, outcome)
        self.source.tell(trial, outcome)
        self.log_time()
        if outcome.status == FAILED:
            self.failed[trial.identity] = outcome.sentence
            print(f"failed: {trial.name}: {outcome.sentence}; log: {trial.log}", file=sys.stderr)
        elif outcome.status == KILLED:
            log.info("stopped: %s", trial.name)
        else:
            left = self.source.remaining()
            rest = (time.monotonic() - self._began) / self._ended * left
            log.info(
                "%s: %s, val_accuracy %.4f, %.1f s%s",
                "pruned" if outcome.status == PRUNED else "finished",
                trial.name,
                outcome.figures.get(ACCURACY, float("nan")),
                outcome.figures.get(SECONDS, float("nan")),
                f"; {left} to run, about {in_words(rest)}" if left else "",
            )

    def _start(self, launcher: Launcher[Any], trial: Trial) -> None:
        launcher.start(trial)
        self._running += 1

    def _put_off(self, trial: Trial) -> None:
        if trial.identity not in self._announced:
            log.info("another process trains %s; waiting for it", trial.name)
            self._announced.add(trial.identity)
        self._elsewhere.append(trial)


def _done_elsewhere(store: Store, trial: Trial) -> Outcome | None:
    """What another process has made of a trial in the meantime."""
    from pawprint.tracking.trials import trial_runs

    for run in reversed(trial_runs(store, trial.identity)):
        if run.done and run.status == FINISHED:
            return Outcome(PRUNED if run.pruned else FINISHED, run.figures, run.id)
    return None


def _mark(sweep: ActiveSweep, trial: Trial, outcome: Outcome) -> None:
    """Give the trial's run its end where its process could not, and the reason."""
    from pawprint.tracking.trials import end_trial, trial_runs

    own = [r for r in trial_runs(sweep.store, trial.identity) if r.parent == sweep.run.id]
    if own and not own[-1].done:
        end_trial(sweep.store, own[-1].id, outcome.status, outcome.sentence)
