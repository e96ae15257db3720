"""The commands of README.md and docs/ that cost little are typed as they stand, in a project."""

import os
import shutil
import subprocess

import pytest
from documents import DOCUMENTS, ROOT, RUN, RUN_PYTHON, blocks, commands

# What stands for something of the reader's, and what it is here.
MEANT = {
    "git clone git@host:": "git clone ../desk/",
    "get git@host:flowers.git": "get ../../desk/flowers",
    "/mnt/team/flowers": "~/remote",
    "pawprint init flowers": 'cd "$(mktemp -d)" && pawprint init flowers',
    "v3": "v1",
}


@pytest.fixture(scope="module")
def home(finished, tmp_path_factory):
    """A reader's home, with pictures, and in desk/flowers a project in which the pipeline ran."""
    home = tmp_path_factory.mktemp("home")
    pictures = sorted((finished.root / "unseen").rglob("*.png"))
    for folder in ("new", "desk/flowers/data/single_prediction"):
        (home / folder).mkdir(parents=True)
    shutil.copytree(finished.root / "pictures", home / "flowers")
    shutil.copytree(finished.root, home / "desk" / "flowers", symlinks=True, dirs_exist_ok=True)
    from PIL import Image

    project = home / "desk" / "flowers"
    places = ("cat.jpg", "dog.jpg", "data/single_prediction/cat_1.jpg")
    for place in (*(project / p for p in places), home / "new" / "one.jpg"):
        Image.open(pictures[0]).save(place)
    shutil.copy(project / "cat.jpg", project / "data/single_prediction/dog_1.jpg")
    (home / ".gitconfig").write_text("[user]\nname = tester\nemail = tester@localhost\n")
    return home


def typed(finished, home, folder, script):
    """Run a script as a person's shell does, with this environment's commands."""
    # In a project and in its clone the code is its own, elsewhere that of this source tree.
    code = f"src{os.pathsep}{ROOT / 'src'}"
    environment = finished.environment(HOME=str(home), TMPDIR=str(home), PYTHONPATH=code)
    done = subprocess.run(
        ["bash", "-exo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "document",
    [one for one in DOCUMENTS if any(map(RUN.fullmatch, commands(one)))],
    ids=lambda path: path.name,
)
def test_commands_work_as_they_stand(document, finished, home):
    lines = [line for line in commands(document) if RUN.fullmatch(line)]
    folder = home / "desk" if "cd flowers" in lines else home / "desk" / "flowers"
    script = []
    for line in lines:
        for said, meant in MEANT.items():
            line = line.replace(said, meant)
        if line.startswith("git clone"):
            line = f"mkdir ~/colleague; cd ~/colleague; {line.removesuffix('.git')}"
        script.append(f"({line})" if "mktemp" in line else line)
    typed(finished, home, folder, "\n".join(script))


@pytest.mark.parametrize(
    ("document", "program"),
    [(one.name, p) for one in DOCUMENTS for p in blocks(one, "python") if RUN_PYTHON.search(p)],
)
def test_python_works_as_it_stands(document, program, finished, home, tmp_path):
    folder = tmp_path if "pawprint.init" in program else home / "desk" / "flowers"
    program = program.replace("/home/me", str(home))
    typed(finished, home, folder, f"python - <<'END'\n{program}END")
