"""`pawprint init`: a project of one's own in a folder, around the person's pictures."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from importlib.util import find_spec
from pathlib import Path

from pawprint.config.overrides import read_yaml
from pawprint.config.paths import shipped
from pawprint.project.code import SOURCE
from pawprint.project.workflow import write_workflow
from pawprint.system.errors import UserError, installing

GITHUB = "github"
COPIED = "images"  # the folder of a project that copied pictures go into
NEW = "new_pictures"  # for `pawprint predict` without a PATH
IGNORED = """\
# what the stages write; DVC keeps it
/data/
/models/
/reports/

# what tracking and sweeps write
/mlflow.db*
/mlruns/
/multirun/
/dvc_plots/

# pictures that were answered wrongly, kept by `pawprint serve`
/reviews/
"""
CONF = """\
# Choices of this project

A file here goes before pawprint's own of the same name: `model/cnn.yaml` says what `model: cnn` in
`params.yaml` means, `optimizer/mine.yaml` is one more choice for `optimizer`. `pawprint init
--conf` writes all that there are.
"""
ABOUT = """\
# The pipeline. A stage lists what it reads: its keys of params.yaml, its data, and a digest of what
# else decides what comes out: the code, so that an upgrade of pawprint runs the stages that it
# changes, and no others, and what the settings name.
"""


def init(given: argparse.Namespace) -> int:
    """Make the project that the command line asks for; returns 0.

    Raises:
        UserError: as `init_project`.
    """
    folder = Path(given.operands[0])
    init_project(
        folder,
        given.images,
        copy=given.copy,
        predict_images=given.predict_images,
        whole_conf=given.conf,
        ci=given.ci,
        settings=dict(setting.split("=", 1) for setting in given.settings),
    )
    print(f"{folder} is a project now; next:")
    if not folder.samefile(Path.cwd()):
        print(f"  cd {folder}")
    print("  dvc repro         # check the pictures, train, evaluate, register")
    print("  pawprint serve    # try the champion on a page")
    return 0


def init_project(
    folder: Path,
    images: str | os.PathLike[str] | None = None,
    *,
    copy: bool = False,
    predict_images: str | os.PathLike[str] | None = None,
    whole_conf: bool = False,
    ci: str | None = None,
    settings: Mapping[str, str] | None = None,
) -> None:
    """Make a folder a project: settings, stages, git and DVC.

    What is in the folder stays as it is; where a file of the project is there already, nothing is
    written.

    Args:
        folder: is made where it is not there.
        images: a folder of class folders, an archive, or its address; None for a drawn sample.
        copy: whether the pictures are copied into the project, for DVC to keep.
        predict_images: what the stage `predict` classifies; None for no such stage, unless the
            sample is drawn.
        whole_conf: whether all files of `conf/` are written.
        ci: "github" for a workflow that reproduces each pull request; None for none.
        settings: other values of keys of `params.yaml`, as they are written there.

    Raises:
        UserError: a file of a project is there already, the pictures are not, or git or DVC is not
            installed.
    """
    _check(images, copy, ci, settings or {})
    source = _location("--images", images, folder)
    unseen = _location("--predict-images", predict_images, folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    place = folder if folder.is_dir() else folder.parent
    with tempfile.TemporaryDirectory(prefix=".pawprint.", dir=place) as temporary:
        made = Path(temporary)
        _write_files(made, COPIED if copy else source, unseen, whole_conf, settings or {})
        if ci:
            write_workflow(made)
        if copy:
            _copy_pictures(Path(str(source)), made / COPIED)
        _put(made, folder)
    if _run(["git", "rev-parse", "--is-inside-work-tree"], folder) is not None:
        _run(["git", "init", "--quiet"], folder)
    if copy:
        problem = _run([sys.executable, "-m", "dvc", "add", "--quiet", COPIED], folder)
        if problem is not None:
            raise UserError(f"{folder / COPIED} was copied, but `dvc add {COPIED}` says: {problem}")


def _location(option: str, given: str | os.PathLike[str] | None, folder: Path) -> str | None:
    """Where pictures are, as `params.yaml` of the project in ``folder`` says it."""
    if given is None or "://" in os.fspath(given):
        return given if given is None else os.fspath(given)
    # Not Path.resolve(): a link to pictures is named, not what it means today.
    path = Path(os.path.abspath(os.path.expanduser(given)))  # noqa: PTH100, PTH111
    if not path.exists():
        raise UserError(f"{option} is {given}, which does not exist; give one that is there")
    root = Path(os.path.abspath(folder))  # noqa: PTH100
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _check(
    images: str | os.PathLike[str] | None, copy: bool, ci: str | None, settings: Mapping[str, str]
) -> None:
    """Refuse what cannot become a project before anything is written."""
    if ci not in (None, GITHUB):
        raise UserError(f"--ci is {ci}, but must be {GITHUB}; change it, or leave it out")
    if copy and not (images and os.path.isdir(os.path.expanduser(images))):  # noqa: PTH111, PTH112
        raise UserError(f"--copy needs a folder of pictures, but --images is {images}; give one")
    for key in settings:
        if key in ("images", "predict_images"):
            raise UserError(f"{key} is given by --{key.replace('_', '-')}; use that instead")
        if key not in read_yaml(shipped("params.yaml")):
            raise UserError(f"{key} is no key of params.yaml; set it in a file of conf/ instead")
    if shutil.which("git") is None:
        raise UserError("a project needs git, which is not installed; install it")
    if copy and find_spec("dvc") is None:
        raise UserError(f"--copy needs DVC; {installing('dvc')} installs it")


def _write_files(
    made: Path,
    images: str | None,
    unseen: str | None,
    whole_conf: bool,
    settings: Mapping[str, str],
) -> None:
    """Write the files of a project, each as it comes with pawprint, changed where it must be."""
    params = shipped("params.yaml").read_text(encoding="utf-8")
    if images is not None:
        params = _set(params, "images", images)
        params = _set(params, "predict_images", unseen or NEW)
    elif unseen is not None:
        params = _set(params, "predict_images", unseen)
    for key, value in settings.items():
        params = _set(params, key, value)
    without = {"sample"} if images and unseen else {"sample", "predict"} if images else set()
    without |= set() if whole_conf else {"params"}  # which lists files of conf/
    texts = {
        "params.yaml": params,
        "dvc.yaml": project_stages(shipped("dvc.yaml").read_text(encoding="utf-8"), without),
        "MLproject": _without_source(shipped("MLproject").read_text(encoding="utf-8")),
        ".gitignore": IGNORED,
        "conf/README.md": CONF,
        ".dvcignore": shipped(".dvcignore").read_text(encoding="utf-8"),
    }
    if whole_conf:
        shutil.copytree(shipped("conf"), made / "conf")
    for file in ("config", ".gitignore", "plots/by_class.json"):
        texts[f".dvc/{file}"] = shipped(f".dvc/{file}").read_text(encoding="utf-8")
    for name, text in texts.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(text, encoding="utf-8")


def _set(params: str, key: str, value: str) -> str:
    """The text of `params.yaml` with another value; the comment behind it stays where it was."""
    text = value if re.fullmatch(r"[\w./+-]+", value) else _quoted(value)
    line = re.compile(rf"(?m)^{key}: \S+ *(?=#)")
    return line.sub(lambda old: f"{key}: {text}  ".ljust(len(old[0])), params)


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _without_source(text: str) -> str:
    return text.replace("PYTHONPATH=src ", "")


def project_stages(text: str, without: Collection[str] = ()) -> str:
    """The `dvc.yaml` of a project without code, from that of this one.

    Args:
        text: of the `dvc.yaml` that comes with pawprint.
        without: stages, and parts beside them, that are left out.
    """
    body = _without_source(text[text.index("stages:\n") :])
    code = re.compile(rf"(?m)^      - {SOURCE}.*\n")
    blocks = [code.sub("", block) for block in body.split("\n\n")]  # a stage each, then the rest
    return ABOUT + "\n\n".join(block for block in blocks if _name_of(block) not in without)


def _name_of(block: str) -> str:
    found = re.search(r"(?m)^(?:  )?(\w+):$", block)
    return found[1] if found else ""


def _copy_pictures(source: Path, to: Path) -> None:
    from tqdm import tqdm

    with tqdm(desc="copying", unit=" pictures", delay=1, disable=not sys.stderr.isatty()) as bar:

        def copy(one: str, other: str) -> None:
            shutil.copyfile(one, other)
            bar.update()

        shutil.copytree(source, to, copy_function=copy)
    for folder, _, _ in os.walk(to):  # also where those that were copied may not be changed
        Path(folder).chmod(0o755)


def _put(made: Path, folder: Path) -> None:
    """Move what was made into the project's folder, where nothing of it may be."""
    entries = sorted(made.iterdir())
    there = [entry.name for entry in entries if os.path.lexists(folder / entry.name)]
    if taken := [name for name in there if name != ".gitignore"]:
        raise UserError(
            f"{folder} has a {taken[0]} already; give a folder without one, or remove it there"
        )
    folder.mkdir(exist_ok=True)
    for entry in entries:
        if entry.name in there:
            with (folder / entry.name).open("a", encoding="utf-8") as file:
                file.write(f"\n{IGNORED}")
        else:
            os.replace(entry, folder / entry.name)


def _run(command: list[str], folder: Path) -> str | None:
    """None where a command succeeds, else the last line that it says."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
