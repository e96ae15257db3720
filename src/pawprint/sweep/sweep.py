"""The story of a sweep: what is done is reused, what is missing runs, all of it is ranked."""

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import yaml

from pawprint.config.compose import project_root
from pawprint.config.paths import Paths
from pawprint.data.store import load_summary
from pawprint.stages.train import check_prepared
from pawprint.sweep.launchers.base import Launcher
from pawprint.sweep.leaderboard import ACCURACY, SECONDS, Leaderboard
from pawprint.sweep.planner import Planner, SweepSpec, TrialSource, outcome_of
from pawprint.sweep.results import conclude, print_command, promote
from pawprint.system.errors import UserError
from pawprint.system.lock import locked
from pawprint.system.terminal import format_duration
from pawprint.tracking.provenance import provenance
from pawprint.tracking.run import Run
from pawprint.tracking.store import Store, connect, link_opened_run
from pawprint.tracking.trials import (
    FRESH_TAG,
    SWEEP_TAG,
    TrialRun,
    end_trial,
    find_sweep,
    trial_runs,
)
from pawprint.training.trial import BUSY, FAILED, FINISHED, KILLED, PRUNED, Outcome, Trial

log = logging.getLogger(__name__)

PAUSE = 2.0  # seconds between looks at a trial that another process trains
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
    # Which sweep this is: its settings and pictures.
    paths = Paths(project_root())
    summary = load_summary(paths.prepared)
    check_prepared(spec.base, summary)
    data = " ".join(summary.splits[split].digest for split in ("train", "validation"))
    data += f" {summary.unlabelled_digest}" if summary.unlabelled_digest else ""
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
        sweep = ActiveSweep(store, run, source, run.metrics.get("total_seconds", 0.0))
        try:
            # Run it.
            log.info("%s: %s", run.tags["mlflow.runName"], source.plan())
            if source.remaining():
                with contextlib.closing(open_launcher()) as launcher:
                    sweep.run_trials(launcher)
        finally:
            # Rank and record all that there is, also after Ctrl-C.
            leaderboard = conclude(spec, store, run, source)
            sweep.log_time()
        # The winner goes to the gate, or its command is told.
        if winner := leaderboard.winner:
            if spec.base.sweep.promote:
                promote(winner, spec, paths, store)
            else:
                print_command(winner)
    if count := len(source.failed) + source.rejected:
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
    name = " ".join(["sweep", *(f"{key}={values}" for key, values in spec.axes.items())])[:200]
    fresh = spec.base.sweep.fresh
    run = None if fresh else find_sweep(store, identity)
    if run:
        fresh = FRESH_TAG in run.tags
        run.go_on(name)
        link_opened_run(store, run, "sweep")
    else:
        opened = os.environ.get("MLFLOW_RUN_ID")
        run = (store.adopt(opened, name) if opened else None) or store.open_run(name)
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


@dataclass
class ActiveSweep:
    """A sweep that runs.

    Attributes:
        store: where its runs are.
        run: its own run, the parent of its trials' runs.
        source: chooses the trials.
        seconds_before: that its earlier sessions took.
    """

    store: Store
    run: Run
    source: TrialSource
    seconds_before: float
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
            launcher.start(trial)
            self._running += 1
        if self._running:
            for trial, outcome in launcher.wait():
                self._running -= 1
                if outcome.status != BUSY:
                    self._take(trial, outcome)
                    continue
                if trial.identity not in self._announced:
                    log.info("another process trains %s; waiting for it", trial.name)
                    self._announced.add(trial.identity)
                self._elsewhere.append(trial)
        elif self._elsewhere:
            trial = self._elsewhere.pop(0)
            runs = trial_runs(self.store, trial.identity)
            if ended := [run for run in runs if run.done and run.status == FINISHED]:
                self._take(trial, outcome_of(ended[-1]))
            else:  # it may have been killed there: then it is ours to train
                time.sleep(PAUSE)
                launcher.start(trial)
                self._running += 1
        else:
            return False
        return True

    def _take(self, trial: Trial, outcome: Outcome) -> None:
        """Record how a trial ended, and say it."""
        self._ended += 1
        if outcome.status in (FAILED, KILLED):
            # Its run gets its end where its process could not give it, and the reason.
            runs = trial_runs(self.store, trial.identity)
            own = [run for run in runs if run.parent == self.run.id]
            if own and not own[-1].done:
                end_trial(self.store, own[-1].id, outcome.status, outcome.sentence)
        self.source.tell(trial, outcome)
        self.log_time()
        if outcome.status == FAILED:
            self.source.failed.add(trial.identity)
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
                f"; {left} to run, about {format_duration(rest)}" if left else "",
            )
