"""Running a function of the configuration as a command: a stage, or a tool that is one."""

from __future__ import annotations

import argparse
import atexit
import gc
import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from pawprint.commands.arguments import description
from pawprint.config.compose import (
    explained,
    project_root,
    read_overrides,
    register_resolvers,
    typed,
)
from pawprint.config.overrides import as_overrides, quoted
from pawprint.system.dvc_outputs import bring_back
from pawprint.system.errors import UserError

SHOWN = ("job", "hydra", "all")
PREVIEW = "--augment-preview"
INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")


@dataclass(frozen=True)
class Stage:
    """A command whose function takes the configuration.

    Attributes:
        name: what a person types.
        help: one line of it.
        function: where it is, as "module:name".
        sweeps: whether `-m` gives the work to the configured sweeper.
        preview: the function that `--augment-preview` calls instead, where there is one.
    """

    name: str
    help: str
    function: str
    sweeps: bool = False
    preview: str | None = None


def load(function: str) -> Any:
    """The function that "module:name" names."""
    module, _, name = function.partition(":")
    return getattr(import_module(module), name)


def stage_parser(stage: Stage) -> argparse.ArgumentParser:
    """What can be typed after the name of a stage: settings, and Hydra's options."""
    parser = argparse.ArgumentParser(
        f"pawprint {stage.name}",
        usage="%(prog)s [key=value ...] [option ...]",
        description=description(stage.help),
        add_help=False,
        allow_abbrev=False,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=32, width=100),
    )
    hidden = argparse.SUPPRESS
    add = parser.add_argument_group("options").add_argument
    parser.add_argument("overrides", nargs="*", metavar="key=value", help=hidden)
    sweep = "train once for each combination of values: depth=2,3 optimizer=adam,sgd"
    add("-m", "--multirun", action="store_true", help=sweep if stage.sweeps else hidden)
    draw = "draw training pictures as augment varies them, instead of training"
    add(PREVIEW, action="store_true", help=draw if stage.preview else hidden)
    text = "print the configuration instead of running: job, hydra or all"
    add("-c", "--cfg", choices=SHOWN, metavar="WHAT", help=text)
    add("--resolve", action="store_true", help="with --cfg: print values in place of ${...}")
    add("-p", "--package", metavar="KEY", help="with --cfg: print this part alone")
    text = f"print how Hydra composes it: {', '.join(INFO)}"
    add("-i", "--info", nargs="?", const="all", choices=INFO, metavar="WHAT", help=text)
    add("-cd", "--config-dir", metavar="FOLDER", help="one with more choices, beside conf/")
    add("-cn", "--config-name", metavar="NAME", default="config", help="conf/NAME.yaml instead")
    completion = "install=bash (zsh, fish): print shell completion, for eval; also uninstall"
    add("-sc", "--shell-completion", action="store_true", help=completion)
    add("-h", "--help", action="store_true", help="print this, with the values that settings give")
    add("--hydra-help", action="store_true", help="print Hydra's own help")
    add("-r", "--run", action="store_true", help=hidden)
    for refused in (("-cp", "--config-path"), ("--experimental-rerun",)):
        add(*refused, help=hidden)
    return parser


def run_stage(stage: Stage, words: list[str]) -> int:
    """Compose the configuration from settings and call the stage's function with it.

    Args:
        stage: the command.
        words: settings and options.

    Returns:
        0, the exit code.

    Raises:
        UserError: the person can mend it.
    """
    parser = stage_parser(stage)
    given = parser.parse_intermixed_args(as_overrides(words))
    _check_options(stage, given)
    if given.shell_completion:
        from pawprint.commands.completion import shell_completion

        return shell_completion(given.overrides)
    root = project_root()
    # TensorFlow and MLflow bring a million objects that stay. To look for cycles among them again
    # and again takes a tenth of a short training, and once more at the end 2 s; Python has no
    # other way to leave them out.
    gc.set_threshold(50_000, 20, 100)
    atexit.register(gc.freeze)
    try:
        more = [] if given.config_dir is None else [_folder(given.config_dir)]
        overrides = read_overrides(root, given.overrides, *more)
        overrides += [f"hydra.searchpath=[{quoted(str(folder))}]" for folder in more]
        _call_hydra(root, stage, parser, given, overrides)
    except BaseException:
        bring_back(root)
        raise
    return 0


