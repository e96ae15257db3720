"""Shell completion, by a real bash."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pawprint.commands.completion import complete
from pawprint.commands.table import NAMES
from pawprint.config.compose import project_root

ROOT = project_root()
BASH = shutil.which("bash")
COMPLETE = """
eval "$(pawprint -sc install=bash)"
COMP_LINE="$1" COMP_POINT=${#1} COMP_WORDS=($1)
[[ $1 == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
$(complete -p pawprint | sed 's/.* -F \\([^ ]*\\) .*/\\1/')
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    """A function that runs bash where `pawprint` is this source tree's."""
    folder = tmp_path_factory.mktemp("shell")
    program = folder / "pawprint"
    program.write_text(f"#!{sys.executable}\nimport sys\nfrom pawprint.cli import main\nmain()\n")
    program.chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"

    def run(script, *arguments):
        done = subprocess.run(
            [BASH, "-c", script, "bash", *arguments],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env=os.environ | {"PATH": path},
        )
        assert done.stderr == ""
        return done.stdout.split()

    return run


@pytest.mark.skipif(BASH is None, reason="needs bash")
@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("pawprint tr", ["train"]),
        ("pawprint train optimizer=ad", ["adadelta", "adam", "adamw"]),
        ("pawprint train -m depth=2,3 hydra/launcher=", ["basic", "joblib", "ray", "submitit"]),
        ("pawprint train resize=", ["crop", "pad", "squash"]),
        ("pawprint evaluate near", ["near_duplicates="]),
        ("pawprint champion tracking=", ["local", "server"]),
        ("pawprint serve --max-m", ["--max-megabytes", "--max-megapixels"]),
    ],
)
def test_bash_completes(shell, line, found):
    replies = shell(COMPLETE, line)
    assert [reply.rpartition("=")[2] or reply for reply in replies] == found


@pytest.mark.skipif(BASH is None, reason="needs bash")
def test_bash_completes_no_more_after_uninstalling(shell):
    script = 'eval "$(pawprint -sc install=bash)"; eval "$(pawprint -sc uninstall=bash)"; '
    assert shell(f"{script} complete -p pawprint 2>/dev/null || echo none") == ["none"]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("pawprint ", sorted([*NAMES, "--help", "--version"])),
        ("pawprint train re", ["recipe=", "resize="]),
        ("pawprint train recipe=f", ["recipe=fast", "recipe=fine_tune"]),
        ("pawprint train recipe=transfer model.u", ["model.unfreeze="]),
        ("pawprint train model=transfer model.b", ["model.backbone="]),
        ("pawprint train mirror=", ["mirror=false", "mirror=true"]),
        ("pawprint train optimizer.learning_rate=", ["optimizer.learning_rate=0.02"]),
        ("pawprint train --cfg ", ["all", "hydra", "job"]),
        ("pawprint train --cfg j", ["job"]),
        ("pawprint train --augment", ["--augment-preview"]),
        ("pawprint prepare --augment", []),
        ("pawprint prepare --mu", []),
        ("pawprint predict --", None),
        ("pawprint drift --since ", []),
        ("pawprint train depht=3 mod", []),
        ("pawprint train depth=[1 mod", []),
        ("pawprint train 'open mod", []),
        ("pawprint nothing mod", []),
    ],
)
def test_a_line_is_completed(line, found):
    if found is None:
        assert {"--threshold", "--cfg"} <= set(complete(line))
    else:
        assert complete(line) == found


def test_files_go_before_keys_where_a_picture_may_stand(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for file in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / file, tmp_path)
    assert complete("pawprint predict ") == []  # the shell's own way with files
    assert complete("pawprint predict im") == ["image_size=", "images="]
    Path("image.jpg").touch()
    assert complete("pawprint predict im") == []


def test_fish_and_zsh_have_hydras_scripts_and_other_shells_a_sentence(shell):
    assert "bashcompinit" in shell("pawprint -sc install=zsh")
    assert "hydra_fish_completion" in " ".join(shell("pawprint -sc install=fish"))
    words = " ".join(shell("pawprint -sc install=tcsh 2>&1 || true"))
    assert words.startswith("error: -sc takes install=SHELL or uninstall=SHELL with bash, zsh or")
