"""A copy of this project on tiny painted pictures, run once; each test works on its own copy."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).resolve().parents[2]
TINY = {
    "images": "pictures",
    "predict_images": "unseen",
    "image_size": 16,
    "model": "cnn",
    "depth": 1,
    "augment": "light",
    "growth": "none",
    "optimizer": "adamw",
    "epochs": 2,
    "batch_size": 8,
}


@dataclass(frozen=True)
class Project:
    """A project's folder and commands in it."""

    root: Path

    def run(
        self, *command: str, code: int | None = 0, cwd: Path | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command with this project's code; check its exit code unless ``code`` is None."""
        done = subprocess.run(
            command,
            cwd=cwd or self.root,
            env=self.environment(**variables),
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )
        said = f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        assert code is None or done.returncode == code, said
        return done

    def start(self, *command: str, **variables: str) -> subprocess.Popen[str]:
        """Start a command whose lines can be read as they come."""
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=self.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # A shell in the background lets its children ignore Ctrl-C; these must not.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def stage(self, name: str, *settings: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run one stage's entry point."""
        return self.run("python", "-m", "pawprint", name, *settings, **options)

    def environment(self, **variables: str) -> dict[str, str]:
        """The environment of a shell in which this project's environment is active."""
        mine = {
            k: v
            for k, v in os.environ.items()
            # With PYTHONDONTWRITEBYTECODE the project's folders would not change as a user's do.
            if not k.startswith(("DVC_", "MLFLOW_", "PAWPRINT_", "PYTHON", "HYDRA_"))
        }
        path = f"{Path(sys.executable).parent}{os.pathsep}{mine['PATH']}"
        return mine | {"PATH": path, "PYTHONPATH": str(self.root / "src")} | variables

    def repro(self, **variables: str) -> list[str]:
        """Run `dvc repro`; returns the stages that ran or were restored, in their order.

        Without `code`, which runs each time.
        """
        done = self.run("dvc", "repro", **variables)
        marks = ("Running stage '", "is cached - skipping run")
        lines = [line for line in done.stdout.splitlines() if any(m in line for m in marks)]
        stages = [line.split("'")[1] for line in lines]
        assert stages[0] == "code"
        return stages[1:]

    def stale(self) -> list[str]:
        """The stages that `dvc repro` would run first, of those that do not depend on them."""
        self.stage("code")
        status = json.loads(self.run("dvc", "status", "--json").stdout)
        return [stage for stage in status if stage != "code"]

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace the one place of ``old`` in a file."""
        path = self.root / file
        text = path.read_text()
        assert text.count(old) == 1, f"{old!r} in {file}"
        path.write_text(text.replace(old, new))

    def write(self, file: str, text: str) -> None:
        """Write a file."""
        (self.root / file).parent.mkdir(parents=True, exist_ok=True)
        (self.root / file).write_text(text)

    def json(self, file: str) -> Any:
        """The content of a JSON file."""
        return json.loads((self.root / file).read_text())

    def client(self) -> Any:
        """An MLflow client of the project's own store."""
        from mlflow import MlflowClient

        address = f"sqlite:///{self.root / 'mlflow.db'}"
        return MlflowClient(address, address)  # else the registry is that of an earlier test

    def runs(self) -> list[Any]:
        """All runs of the project's experiment, oldest first."""
        client = self.client()
        experiment = client.get_experiment_by_name("pawprint")
        return list(
            client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])
        )

    def commit(self, message: str) -> None:
        """Commit all that there is."""
        self.run("git", "add", "-A")
        who = ("-c", "user.name=tester", "-c", "user.email=tester@localhost")
        self.run("git", *who, "commit", "-qm", message)

    def copy(self, root: Path) -> Project:
        """Another project with the same files and results."""
        shutil.copytree(self.root, root, symlinks=True)
        return Project(root)


def _lay_out(root: Path, paint_folder: Callable[..., Any]) -> Project:
    for name in ("conf", "src"):
        shutil.copytree(
            HERE / name, root / name, ignore=shutil.ignore_patterns("*pycache*", "*.egg-info")
        )
    for name in ("dvc.yaml", "MLproject", ".gitignore"):
        shutil.copy(HERE / name, root / name)
    text = (HERE / "params.yaml").read_text()
    for key, value in TINY.items():
        old = next(line for line in text.splitlines() if line.startswith(f"{key}:"))
        text = text.replace(old, f"{key}: {value}")
    (root / "params.yaml").write_text(text)
    assert yaml.safe_load(text)["image_size"] == 16
    paint_folder(root / "pictures", {"cats": 20, "dogs": 20})
    paint_folder(root, {"unseen": 3}, seed=7)
    project = Project(root)
    project.run("git", "init", "-q")
    project.run("dvc", "init", "-q")
    shutil.copy(HERE / ".dvcignore", root / ".dvcignore")
    project.run("dvc", "config", "core.analytics", "false")
    shutil.copytree(HERE / ".dvc" / "plots", root / ".dvc" / "plots")
    project.commit("a project")
    return project


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory, paint_folder: Callable[..., Any]) -> Project:
    """A committed project in which nothing ran yet; for reading only, copy it to work on it."""
    return _lay_out(tmp_path_factory.mktemp("fresh"), paint_folder)


@pytest.fixture(scope="session")
def finished(fresh: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose pipeline ran once; for reading only, copy it to work on it."""
    project = fresh.copy(tmp_path_factory.mktemp("finished") / "project")
    project.run("dvc", "repro")
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A project of one's own whose pipeline ran once."""
    return finished.copy(tmp_path / "project")
