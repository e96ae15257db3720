"""Sweepers and launchers for Hydra, thin because it imports them at every start."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from omegaconf import ListConfig, OmegaConf, open_dict


class GridSweeper(Sweeper):
    """All combinations of the axes' values.

    Args:
        params: more axes, ``{key: values}``; the command line goes before them.
    """

    def __init__(self, params: dict[str, Any] | None = None) -> None:
        self.params = params or {}

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        """Take what Hydra composed; the task is that of the train stage."""
        self.hydra_context, self.config = hydra_context, config

    def sweep(self, arguments: list[str]) -> Any:
        """Run the sweep that the words of the command line ask for."""
        from pawprint.sweep.sweeping import sweep

        order, parsed = self._order(arguments)
        return sweep(order, self._source(order, parsed), lambda: open_workers(self.config))

    def _order(self, arguments: list[str]) -> tuple[Any, list[Any]]:
        from pawprint.sweep.planner import Order

        given = {word.partition("=")[0] for word in arguments}
        words = [
            f"{key}={','.join(map(str, value)) if isinstance(value, list | ListConfig) else value}"
            for key, value in self.params.items()
            if key not in given
        ]
        words += arguments
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        parsed = parser.parse_overrides(words)
        fixed = [o.input_line for o in parsed if not o.is_sweep_override()]
        swept = {o.get_key_element(): o.get_value_string() for o in parsed if o.is_sweep_override()}
        order = Order(
            fixed=fixed,
            axes=swept,
            base=self._resolve(fixed),
            resolve=self._resolve,
            folder=Path(self.config.hydra.sweep.dir),
            objectives={"best_val_accuracy": True},
        )
        return order, parsed

    def _source(self, order: Any, parsed: list[Any]) -> Callable[..., Any]:
        from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
        from tqdm import tqdm

        from pawprint.sweep.grid import Grid
        from pawprint.system.errors import UserError

        for override in parsed:
            if override.is_sweep_override() and not override.is_discrete_sweep():
                raise UserError(
                    f"command line: {override.input_line} has no end of values; give some, or add "
                    "hydra/sweeper=optuna"
                )
        (combinations,) = BasicSweeper.split_arguments(parsed, None)
        shown = {"desc": "configuring", "unit": " trials", "delay": 2, "leave": False}
        shown |= {"disable": not sys.stderr.isatty()}
        # A mistake is told before a run opens.
        whole = [(words, self._resolve(words)) for words in tqdm(combinations, **shown)]
        return lambda planner, known, paths: Grid(planner, known, whole)

    def _resolve(self, words: Sequence[str]) -> Any:
        """The typed configuration of these settings."""
        from pawprint.config.compose import typed

        loader = self.hydra_context.config_loader
        tree = loader.load_sweep_config(self.config, list(words))
        with open_dict(tree):
            del tree["hydra"]
        return typed(tree)


class OptunaSweeper(GridSweeper):
    """Trials that Optuna suggests.

    Args:
        n_trials: how many, those of earlier sessions included.
        objective: the metric that is optimised, or several of them.
        sampler: what to instantiate as Optuna's sampler; a ``seed`` moves with the trials done.
        pruner: what to instantiate as Optuna's pruner.
        max_epochs: how many epochs all trials together may learn; None for any number.
        storage: URL of a database; None for a file of the project's.
        study_name: None for the id of the sweep's run.
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
        params: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(params)
        self.n_trials, self.objective = n_trials, objective
        self.sampler, self.pruner = sampler, pruner
        self.max_epochs = max_epochs
        self.storage, self.study_name = storage, study_name

    def _order(self, arguments: list[str]) -> tuple[Any, list[Any]]:
        from dataclasses import replace

        from pawprint.sweep.board import objectives_of

        order, parsed = super()._order(arguments)
        names = [self.objective] if isinstance(self.objective, str) else list(self.objective)
        objectives = objectives_of(names)
        space = [o.input_line for o in parsed if o.is_sweep_override()]
        pruned = "" if self.pruner["_target_"].endswith(".NopPruner") else " pruned"
        kind = f"search {sorted(space)} {names} {self.study_name}{pruned}"
        timed = "seconds_per_picture" in names
        return replace(order, kind=kind, objectives=objectives, timed=timed), parsed

    def _source(self, order: Any, parsed: list[Any]) -> Callable[..., Any]:
        from hydra.utils import instantiate

        from pawprint.sweep.planner import SEED
        from pawprint.system.errors import UserError

        try:
            from pawprint.sweep.search import Search, Settings, for_epochs
            from pawprint.sweep.space import corners, distributions
        except ImportError:
            raise UserError(
                "hydra/sweeper=optuna needs Optuna; `pip install optuna` installs it"
            ) from None
        if not isinstance(self.n_trials, int) or self.n_trials < 1:
            raise UserError(
                f"hydra.sweeper.n_trials is {self.n_trials}, but must be at least 1; change it"
            )
        swept = [o for o in parsed if o.is_sweep_override()]
        space = distributions([o for o in swept if o.get_key_element() != SEED])
        if not space:
            raise UserError(
                "command line: there is nothing to search; give an axis, for example "
                "optimizer=adam,sgd or 'learning_rate=tag(log,interval(1e-4,1e-1))'"
            )
        for words in corners(space):  # a mistake in it is told before a run opens
            self._resolve([*order.fixed, *words])
        seeds = [
            word for o in swept if o.get_key_element() == SEED for word in o.sweep_string_iterator()
        ]

        def sampler(done: int) -> Any:
            given = OmegaConf.to_container(OmegaConf.create(self.sampler), resolve=True)
            if given.get("seed") is not None:
                given["seed"] += done
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # options that Optuna calls experimental
                return instantiate(given)

        settings = Settings(
            n_trials=self.n_trials,
            objectives=order.objectives,
            sampler=sampler,
            pruner=instantiate(for_epochs(self.pruner, order.base.epochs)),
            max_epochs=self.max_epochs,
            storage=self.storage,
            study_name=self.study_name,
        )
        return lambda planner, known, paths: Search(
            planner, known, paths, space=space, seeds=seeds, settings=settings
        )


