"""What each stage computes with, a digest a stage: a project of one's own has no code to depend on.

Its `dvc.yaml` runs this as the stage `code` each time. DVC runs a stage whose file has changed.
"""

import argparse
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from pawprint.config.compose import check_path, project_root, read_params
from pawprint.config.overrides import read_yaml
from pawprint.config.paths import PACKAGE, Paths, conf_file, shipped
from pawprint.system.errors import UserError
from pawprint.system.files import replacing_file

SOURCE = "src/pawprint/"  # where the code stands for the `dvc.yaml` that comes with pawprint


def write_digests(given: argparse.Namespace) -> int:
    """Write `data/code/STAGE.txt` for each stage: its code, and the files of `conf/` it chooses.

    Raises:
        UserError: `params.yaml` chooses what is not there.
    """
    del given
    root = project_root()
    params = read_params(root)
    for key in ("images", "predict_images"):  # here, before DVC looks for a folder called ~
        check_path(key, str(params[key]))
    folder = Paths(root).code
    for name, stage in shipped_stages().items():
        lines = [f"{SOURCE} {_digest_code(code_of_stage(stage))}"]
        for choice in _choices(stage, params):
            file = conf_file(root, choice)
            if not file.is_file():
                raise UserError(f"params.yaml chooses conf/{choice}, which is not there; change it")
            # The values alone, as DVC compares them: a comment is no change.
            text = yaml.safe_dump(read_yaml(file), sort_keys=True)
            lines.append(f"conf/{choice} {hashlib.sha256(text.encode()).hexdigest()}")
        with replacing_file(folder / f"{name}.txt") as temporary:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


def shipped_stages() -> dict[str, Any]:
    """The stages of the `dvc.yaml` that comes with pawprint, by name."""
    return dict(read_yaml(shipped("dvc.yaml"))["stages"])


def code_of_stage(stage: dict[str, Any]) -> list[Path]:
    """The files of the package that decide what a stage of `shipped_stages` writes."""
    named = [dep for dep in stage["deps"] if dep.startswith(SOURCE)]
    found = [PACKAGE / dep.removeprefix(SOURCE) for dep in named]
    files = {file for path in found for file in ([path] if path.is_file() else path.rglob("*"))}
    return sorted(file for file in files if file.is_file() and file.parent.name != "__pycache__")


def _digest_code(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        digest.update(f"{file.relative_to(PACKAGE).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _choices(stage: dict[str, Any], params: dict[str, Any]) -> Iterator[str]:
    """The files below `conf/` that a stage reads, as ``optimizer/adam.yaml``."""
    for tracked in stage["params"]:
        for file in tracked if isinstance(tracked, dict) else ():
            path = re.sub(r"\$\{(\w+)\}", lambda found: str(params[found[1]]), file)
            yield path.removeprefix("conf/")
