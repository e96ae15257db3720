"""Trials that Optuna suggests from a space of Hydra's words, the hopeless ones pruned."""

import functools
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from pawprint.config.paths import Paths
from pawprint.sweep.planner import SEED, Planner, TrialSource, outcome_of
from pawprint.system.errors import UserError, first_line
from pawprint.tracking.trials import TrialRun
from pawprint.training.trial import FAILED, FINISHED, KILLED, PRUNED, Outcome, Trial, Watch

log = logging.getLogger(__name__)

JOURNAL = "journal:"  # and a path: Optuna's own file, which several processes may write


@dataclass(frozen=True)
class SearchSettings:
    """What a search does.

    Attributes:
        space: Optuna's distributions by key.
        seeds: words of the seeds that each suggestion is trained with; empty for the default.
        n_trials: how many suggestions, those of earlier sessions included.
        sampler: makes Optuna's sampler, of the number of trials that are done.
        pruner: Optuna's pruner.
        max_epochs: how many epochs all trials together may learn, at most; None for any number.
        storage: URL of a database, or None for a file of the project's.
        study_name: the study's name there, or None for the id of the sweep's run.
    """

    space: Mapping[str, BaseDistribution]
    seeds: Sequence[str]
    n_trials: int
    sampler: Callable[[int], BaseSampler]
    pruner: BasePruner
    max_epochs: int | None = None
    storage: str | None = None
    study_name: str | None = None


@dataclass
class _Suggestion:
    """One of Optuna's trials: a training, or one for each seed."""

    trial: optuna.Trial
    left: int
    values: list[list[float]] = field(default_factory=list)


@dataclass(frozen=True)
class PrunerWatch:
    """Reports a trial's validation accuracy to the study, which may find it hopeless."""

    storage: str
    study_name: str
    trial_id: int
    pruner: BasePruner

    def tell(self, epoch: int, figures: Mapping[str, float]) -> bool:
        """Report an epoch, counted from 1; whether the pruner would end the trial."""
        self._trial.report(figures["val_accuracy"], epoch)
        return self._trial.should_prune()

    @functools.cached_property
    def _trial(self) -> optuna.Trial:
        study = optuna.load_study(
            study_name=self.study_name, storage=open_storage(self.storage), pruner=self.pruner
        )
        return optuna.trial.Trial(study, self.trial_id)


