"""The whole pipeline with settings: `dvc repro`, or `dvc exp run -S` where there are any.

This is what `mlflow run` calls; in a shell, call DVC itself.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pawprint.config.compose import Settings, compose, project_root, read_settings
from pawprint.config.overrides import NO_RECIPE, RECIPE, read_recipe, read_yaml
from pawprint.config.paths import Paths, conf_file, shipped
from pawprint.config.schema import CHOICES
from pawprint.system.errors import UserError, installing
from pawprint.tracking.store import connect, link_opened_run
from pawprint.tracking.trained_run import run_of


def pipeline(given: argparse.Namespace) -> int:
    """Run DVC with settings, of which the last for one key counts; returns its exit code.

    Raises:
        UserError: a setting is wrong.
    """
    root = project_root()
    config = compose(given.settings)  # a mistake is told before DVC edits a file
    words = params_words(root, read_settings(root, given.settings))
    command = ["dvc", "repro"]
    if words:
        settings = dvc_settings(root, words, config.flat())
        for file in {word.partition(":")[0] for word in settings if word.startswith("conf/")}:
            if not (root / file).exists():  # DVC changes files of the project alone
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(shipped(file), root / file)
        command = ["dvc", "exp", "run", *settings]
    # DVC and the stages of this environment, whether or not it is active in the shell.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = os.environ | {"PATH": path}
    try:
        code = subprocess.run(command, cwd=root, env=environment, check=False).returncode
    except FileNotFoundError:
        raise UserError(f"pipeline needs DVC; {installing('dvc')} installs it") from None
    if code == 0 and "MLFLOW_RUN_ID" in os.environ:
        # Where nothing was trained, the run that `mlflow run` opened points to the one in force.
        tracking = compose().tracking
        store = connect(tracking.uri, tracking.experiment)
        link_opened_run(store, run_of(store, Paths(root)), "pipeline")
    if code == 0:
        print("`pawprint serve` opens a page to try the champion on, `mlflow ui` one of the runs")
    return code


def params_words(root: Path, settings: Settings) -> list[str]:
    """Settings that say the same within ``params.yaml``, ``key=value``, the last for each key.

    A recipe goes before ``params.yaml``: one of which something is set otherwise is written out.
    """
    name = settings.params[RECIPE]
    is_whole = settings.recipe == read_recipe(root, name)
    words = settings.given if is_whole else settings.overrides
    chosen = dict(word.split("=", 1) for word in words)
    if settings.where == "command line" or not is_whole:
        chosen = {RECIPE: name if is_whole else NO_RECIPE} | chosen
    return [f"{key}={value}" for key, value in chosen.items()]


def dvc_settings(root: Path, words: list[str], parameters: Mapping[str, Any]) -> list[str]:
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
            there = read_yaml(conf_file(root, file.removeprefix("conf/")))
            key = f"{file}:{'' if name in there else '+'}{name}"
        settings += ["-S", f"{key}={value}"]
    return settings
