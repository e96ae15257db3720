"""Commands whose function takes the configuration: their options, their help, their run."""

import argparse
import atexit
import gc
import json
import os
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from pawprint.commands.arguments import PREVIEW, Stage, stage_parser
from pawprint.commands.completion import shell_completion
from pawprint.config.compose import (
    Settings,
    explained,
    format_range,
    hydra_of,
    project_root,
    read_settings,
    typed,
)
from pawprint.config.overrides import RECIPE, as_overrides, quoted
from pawprint.config.schema import CHOICES, DESCRIPTION
from pawprint.project.code import shipped_stages
from pawprint.system.dvc_outputs import bring_back
from pawprint.system.errors import UserError

WIDTH, KEY, VALUE = 100, 27, 18  # columns of the help
HYDRA_GROUPS = {"hydra/sweeper": "how -m goes through the axes", "hydra/launcher": "where -m runs"}


def load(function: str) -> Any:
    """The function that "module:name" names."""
    module, _, name = function.partition(":")
    return getattr(import_module(module), name)


def run_stage(stage: Stage, words: list[str]) -> int:
    """Compose the configuration from a command's words and call the stage with it; returns 0.

    Raises:
        UserError: the person can mend it.
    """
    given = stage_parser(stage).parse_intermixed_args(as_overrides(words))
    _check_options(stage, given)
    if given.shell_completion:
        return shell_completion(given.overrides)
    root = project_root()
    # TensorFlow and MLflow bring a million objects that stay. To look for cycles among them again
    # and again takes a tenth of a short training, and once more at the end 2 s; Python has no
    # other way to leave them out.
    gc.set_threshold(50_000, 20, 100)
    atexit.register(gc.freeze)
    try:
        more = [] if given.config_dir is None else [Path(given.config_dir).resolve()]
        settings = read_settings(root, given.overrides, *more)
        settings.given.extend(f"hydra.searchpath=[{quoted(str(folder))}]" for folder in more)
        _call_hydra(root, stage, given, settings)
    except BaseException:
        bring_back(root)
        raise
    return 0


def _check_options(stage: Stage, given: argparse.Namespace) -> None:
    """Refuse options that do not go with each other, or not with this command."""
    actions = ("multirun", "run", "cfg", "info", "shell_completion")
    several = [f"--{name.replace('_', '-')}" for name in actions if getattr(given, name)]
    folder, preview, prints = given.config_dir, given.augment_preview, given.cfg or given.help
    lost = not Path(folder or ".").is_dir()
    of_cfg = "says how --cfg prints; add --cfg job, or leave it out"
    refused = {
        f"only train has {PREVIEW}; leave it out": preview and stage.preview is None,
        f"{PREVIEW} draws one augment at a time; leave out -m": preview and given.multirun,
        "only train sweeps; leave out -m": given.multirun and not stage.sweeps,
        "--experimental-rerun takes a pickled job, and pawprint writes none; give the settings in "
        "the run's tag 'command' again": given.experimental_rerun is not None,
        "--config-path cannot replace conf/; give --config-dir a folder with more "
        "choices": given.config_path is not None,
        f"--config-dir is {folder}, which is no folder; give one with choices": lost,
        f"--resolve {of_cfg}": given.resolve and not prints,
        f"--package {of_cfg}": given.package and not prints,
        f"{' and '.join(several)} do not go together; give one of them": len(several) > 1,
    }
    for sentence, is_wrong in refused.items():
        if is_wrong:
            raise UserError(sentence)


def _call_hydra(root: Path, stage: Stage, given: argparse.Namespace, settings: Settings) -> None:
    from hydra._internal.utils import get_args_parser
    from hydra.errors import HydraException
    from hydra.types import RunMode
    from omegaconf.errors import OmegaConfBaseException

    name, words = given.config_name, settings.overrides
    try:
        with hydra_of(root, settings.params, stage.name) as hydra:
            if given.help:
                tree = hydra.compose_config(name, words, RunMode.RUN)
                print(_stage_help(stage, tree, hydra.config_loader))
            elif given.hydra_help:
                hydra.hydra_help(None, get_args_parser(), argparse.Namespace(overrides=[]))
            elif given.cfg:
                hydra.show_cfg(name, words, given.cfg, given.package, given.resolve)
            elif given.info:
                hydra.show_info(given.info, name, words)
            else:
                _tell_recipe(stage, settings)
                _call_task(hydra, stage, given, words)
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        raise explained(error) from None