class Search(TrialSource):
    """Asks Optuna for trials until ``n_trials`` have ended.

    Args:
        planner: makes trials.
        known: trials that are done, by identity: their figures are taken, nothing runs.
        paths: the project's.
        settings: of the search.

    Raises:
        UserError: the study that is there is of another space.
    """

    def __init__(
        self,
        planner: Planner,
        known: Mapping[str, TrialRun],
        paths: Paths,
        settings: SearchSettings,
    ) -> None:
        super().__init__()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._planner, self._settings = planner, settings
        self._objectives = planner.spec.objectives
        # None is the seed of the configuration.
        self._seeds: list[str | None] = list(settings.seeds) or [None]
        self._known = {
            identity: outcome_of(run)
            for identity, run in known.items()
            if run.pruned or all(name in run.figures for name in self._objectives)
        }
        self._storage = settings.storage or f"{JOURNAL}{paths.sweeps / planner.parent}.journal"
        self._name = settings.study_name or planner.parent
        self._queue: list[tuple[Trial, _Suggestion]] = []
        self._running: dict[str, list[_Suggestion]] = {}
        self._begun = self._ended = self._number = self._repeated = 0
        self._epochs = 0.0  # learned, or to be learned by who runs
        self._spent = False  # of max_epochs too little is left for a trial
        self._study: Any = None

    def plan(self) -> str:
        """Open the study; how many trials are done, and how many are not."""
        directions = ["maximize" if more else "minimize" for more in self._objectives.values()]
        self._study = optuna.create_study(
            storage=open_storage(self._storage),
            study_name=self._name,
            directions=directions,
            pruner=self._settings.pruner,
            load_if_exists=True,
        )
        if [d.name.lower() for d in self._study.directions] != directions:
            raise UserError(
                f"the study {self._name} in {self._storage} is for another objective; give another "
                "hydra.sweeper.study_name"
            )
        trials = self._study.get_trials(deepcopy=False)
        if any(set(trial.params) - set(self._settings.space) for trial in trials) or (
            trials and self._settings.study_name and self._planner.spec.base.sweep.fresh
        ):
            raise UserError(
                f"the study {self._name} in {self._storage} is of another space, or is to begin "
                "afresh; give another hydra.sweeper.study_name"
            )
        for trial in trials:
            if trial.state == TrialState.RUNNING:  # of a session that was killed
                self._study.tell(trial.number, state=TrialState.FAIL)
                self._study.enqueue_trial(trial.params)
        # Else it would begin with the same suggestions again.
        self._study.sampler = self._settings.sampler(len(trials))
        ended = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        for trial in ended:
            for seed in self._seeds:
                made = self._planned(trial.params, seed, None)
                if made.identity in self._known and made.identity not in self.trials:
                    self.trials[made.identity] = made
                    self._epochs += self._known[made.identity].figures.get("trained_epochs", 0)
        self._ended = self._begun = len(ended)
        return f"{len(ended)} done, {max(0, self._settings.n_trials - len(ended))} to run"

    def next(self) -> Trial | None:
        """A trial that no other one equals; None where all have begun."""
        most = self._settings.max_epochs
        while not self._spent and (self._queue or self._begun < self._settings.n_trials):
            if not self._queue:
                self._suggest()
                continue
            trial, suggestion = self._queue.pop(0)
            if trial.identity in self._known:
                self._repeated += trial.identity in self.trials
                self.trials.setdefault(trial.identity, trial)
                self._take(suggestion, self._known[trial.identity])
            elif trial.identity in self._running:
                self._running[trial.identity].append(suggestion)
            elif most is not None and self._epochs + trial.config.epochs > most:
                if self._running:  # a pruned one may leave enough
                    self._queue.insert(0, (trial, suggestion))
                else:
                    self._spent = True
                    log.info("max_epochs=%d: too little is left for another trial", most)
                    self._study.tell(suggestion.trial, state=TrialState.FAIL)
                return None
            else:
                self.trials[trial.identity] = trial
                self._running[trial.identity] = [suggestion]
                self._epochs += trial.config.epochs
                return trial
        return None

    def tell(self, trial: Trial, outcome: Outcome) -> None:
        """Take how a trial ended."""
        suggestions = self._running.pop(trial.identity)
        learned = outcome.figures.get("trained_epochs", trial.config.epochs)
        self._epochs += learned - trial.config.epochs
        if outcome.status != KILLED:  # also a failed one would fail again
            self._known[trial.identity] = outcome
        for suggestion in suggestions:
            self._take(suggestion, outcome)

    def remarks(self) -> str:
        """How many suggestions were no new ones."""
        said = f"{self._repeated} suggestions repeated a trial and got its figures"
        return said if self._repeated else ""

    def remaining(self) -> int:
        """How many trials have not ended."""
        return 0 if self._spent else max(0, self._settings.n_trials - self._ended)

    def _suggest(self) -> None:
        drawn = self._study.ask(dict(self._settings.space))
        self._begun += 1
        watch, pruner = None, self._settings.pruner
        if len(self._objectives) == 1 and not isinstance(pruner, optuna.pruners.NopPruner):
            # The number that `optuna.Trial` takes in another process has no public name.
            trial_id = drawn._trial_id  # noqa: SLF001
            watch = PrunerWatch(self._storage, self._name, trial_id, pruner)
        suggestion = _Suggestion(drawn, len(self._seeds))
        try:
            for seed in self._seeds:
                self._queue.append((self._planned(drawn.params, seed, watch), suggestion))
                watch = None  # one curve a suggestion
        except UserError as error:  # values that do not go together
            words = " ".join(f"{key}={value}" for key, value in drawn.params.items())
            print(f"failed: {words}: {error}", file=sys.stderr)
            self.rejected += 1
            self._take(suggestion, Outcome(FAILED))

    def _planned(self, params: Mapping[str, Any], seed: str | None, watch: Watch | None) -> Trial:
        space = self._settings.space
        overrides = [*self._planner.spec.fixed]
        overrides += [f"{key}={word_for(value, space[key])}" for key, value in params.items()]
        if seed is not None:
            overrides.append(f"{SEED}={seed}")
        self._number += 1
        return self._planner.trial(overrides, self._number - 1, watch=watch)

    def _take(self, suggestion: _Suggestion, outcome: Outcome) -> None:
        if suggestion.left <= 0 or outcome.status == KILLED:
            return  # a killed one is asked for again in the next session
        suggestion.left -= 1
        if outcome.status == FINISHED:
            suggestion.values.append([outcome.figures[name] for name in self._objectives])
            if suggestion.left:
                return
            columns = zip(*suggestion.values, strict=True)
            self._study.tell(suggestion.trial, [sum(c) / len(c) for c in columns])
        else:  # the other seeds need not run
            self._queue = [pair for pair in self._queue if pair[1] is not suggestion]
            suggestion.left = 0
            state = TrialState.PRUNED if outcome.status == PRUNED else TrialState.FAIL
            self._study.tell(suggestion.trial, state=state)
        self._ended += 1


