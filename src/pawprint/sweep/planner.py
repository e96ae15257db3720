"""From the words of a command line to trials that are known again in another sweep."""

import abc
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pawprint.config.compose import project_root
from pawprint.config.paths import Paths
from pawprint.config.schema import ELSEWHERE, PREPARED, Config
from pawprint.registry.teacher import teacher_digest
from pawprint.system.errors import UserError
from pawprint.system.files import digest_of
from pawprint.tracking.trials import TrialRun
from pawprint.training.trial import FINISHED, PRUNED, Outcome, Trial, Watch

SEED = "seed"


@dataclass(frozen=True)
class SweepSpec:
    """What a sweep is to do.

    Attributes:
        fixed: the settings of the command line that all trials share, ``key=value``.
        axes: the swept keys, each with its values as they were given.
        base: the configuration with every axis left at its default.
        resolve: the configuration that comes out of settings; raises UserError.
        folder: where the trials' files go.
        kind: what chooses the trials, and from which space; sweeps that differ in it are others.
        objectives: metrics by which trials are ranked, the first one counts most, each with
            whether more of it is better.
    """

    fixed: Sequence[str]
    axes: Mapping[str, str]
    base: Config
    resolve: Callable[[Sequence[str]], Config]
    folder: Path
    objectives: Mapping[str, bool]
    kind: str = "grid"

    def __post_init__(self) -> None:
        for axis in self.axes:
            key = re.split(r"[./@]", axis.lstrip("+~"))[0]
            if key in PREPARED:
                raise UserError(
                    f"{axis} is an axis, but it is of `pawprint prepare`, and all trials learn "
                    f"from what that prepared; run prepare and a sweep for each value"
                )
            if key in (*ELSEWHERE, "hydra"):
                raise UserError(
                    f"{axis} is an axis, but no training reads it, so that all trials would be the "
                    "same; give it one value"
                )

    def identity(self, data: str) -> str:
        """What the sweep is known by, also when its axes have got more values.

        Args:
            data: digest of the pictures.
        """
        swept = tuple(self.axes)
        given = {key: getattr(self.base, key) for key in ("learning_rate", "depth", "width")}
        base = {
            key: value
            for key, value in (_deciding(self.base) | given).items()  # not an optimizer's own
            if not any(key == axis or key.startswith(f"{axis}.") for axis in swept)
        }
        return digest_of({"axes": sorted(swept), "base": base, "data": data, "kind": self.kind})


@dataclass(frozen=True)
class Planner:
    """Makes trials.

    Attributes:
        spec: of the sweep.
        data: digest of the pictures to learn from.
        parent: id of the sweep's run.
        store: tracking URI of the store that has it.
    """

    spec: SweepSpec
    data: str
    parent: str
    store: str

    def trial(
        self,
        overrides: Sequence[str],
        number: int,
        *,
        config: Config | None = None,
        watch: Watch | None = None,
    ) -> Trial:
        """The trial of these settings.

        Args:
            overrides: ``key=value`` each.
            number: its place in the sweep.
            config: what comes out of them, where that is known already.
            watch: asked after each epoch whether to go on.

        Raises:
            UserError: they do not make a configuration.
        """
        config = config or self.spec.resolve(overrides)
        settings = dict(override.split("=", 1) for override in overrides)
        axes = {key: settings[key] for key in self.spec.axes if key in settings}
        return Trial(
            number=number,
            name=name_of(axes) or " ".join(overrides) or "trial",
            axes=axes,
            overrides=tuple(overrides),
            config=config,
            identity=trial_identity(config, self.data),
            project=project_root(),
            folder=self.spec.folder / str(number),
            parent=self.parent,
            store=self.store,
            watch=watch,
            timed="seconds_per_picture" in self.spec.objectives,
        )


class TrialSource(abc.ABC):
    """Which trials run, and in which order.

    Attributes:
        trials: those that the sweep is about so far, by identity.
        failed: the identities of those that failed in this session.
        rejected: how many could not be configured.
    """

    def __init__(self) -> None:
        self.trials: dict[str, Trial] = {}
        self.failed: set[str] = set()
        self.rejected = 0

    @abc.abstractmethod
    def plan(self) -> str:
        """Find out what is done already; returns it in words."""

    @abc.abstractmethod
    def next(self) -> Trial | None:
        """The next trial to run, None where none is left, for now."""

    @abc.abstractmethod
    def tell(self, trial: Trial, outcome: Outcome) -> None:
        """Take how a trial ended."""

    @abc.abstractmethod
    def remaining(self) -> int:
        """How many trials have not ended."""

    def remarks(self) -> str:
        """What is to be said at the end, if anything."""
        return ""


