"""One thing in a process of its own, so that no measurement warms or burdens the next one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from project import HERE

_ASKED = "--one"


def run(script: str | Path, what: str, *, python: str = sys.executable, **settings: Any) -> Any:
    """Do ``what`` of a script that calls ``answered``, in a new process.

    Args:
        script: the benchmark's file.
        what: name of the thing to do.
        python: interpreter.
        settings: arguments for it, as JSON can hold them.

    Returns:
        The figures that it returned.
    """
    path = os.pathsep.join([str(HERE / "src"), os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told.json"
        done = subprocess.run(
            [python, str(script), _ASKED, what, str(told), json.dumps(settings)],
            env=os.environ | {"PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"},
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        if done.returncode:
            raise SystemExit(f"{what} failed:\n{done.stdout}")
        return json.loads(told.read_text())


def answered(works: Mapping[str, Callable[..., Any]]) -> bool:
    """In a process that ``run`` started do what is asked; False in any other one.

    Args:
        works: what can be asked, by name; each returns figures.
    """
    if sys.argv[1:2] != [_ASKED]:
        return False
    _, _, what, told, settings = sys.argv
    Path(told).write_text(json.dumps(works[what](**json.loads(settings))), encoding="utf-8")
    return True