def for_epochs(pruner: Mapping[str, Any], epochs: int) -> dict[str, Any]:
    """A pruner's settings, with those that are None made to suit trainings of so many epochs.

    A training shows late how good it is: where pictures grow or the rate warms up, its first
    epochs say nothing.
    """
    suitable = {
        "n_warmup_steps": epochs // 3,
        "min_resource": max(1, epochs // 6),
        "max_resource": epochs,
    }
    return {k: suitable.get(k) if v is None else v for k, v in pruner.items()}


def open_storage(address: str) -> BaseStorage:
    """Optuna's storage at a database URL or in a journal file.

    Raises:
        UserError: the database cannot be used.
    """
    if address.startswith(JOURNAL):
        return JournalStorage(JournalFileBackend(address.removeprefix(JOURNAL)))
    try:
        return RDBStorage(address)
    except Exception as error:  # noqa: BLE001 (SQLAlchemy's, a missing driver, no answer)
        raise UserError(
            f"hydra.sweeper.storage is {address}, which cannot be used ({first_line(error)}); give "
            "a database's URL, for example sqlite:////home/me/searches.db, or leave it out"
        ) from None


def distributions(overrides: Sequence[Override]) -> dict[str, BaseDistribution]:
    """Optuna's distributions of Hydra's parsed sweep words.

    ``choice(a,b)`` and ``a,b`` are categorical, ``range(1,5)`` whole numbers, ``interval(0,1)`` a
    stretch; ``tag(log,...)`` makes it logarithmic, ``int(interval(1,9))`` whole.

    Raises:
        UserError: a stretch is not one, or ends are not numbers.
    """
    found: dict[str, BaseDistribution] = {}
    for override in overrides:
        key, value = override.get_key_element(), override.value()
        try:
            if isinstance(value, IntervalSweep):
                whole = isinstance(value.start, int) and isinstance(value.end, int)
                kind: Any = IntDistribution if whole else FloatDistribution
                found[key] = kind(value.start, value.end, log="log" in value.tags)
            elif isinstance(value, RangeSweep) and not value.shuffle:
                found[key] = _range(value)
            else:
                found[key] = CategoricalDistribution(list(override.sweep_string_iterator()))
        except (ValueError, TypeError) as error:
            raise UserError(
                f"command line: {key}={override.get_value_string()} is no search space ({error}); "
                "give for example choice(a,b), range(1,5), interval(0,1) or "
                "tag(log,interval(1e-4,1e-1))"
            ) from None
    return found


def _range(value: RangeSweep) -> BaseDistribution:
    start, stop, step = value.start, value.stop, value.step or 1
    if "log" in value.tags:
        raise ValueError("a logarithmic range; take tag(log,interval(low,high))")
    if start is None or stop is None:
        raise ValueError("a range without both ends")
    # As Hydra's grid has it, the end is not part of it.
    if isinstance(start, int) and isinstance(stop, int) and isinstance(step, int):
        return IntDistribution(start, start + (stop - 1 - start) // step * step, step=step)
    count = 0
    while start + (count + 1) * step < stop - 1e-9 * abs(step):
        count += 1
    return FloatDistribution(start, start + count * step, step=step)


def corners(space: Mapping[str, BaseDistribution]) -> list[list[str]]:
    """Settings in which each value or end of each axis occurs, beside the others' first."""

    def ends(distribution: Any) -> list[str]:
        if isinstance(distribution, CategoricalDistribution):
            return [str(choice) for choice in distribution.choices]
        return [word_for(end, distribution) for end in (distribution.low, distribution.high)]

    first = {key: ends(distribution)[0] for key, distribution in space.items()}
    return [
        [f"{k}={v}" for k, v in (first | {key: end}).items()]
        for key, distribution in space.items()
        for end in ends(distribution)
    ]


def word_for(value: Any, distribution: BaseDistribution) -> str:
    """A suggested value as a person would write it."""
    if not isinstance(distribution, FloatDistribution):
        return str(value)
    short = f"{value:.5g}"
    return short if distribution.low <= float(short) <= distribution.high else repr(value)
