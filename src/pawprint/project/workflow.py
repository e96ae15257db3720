"""Continuous integration of a project of one's own."""

import sys
from pathlib import Path

from pawprint.system.errors import DISTRIBUTION
from pawprint.system.version import __version__

_TEMPLATE = Path(__file__).with_name("github.yml")
_FILE = Path(".github", "workflows", "pawprint.yml")


def write_workflow(root: Path) -> Path:
    """Write the workflow of GitHub that reproduces each pull request; returns its file.

    It installs the pawprint that writes it, on the same Python.

    Args:
        root: of the project.
    """
    text = _TEMPLATE.read_text(encoding="utf-8")
    python = ".".join(map(str, sys.version_info[:2]))
    package = f"{DISTRIBUTION}[train]=={__version__}"
    text = text.replace("@PACKAGE@", package).replace("@PYTHON@", python)
    file = root / _FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file
