"""The whole pipeline with settings: `dvc repro`, or `dvc exp run -S` where there are any.

This is what `mlflow run` calls; in a shell, call DVC itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import yaml

from pawprint.config.compose import as_overrides, compose, fail, project_root, with_recipe
from pawprint.config.schema import CHOICES
from pawprint.system.errors import UserError


def main() -> None:
    """Run DVC; ends the process with DVC's exit code."""
    try:
        root = project_root()
        command = _command(as_overrides(with_recipe(root, sys.argv[1:])))
    except UserError as error:
        fail(error)
    code = subprocess.run(command, cwd=root).returncode
    if code == 0:
        _link_opened_run()
    sys.exit(code)


def _command(settings: list[str]) -> list[str]:
    """DVC's words for the settings; the last of several for one key counts."""
    chosen: dict[str, str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or setting.startswith("-"):
            raise UserError(f"{setting!r} is not a setting; give key=value, for example depth=3")
        chosen[key] = value
    words = [f"{key}={value}" for key, value in chosen.items()]
    config = compose(words)  # a mistake is told before DVC edits a file
    if not words:
        return ["dvc", "repro"]
    return ["dvc", "exp", "run", *dvc_settings(words, config.flat())]


def dvc_settings(words: list[str], parameters: Mapping[str, Any]) -> list[str]:
    """Hydra overrides (``key=value``) as `-S` settings of `dvc exp run`.

    A value inside a choice (``optimizer.beta_1=0.8``) lives in the file that ``parameters``, flat
    as ``Config.flat`` gives them, choose; a key that this file lacks is added to it.
    """
    settings = []
    for word in words:
        key, _, value = word.lstrip("+").partition("=")
        group, _, name = key.partition(".")
        if group in CHOICES and name:
            file = f"conf/{group}/{parameters[group]}.yaml"
            there = yaml.safe_load((project_root() / file).read_text(encoding="utf-8"))
            key = f"{file}:{'' if name in there else '+'}{name}"
        settings += ["-S", f"{key}={value}"]
    return settings


def _link_opened_run() -> None:
    """Where nothing was trained, point from the run `mlflow run` opened to the one in force."""
    if "MLFLOW_RUN_ID" not in os.environ:
        return
    from pawprint.config.paths import Paths
    from pawprint.tracking.store import connect, link_opened_run
    from pawprint.tracking.trained_run import run_of

    tracking = compose().tracking
    store = connect(tracking.uri, tracking.experiment)
    link_opened_run(store, run_of(store, Paths(project_root()).training), "pipeline")
