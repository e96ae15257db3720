"""The version of pawprint that runs."""

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pawprint.system.errors import DISTRIBUTION


def _version() -> str:
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:  # a source tree that was not installed
        project = Path(__file__).parents[3] / "pyproject.toml"
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])


__version__ = _version()
