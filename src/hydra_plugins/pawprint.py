"""Sweepers and launchers for Hydra, thin because it imports them at every start.

What they do is in `pawprint.sweep`, imported where it is needed.
"""

from __future__ import annotations

import itertools
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from pawprint.system.errors import UserError, installing

if TYPE_CHECKING:
    from pawprint.config.schema import Config
    from pawprint.sweep.launchers.base import Launcher as TrialLauncher
    from pawprint.sweep.planner import SweepSpec, TrialSource


class GridSweeper(Sweeper):
    """All combinations of the axes' values.

    Args:
        params: more axes, ``{key: values}``; the command line goes before them.
    """

    def __init__(self, params: Mapping[str, Any] | None = None) -> None:
        self.params = params or {}

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take what Hydra composed; the task is that of the train stage."""
        self._context, self._task, self._config = hydra_context, task_function, config

    def sweep(self, arguments: list[str]) -> Any:
        """Run the sweep that the words of the command line ask for."""
        from pawprint.sweep.sweep import run_sweep

        spec, overrides = self._read(arguments)
        return run_sweep(spec, self._source(spec, overrides), self._launcher)

    def _read(self, arguments: list[str]) -> tuple[SweepSpec, list[Override]]:
        from pawprint.sweep.planner import SweepSpec

        given = {word.partition("=")[0] for word in arguments}
        words = [
            f"{key}={','.join(map(str, value)) if isinstance(value, list | ListConfig) else value}"
            for key, value in self.params.items()
            if key not in given
        ]
        parser = OverridesParser.create(config_loader=self._context.config_loader)
        overrides = parser.parse_overrides(words + arguments)
        fixed = [str(o.input_line) for o in overrides if not o.is_sweep_override()]
        spec = SweepSpec(
            fixed=fixed,
            axes={o.get_key_element(): o.get_value_string() for o in _swept(overrides)},
            base=self._resolve(fixed),
            resolve=self._resolve,
            folder=Path(self._config.hydra.sweep.dir),
            objectives={"best_val_accuracy": True},
        )
        return spec, overrides

    def _source(self, spec: SweepSpec, overrides: list[Override]) -> Callable[..., TrialSource]:
        """What chooses the trials, once it is told what is done; a mistake is told before that."""
        from tqdm import tqdm

        from pawprint.sweep.planner import Grid, check_effects

        values: dict[str, list[str]] = {}
        for override in overrides:
            key = override.get_key_element()
            if not override.is_sweep_override():
                values[key] = [f"{key}={override.get_value_element_as_str()}"]
            elif override.is_discrete_sweep():
                values[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
            else:
                raise UserError(
                    f"command line: {override.input_line} has no end of values; give some, or add "
                    "hydra/sweeper=optuna"
                )
        shown = tqdm(
            list(itertools.product(*values.values())),
            desc="configuring",
            unit=" trials",
            delay=2,
            leave=False,
            disable=not sys.stderr.isatty(),
        )
        combinations = [(words, spec.resolve(words)) for words in shown]
        check_effects(spec.axes, combinations)
        return lambda planner, known: Grid(planner, known, combinations)

    def _resolve(self, words: Sequence[str]) -> Config:
        """The typed configuration of these settings."""
        from pawprint.config.compose import typed

        tree = self._context.config_loader.load_sweep_config(self._config, list(words))
        with open_dict(tree):
            del tree["hydra"]
        return typed(tree)

    def _launcher(self) -> TrialLauncher[Any]:
        """What runs the trials, as ``hydra/launcher`` chooses.

        Raises:
            UserError: it is none of this project's, or its library is not installed.
        """
        from pawprint.sweep.launchers.base import InProcess

        chosen = self._config.hydra.runtime.choices["hydra/launcher"]
        if chosen == "basic":
            return InProcess()
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=self._context, task_function=self._task, config=self._config
        )
        if not isinstance(launcher, SweepLauncher):
            raise UserError(
                f"hydra/launcher={chosen} is none that this project knows; choose one of basic, "
                "joblib, submitit, ray"
            )
        try:
            return get_class(launcher.trials)(**launcher.options)
        except ImportError as error:
            raise UserError(
                f"hydra/launcher={chosen} needs {error.name}; {installing(str(error.name))} "
                "installs it"
            ) from None
        except TypeError as error:
            raise UserError(
                f"hydra/launcher={chosen} cannot be opened ({error}); see "
                f"conf/hydra/launcher/{chosen}.yaml for its keys"
            ) from error


class OptunaSweeper(GridSweeper):
    """Trials that Optuna suggests.

    Args:
        n_trials, max_epochs, storage, study_name: as of `pawprint.sweep.search.SearchSettings`.
        objective: the metric that is optimised, or several of them.
        sampler: what to instantiate as Optuna's sampler; a ``seed`` moves with the trials done.
        pruner: what to instantiate as Optuna's pruner.
        params: as of the grid; the search space.
    """

    def __init__(
        self,
        n_trials: int,
        objective: str | list[str],
        sampler: Any,
        pruner: Any,
        max_epochs: int | None = None,
        storage: str | None = None,
        study_name: str | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(params)
        self.n_trials, self.max_epochs = n_trials, max_epochs
        self.objectives = [objective] if isinstance(objective, str) else list(objective)
        self.sampler, self.pruner = sampler, pruner
        self.storage, self.study_name = storage, study_name

    def _read(self, arguments: list[str]) -> tuple[SweepSpec, list[Override]]:
        from pawprint.sweep.leaderboard import objectives_of

        spec, overrides = super()._read(arguments)
        space = sorted(str(o.input_line) for o in _swept(overrides))
        pruned = "" if self.pruner["_target_"].endswith(".NopPruner") else " pruned"
        searching = replace(
            spec,
            kind=f"search {space} {self.objectives} {self.study_name}{pruned}",
            objectives=objectives_of(self.objectives),
        )
        return searching, overrides

    def _source(self, spec: SweepSpec, overrides: list[Override]) -> Callable[..., TrialSource]:
        from pawprint.config.compose import project_root
        from pawprint.config.paths import Paths
        from pawprint.sweep.planner import SEED, check_at_least, check_effects

        try:
            from pawprint.sweep import search
        except ImportError:
            raise UserError(
                f"hydra/sweeper=optuna needs Optuna; {installing('optuna')} installs it"
            ) from None
        check_at_least(1, "hydra.sweeper.n_trials", self.n_trials)
        seeds = [o for o in _swept(overrides) if o.get_key_element() == SEED]
        space = search.distributions([o for o in _swept(overrides) if o not in seeds])
        if not space:
            raise UserError(
                "command line: there is nothing to search; give an axis, for example "
                "optimizer=adam,sgd or 'learning_rate=tag(log,interval(1e-4,1e-1))'"
            )
        # A mistake in it is told before a run opens.
        corners = [(w, spec.resolve([*spec.fixed, *w])) for w in search.corners(space)]
        if not any(key.startswith("model") for key in space):  # which decides what has an effect
            check_effects(space, corners)
        settings = search.SearchSettings(
            space=space,
            seeds=[word for override in seeds for word in override.sweep_string_iterator()],
            n_trials=self.n_trials,
            sampler=self._make_sampler,
            pruner=instantiate(search.for_epochs(self.pruner, spec.base.epochs)),
            max_epochs=self.max_epochs,
            storage=self.storage,
            study_name=self.study_name,
        )
        paths = Paths(project_root())
        return lambda planner, known: search.Search(planner, known, paths, settings)

    def _make_sampler(self, done: int) -> Any:
        given = dict(OmegaConf.create(self.sampler))
        if given.get("seed") is not None:
            given["seed"] += done
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # options that Optuna calls experimental
            return instantiate(given)


class SweepLauncher(Launcher):
    """What the sweepers of this project take a launcher of trials from.

    Args:
        trials: the class in `pawprint.sweep.launchers` that runs them.
        options: of that class, by its names.
    """

    def __init__(self, trials: str, **options: Any) -> None:
        self.trials, self.options = trials, options

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        """Nothing to do: the sweep opens what it needs."""

    def launch(self, job_overrides: Any, initial_job_idx: int) -> Any:
        """Refuse: another sweeper than this project's asks for it."""
        del job_overrides, initial_job_idx
        raise UserError("this launcher works with hydra/sweeper=grid and optuna; choose one")


def _swept(overrides: Sequence[Override]) -> list[Override]:
    return [override for override in overrides if override.is_sweep_override()]
