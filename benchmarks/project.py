"""A throw-away copy of this project, so that a benchmark touches no results of its user."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Copy:
    """A copied project and commands in it."""

    root: Path

    def run(self, *command: str, quiet: bool = True) -> str:
        """Run a command with this copy's code; returns what it printed."""
        mine = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "MLFLOW_"))}
        path = f"{Path(sys.executable).parent}{os.pathsep}{mine['PATH']}"
        done = subprocess.run(
            command,
            check=False,
            cwd=self.root,
            env=mine | {"PATH": path, "PYTHONPATH": str(self.root / "src")},
            stdout=subprocess.PIPE if quiet else None,
            stderr=subprocess.PIPE if quiet else None,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
        return done.stdout or ""

    def stage(self, name: str, *settings: str) -> str:
        """Run one stage."""
        return self.run("python", "-m", "pawprint", name, *settings)

    def json(self, file: str) -> Any:
        """The content of a JSON file."""
        return json.loads((self.root / file).read_text())


@contextlib.contextmanager
def copied() -> Iterator[Copy]:
    """A committed copy with code and configuration, removed afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(Path(folder) / "project")
        shutil.copytree(HERE / "src", copy.root / "src")
        shutil.copytree(HERE / "conf", copy.root / "conf")
        for name in ("dvc.yaml", "params.yaml", ".gitignore"):
            shutil.copy(HERE / name, copy.root / name)
        copy.run("git", "init", "-q")
        copy.run("dvc", "init", "-q")
        shutil.copy(HERE / ".dvcignore", copy.root / ".dvcignore")
        shutil.copytree(HERE / ".dvc" / "plots", copy.root / ".dvc" / "plots")
        copy.run("git", "add", "-A")
        who = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost")
        copy.run("git", *who, "commit", "-qm", "copy")
        yield copy