class WorkersLauncher(Launcher):
    """What the sweepers of this project take their workers from."""

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        """Nothing to do: the workers are opened by the sweep."""

    def launch(self, job_overrides: Any, initial_job_idx: int) -> Any:
        """Refuse: another sweeper than this project's asks for it."""
        from pawprint.system.errors import UserError

        raise UserError("this launcher works with hydra/sweeper=grid and optuna; choose one")

    def workers(self) -> Any:
        """What runs the trials."""
        raise NotImplementedError


class JoblibLauncher(WorkersLauncher):
    """Processes of this machine.

    Args:
        n_jobs: how many; -1 for one per core.
    """

    def __init__(self, n_jobs: int) -> None:
        self.n_jobs = n_jobs

    def workers(self) -> Any:
        """Processes that share the cores and GPUs."""
        from pawprint.sweep.processes import Processes

        _at_least_one("n_jobs", self.n_jobs, -1)
        return Processes(self.n_jobs)


class SubmititLauncher(WorkersLauncher):
    """Jobs of a SLURM cluster, or of this machine with ``cluster=local``.

    Args:
        cluster: slurm, local, or auto for what is there.
        jobs: how many at once.
        options: submitit's, as ``timeout_min`` or ``slurm_partition``.
    """

    def __init__(self, cluster: str, jobs: int, **options: Any) -> None:
        self.cluster, self.jobs, self.options = cluster, jobs, options

    def workers(self) -> Any:
        """A job per trial."""
        from pawprint.sweep.jobs import Jobs

        _at_least_one("jobs", self.jobs)
        return Jobs(self.cluster, self.jobs, self.options)


class RayLauncher(WorkersLauncher):
    """Tasks of a Ray cluster.

    Args:
        address: of the cluster; None for one of this machine, started for the sweep.
        num_cpus: cores of a trial.
        num_gpus: GPUs of a trial.
    """

    def __init__(self, address: str | None, num_cpus: float, num_gpus: float) -> None:
        self.address, self.num_cpus, self.num_gpus = address, num_cpus, num_gpus

    def workers(self) -> Any:
        """As many trials at once as the cluster has room for."""
        from pawprint.sweep.cluster import Cluster

        _not_below_zero("num_cpus", self.num_cpus)
        _not_below_zero("num_gpus", self.num_gpus)
        return Cluster(self.address, self.num_cpus, self.num_gpus)


def _at_least_one(name: str, value: Any, or_else: int | None = None) -> None:
    """Refuse what is no count.

    Raises:
        UserError: it is none.
    """
    from pawprint.system.errors import UserError

    if isinstance(value, int) and (value >= 1 or value == or_else):
        return
    also = "" if or_else is None else f", or {or_else} for one per core"
    raise UserError(f"hydra.launcher.{name} is {value}, but must be at least 1{also}; change it")


def _not_below_zero(name: str, value: Any) -> None:
    """Refuse what is no amount.

    Raises:
        UserError: it is none.
    """
    from pawprint.system.errors import UserError

    if not isinstance(value, int | float) or value < 0:
        raise UserError(f"hydra.launcher.{name} is {value}, but must be at least 0; change it")


def open_workers(config: Any) -> Any:
    """The workers that ``hydra/launcher`` chooses.

    Raises:
        UserError: it is none of this project's, or its library is not installed.
    """
    from hydra.core.plugins import Plugins

    from pawprint.sweep.workers import InProcess
    from pawprint.system.errors import UserError

    chosen = config.hydra.runtime.choices["hydra/launcher"]
    if chosen == "basic":
        return InProcess()
    launcher = Plugins.instance()._instantiate(config.hydra.launcher)
    if not isinstance(launcher, WorkersLauncher):
        raise UserError(
            f"hydra/launcher={chosen} is none that this project knows; choose one of basic, "
            "joblib, submitit, ray"
        )
    try:
        return launcher.workers()
    except ImportError as error:
        raise UserError(
            f"hydra/launcher={chosen} needs {error.name}; `pip install {error.name}` installs it"
        ) from None
