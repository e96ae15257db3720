"""The whole pipeline with settings: `dvc repro`, or `dvc exp run -S` where there are any.

This is what `mlflow run` calls; in a shell, call DVC itself.
"""

from __future__ import annotations

import os
import subprocess
import sys

from pawprint.config import as_overrides, fail, project_root, read_params
from pawprint.errors import UserError


def main() -> None:
    """Run DVC; ends the process with DVC's exit code."""
    try:
        root = project_root()
        read_params(root)
        command = _command(as_overrides(sys.argv[1:]))
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
    if not chosen:
        return ["dvc", "repro"]
    command = ["dvc", "exp", "run"]
    for key, value in chosen.items():
        command += ["-S", f"{key}={value}"]
    return command


def _link_opened_run() -> None:
    """Where nothing was trained, point from the run `mlflow run` opened to the one in force."""
    if "MLFLOW_RUN_ID" not in os.environ:
        return
    from pawprint.config import compose
    from pawprint.paths import Paths
    from pawprint.tracking.restore import read_record
    from pawprint.tracking.store import connect, link_opened_run

    tracking = compose().tracking
    record = read_record(Paths(project_root()).training.run)
    link_opened_run(connect(tracking.uri, tracking.experiment), record["run_id"])


if __name__ == "__main__":
    main()
