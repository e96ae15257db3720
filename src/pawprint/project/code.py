"""What a stage computes with that DVC does not see: a file a stage, with a digest a line.

The stage `code` of `dvc.yaml` runs this each time, and DVC runs a stage whose file has changed.
"""

import argparse
import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from pawprint.config.compose import (
    Settings,
    check_path,
    compose_tracking,
    project_root,
    read_settings,
)
from pawprint.config.overrides import RECIPE, read_yaml
from pawprint.config.paths import PACKAGE, Paths, conf_file, shipped
from pawprint.config.schema import CHOICES
from pawprint.data.folders import files_below
from pawprint.system.errors import UserError
from pawprint.system.files import replacing_file, sha256_of

SOURCE = "src/pawprint/"  # where the code stands for the `dvc.yaml` that comes with pawprint
FILES = ("model.backbone", "model.weights")  # keys within a choice that may name a file


def write_digests(given: argparse.Namespace) -> int:
    """Write `data/code/STAGE.txt` for each stage: what `digests_of` says, a line each; returns 0.

    Raises:
        UserError: `params.yaml` chooses what is not there.
    """
    del given
    root = project_root()
    settings = read_settings(root)
    for key in ("images", "predict_images", "unlabelled"):  # before DVC looks for a folder called ~
        if (path := settings.params[key]) is not None:
            check_path(key, str(path))
    if said := settings.replaced():
        print(said)
    for name, stage in shipped_stages().items():
        file = Paths(root).code / f"{name}.txt"
        before = file.read_text(encoding="utf-8") if file.is_file() else None
        known = dict(line.rsplit(" ", 1) for line in (before or "").splitlines())
        digests = digests_of(stage, settings, root, known)
        text = "".join(f"{what} {sha256}\n" for what, sha256 in digests)
        if text != before:
            with replacing_file(file) as temporary:
                temporary.write_text(text, encoding="utf-8")
    return 0


def digests_of(
    stage: Mapping[str, Any], settings: Settings, root: Path, known: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """What a stage reads beside its dependencies and parameters: what it is, and its sha256.

    Args:
        stage: of `shipped_stages`.
        settings: of `params.yaml` and its recipe.
        root: of the project.
        known: the digests of the last time, by what they are of.
    """
    if not (root / SOURCE).is_dir():  # else the code is a dependency
        yield SOURCE, _digest_code(code_of_stage(stage))
    changed = {
        key: value
        for key, value in settings.recipe.items()
        if key.partition(".")[0] in stage["params"] and settings.params.get(key) != value
    }
    if changed:
        yield f"conf/recipe/{settings.params[RECIPE]}.yaml", _digest_values(changed)
    for key in stage["params"]:
        yield from digests_of_key(key, settings.params | settings.recipe, root, known)


def digests_of_key(
    key: str, settings: Mapping[str, Any], root: Path, known: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """What the value of a key names, whose content counts and not the name alone.

    A file that is not here, as in a colleague's clone, is taken to be what it was.

    Args:
        key: of `params.yaml`.
        settings: values by key, those of the recipe put in.
        root: of the project.
        known: as of `digests_of`.
    """
    if key in NAMING and (value := settings[key]) is not None:
        what = f"{key} {value}"
        if sha256 := NAMING[key](str(value), Paths(root)) or known.get(what):
            yield what, sha256
    if key not in CHOICES:
        return
    choice = f"{key}/{settings[key]}.yaml"
    chosen = read_yaml(conf_file(root, choice))
    yield f"conf/{choice}", _digest_values(chosen)
    for name in FILES:
        group, _, inner = name.partition(".")
        value = str(settings.get(name, chosen.get(inner)))
        if group == key and (path := Paths(root).given(value)).is_file():
            yield value, sha256_of(path)
        elif group == key and value in known:
            yield value, known[value]


def shipped_stages() -> dict[str, Any]:
    """The stages of the `dvc.yaml` that comes with pawprint, by name, but for `code`."""
    stages = dict(read_yaml(shipped("dvc.yaml"))["stages"])
    del stages["code"]
    return stages


def code_of_stage(stage: Mapping[str, Any]) -> list[Path]:
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


def _digest_teacher(name: str, paths: Paths) -> str | None:
    from pawprint.registry.teacher import teacher_digest  # here: it brings numpy

    try:
        return teacher_digest(name, compose_tracking()[0], paths)
    except UserError:  # train tells it, if it is run
        return None


def _digest_folder(name: str, paths: Paths) -> str | None:
    """Of the names, sizes and times of all files in it: to read them takes long."""
    path = paths.pictures(name)
    if not isinstance(path, Path) or not path.exists():
        return None
    digest = hashlib.sha256()
    for file in sorted(files_below(path)) if path.is_dir() else [str(path)]:
        with contextlib.suppress(OSError):  # a link to nowhere
            status = Path(file).stat()
            place = os.fsencode(os.path.relpath(file, path))
            digest.update(b"%b\0%d\0%d\0" % (place, status.st_size, status.st_mtime_ns))
    return digest.hexdigest()


# Keys of which the value names a network or pictures.
NAMING = {"teacher": _digest_teacher, "unlabelled": _digest_folder}


def _digest_values(values: Mapping[str, Any]) -> str:
    """Of the values alone, as DVC compares them: a comment is no change."""
    text = yaml.safe_dump(dict(values), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