def _tell_recipe(stage: Stage, settings: Settings) -> None:
    """Say what a recipe goes before, of the keys that a stage reads; in DVC `code` has said it."""
    stages = {} if "DVC_STAGE" in os.environ or not settings.recipe else shipped_stages()
    if stage.name in stages and (said := settings.replaced(stages[stage.name]["params"])):
        print(said, file=sys.stderr)


def _call_task(hydra: Any, stage: Stage, given: argparse.Namespace, overrides: list[str]) -> None:
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    function = stage.preview if given.augment_preview and stage.preview else stage.function
    refused: list[UserError | OSError | ModuleNotFoundError] = []

    def task(tree: Any) -> Any:
        try:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise UserError("hydra/sweeper is none of grid, optuna; choose one of them")
            return load(function)(typed(tree))
        except (UserError, OSError, ModuleNotFoundError) as error:
            refused.append(error)  # Hydra would print lines of its own

    mode = hydra.get_mode(given.config_name, overrides)
    if given.multirun or mode == RunMode.MULTIRUN:
        if not stage.sweeps:
            raise UserError("only train sweeps; leave out hydra.mode")
        hydra.multirun(given.config_name, task, [*overrides, "hydra.mode=MULTIRUN"])
    elif any(word.startswith(tuple(HYDRA_GROUPS)) for word in overrides):
        raise UserError(f"{' and '.join(HYDRA_GROUPS)} are of sweeps; add -m, or leave them out")
    else:
        hydra.run(given.config_name, task, [*overrides, "hydra.mode=RUN"])
    if refused:
        raise refused[0]


def _stage_help(stage: Stage, tree: Any, loader: Any) -> str:
    """Options, and every key with its value in ``tree`` and what it may be, by Hydra's loader."""
    from omegaconf import open_dict, read_write

    chosen = tree.hydra.runtime.choices
    with open_dict(tree), read_write(tree):
        del tree["hydra"]
    config = typed(tree)

    def choices(group: str) -> str:
        return f"one of {', '.join(sorted(loader.get_group_options(group)))}"

    rows = []
    for key, value, text, limits in keys(config):
        of_file = key in (RECIPE, *CHOICES)
        limits = choices(key) if of_file else limits.removesuffix(" and below inf")
        rows.append(_row(key, value, f"{text}; {limits}" if limits else text))
    if stage.sweeps:
        for group, text in HYDRA_GROUPS.items():
            rows.append(_row(group, chosen[group], f"{text}; {choices(group)}"))
    title = "keys, each with its value now; key=value sets another:"
    return "\n".join([stage_parser(stage).format_help(), title, *rows])


def keys(node: Any, prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Each key of a configuration: its name, its value, what it says and what it may be."""
    for field in fields(node):
        value, name = getattr(node, field.name), f"{prefix}{field.name}"
        text = field.metadata[DESCRIPTION]
        if is_dataclass(value):
            yield name, getattr(value, "name", ""), text, ""
            yield from keys(value, f"{name}.")
        elif not prefix or field.name != "name":  # which stands at its group
            is_word = value is None or isinstance(value, bool)
            shown = json.dumps(value) if is_word else str(value)  # null, true, false
            yield name, shown, text, format_range(field.metadata)


def _row(key: str, value: str, text: str) -> str:
    """A line, or several where the value or the text is long."""
    head, indent = f"  {key:{KEY}}{value:{VALUE}} ", " " * (3 + KEY + VALUE)
    if len(head) > len(indent):
        return (
            f"{head.rstrip()}\n{textwrap.indent(textwrap.fill(text, WIDTH - len(indent)), indent)}"
        )
    return textwrap.fill(text, WIDTH, initial_indent=head, subsequent_indent=indent)
