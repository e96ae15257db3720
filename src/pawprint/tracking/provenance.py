"""Where a run comes from: code, command and DVC, as MLflow tags."""

import contextlib
import getpass
import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from yaml import YAMLError

from pawprint.data.sources.address import without_credentials
from pawprint.system.errors import DISTRIBUTION


def provenance(root: Path) -> dict[str, str]:
    """Tags that lead from a run back to the commit, the command and the DVC experiment.

    ``git_dirty`` is ``true`` when a tracked file differs from the commit.
    """
    words = [without_credentials(word) if "://" in word else word for word in sys.argv[1:]]
    tags = {
        "command": shlex.join(["pawprint", *words])[:5000],
        "mlflow.source.name": shlex.join(["pawprint", *sys.argv[1:2]]),
        "mlflow.source.type": "LOCAL",
    }
    commit = _git(root, "rev-parse", "HEAD")
    if commit:
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
        tags["git_commit"] = tags["mlflow.source.git.commit"] = commit
        tags["git_dirty"] = "true" if changed else "false"
    with contextlib.suppress(OSError, KeyError):  # a container user without a name
        tags["mlflow.user"] = getpass.getuser()
    for variable in ("DVC_STAGE", "DVC_EXP_NAME"):
        if value := os.environ.get(variable):
            tags[variable.lower()] = value
    return tags


def committed_settings(root: Path, file: str) -> dict[str, Any]:
    """The keys and values of a YAML file as it was committed; where it was not, as it is.

    Args:
        root: of the project.
        file: in it, with forward slashes.

    Returns:
        What is in it; nothing where there is no such file, or where it is broken.
    """
    from omegaconf import OmegaConf

    try:
        text = _git(root, "show", f"HEAD:./{file}") or (root / file).read_text(encoding="utf-8")
        content = OmegaConf.to_container(OmegaConf.create(text))  # numbers as in the configuration
    except (OSError, ValueError, YAMLError):
        return {}
    return {str(k): v for k, v in content.items()} if isinstance(content, dict) else {}


def environment(root: Path) -> dict[str, str]:
    """What this process runs on: code, libraries, machine."""
    found = {"git commit": _git(root, "rev-parse", "HEAD") or "none"}
    found["Python"] = platform.python_version()
    for name in (DISTRIBUTION, "tensorflow", "keras", "onnxruntime", "numpy", "scikit-learn"):
        with contextlib.suppress(PackageNotFoundError):  # our own code, where it is not installed
            found[name] = version(name)
    found["system"] = platform.platform(terse=True)
    found["processor"] = f"{platform.machine()}, {os.cpu_count()} cores"
    return found


def _git(root: Path, *arguments: str) -> str:
    """What git prints, or nothing where there is no git or no commit."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