class Grid(TrialSource):
    """The trials of all combinations of the axes' values that are not done yet, in their order.

    Args:
        planner: makes trials.
        known: runs of trials that are done, by identity.
        combinations: overrides of each trial, and the configuration that they make.
    """

    def __init__(
        self,
        planner: Planner,
        known: Mapping[str, TrialRun],
        combinations: Sequence[tuple[Sequence[str], Config]],
    ) -> None:
        super().__init__()
        for number, (overrides, config) in enumerate(combinations):
            trial = planner.trial(overrides, number, config=config)
            self.trials.setdefault(trial.identity, trial)  # it may be there under another name
        self._waiting = [trial for trial in self.trials.values() if trial.identity not in known]
        self._remaining = len(self._waiting)
        self._same = len(combinations) - len(self.trials)
        self._elsewhere = sum(
            identity in known and known[identity].parent != planner.parent
            for identity in self.trials
        )

    def plan(self) -> str:
        """How many trials are done and how many are not."""
        done = len(self.trials) - len(self._waiting)
        of_others = f" ({self._elsewhere} of them in other sweeps)" if self._elsewhere else ""
        same = f"; {self._same} more would be the same as one of them" if self._same else ""
        return f"{done} done{of_others}, {len(self._waiting)} to run{same}"

    def next(self) -> Trial | None:
        """The next trial, None after the last."""
        return self._waiting.pop(0) if self._waiting else None

    def tell(self, trial: Trial, outcome: Outcome) -> None:  # noqa: ARG002 (it ended, no more)
        """Take how a trial ended."""
        self._remaining -= 1

    def remaining(self) -> int:
        """How many trials have not ended."""
        return self._remaining


def outcome_of(run: TrialRun) -> Outcome:
    """How a trial ended that has been run."""
    return Outcome(PRUNED if run.pruned else FINISHED, run.figures, run.id)


def name_of(axes: Mapping[str, str]) -> str:
    """A trial's name: its settings along the axes."""
    return " ".join(f"{key}={value}" for key, value in axes.items())


def trial_identity(config: Config, data: str) -> str:
    """16 hex digits of the resolved configuration and the data's digest.

    Raises:
        UserError: the teacher that it names cannot be found.
    """
    return digest_of({"config": _deciding(config), "data": data})


def _deciding(config: Config) -> dict[str, object]:
    """What decides a training: a teacher by its network, which a name may not mean tomorrow."""
    teacher = teacher_digest(config.teacher, config.tracking, Paths(project_root()))
    return config.deciding() | {"teacher": teacher}


def check_effects(
    axes: Iterable[str], combinations: Sequence[tuple[Sequence[str], Config]]
) -> None:
    """Refuse an axis along which all trainings are the same.

    Args:
        axes: the swept keys.
        combinations: overrides of trials, of which some differ along one axis alone, and the
            configuration that they make.

    Raises:
        UserError: there is such an axis.
    """
    identities = [trial_identity(config, "") for _, config in combinations]
    for axis in axes:
        others: dict[tuple[str, ...], set[str]] = {}
        values = set()
        for (words, _), identity in zip(combinations, identities, strict=True):
            values |= {word for word in words if word.partition("=")[0] == axis}
            rest = tuple(word for word in words if word.partition("=")[0] != axis)
            others.setdefault(rest, set()).add(identity)
        if len(values) > 1 and max(map(len, others.values())) == 1:
            models = sorted({config.model.name for _, config in combinations})
            raise UserError(
                f"{axis} is an axis, but with model={','.join(models)} all its values make the "
                "same training; leave it out"
            )


def check_at_least(least: int, key: str, value: object, or_else: str = "") -> None:
    """Refuse what is too small, no number, or no whole one where at least one is needed.

    Raises:
        UserError: it is.
    """
    if not isinstance(value, int if least else int | float) or value < least:
        raise UserError(f"{key} is {value}, but must be at least {least}{or_else}; change it")