def _check_options(stage: Stage, given: argparse.Namespace) -> None:
    """Refuse options that do not go with each other, or not with this command."""
    if given.augment_preview and stage.preview is None:
        raise UserError(f"only train has {PREVIEW}; leave it out")
    if given.augment_preview and given.multirun:
        raise UserError(f"{PREVIEW} draws one augment at a time; leave out -m")
    if given.multirun and not stage.sweeps:
        raise UserError("only train sweeps; leave out -m")
    if given.experimental_rerun is not None:
        raise UserError(
            "--experimental-rerun takes a pickled job, and pawprint writes none; give the settings "
            "in the run's tag 'command' again"
        )
    if given.config_path is not None:
        raise UserError(
            "--config-path cannot replace conf/; give --config-dir a folder with more choices"
        )
    for option in ("resolve", "package"):
        if getattr(given, option) and not (given.cfg or given.help):
            raise UserError(f"--{option} says how --cfg prints; add --cfg job, or leave it out")
    actions = ("multirun", "run", "cfg", "info", "shell_completion")
    several = [f"--{name.replace('_', '-')}" for name in actions if getattr(given, name)]
    if len(several) > 1:
        raise UserError(f"{' and '.join(several)} do not go together; give one of them")


def _folder(path: str) -> Path:
    folder = Path(path).resolve()
    if not folder.is_dir():
        raise UserError(f"--config-dir is {path}, which is no folder; give one with choices")
    return folder


def _call_hydra(
    root: Path,
    stage: Stage,
    parser: argparse.ArgumentParser,
    given: argparse.Namespace,
    overrides: list[str],
) -> None:
    from hydra import initialize_config_dir
    from hydra._internal.utils import get_args_parser
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from hydra.types import RunMode
    from omegaconf.errors import OmegaConfBaseException

    register_resolvers(root)
    try:
        with initialize_config_dir(str(root / "conf"), job_name=stage.name, version_base="1.3"):
            hydra = GlobalHydra.instance().hydra
            assert hydra is not None
            if given.help:
                from pawprint.commands.stage_help import stage_help

                tree = hydra.compose_config(given.config_name, overrides, RunMode.RUN)
                print(stage_help(stage, parser, tree, hydra.config_loader))
            elif given.hydra_help:
                hydra.hydra_help(None, get_args_parser(), argparse.Namespace(overrides=[]))
            elif given.cfg:
                hydra.show_cfg(
                    given.config_name, overrides, given.cfg, given.package, given.resolve
                )
            elif given.info:
                hydra.show_info(given.info, given.config_name, overrides)
            else:
                _call_task(hydra, stage, given, overrides)
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        raise explained(error) from None


def _call_task(hydra: Any, stage: Stage, given: argparse.Namespace, overrides: list[str]) -> None:
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    function = stage.preview if given.augment_preview and stage.preview else stage.function
    refused: list[UserError] = []

    def task(tree: Any) -> Any:
        try:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise UserError("hydra/sweeper is none of grid, optuna; choose one of them")
            return load(function)(typed(tree))
        except UserError as error:
            refused.append(error)  # Hydra would print lines of its own

    mode = hydra.get_mode(given.config_name, overrides)
    if given.multirun or mode == RunMode.MULTIRUN:
        if not stage.sweeps:
            raise UserError("only train sweeps; leave out hydra.mode")
        hydra.multirun(given.config_name, task, [*overrides, "hydra.mode=MULTIRUN"])
    else:
        hydra.run(given.config_name, task, [*overrides, "hydra.mode=RUN"])
    if refused:
        raise refused[0]
