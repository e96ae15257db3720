"""The serving image: what goes into it, what it installs, and that its command works with that."""

import ast
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from importlib.metadata import distribution, packages_distributions

import pytest
import requests
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from web_server import picture

from pawprint.config.compose import project_root

ROOT = project_root()
LOCK = "requirements-serve.lock"
TRAINING = {"tensorflow", "keras", "mlflow", "dvc", "hydra-core", "pandas", "scikit-learn", "scipy"}

# Stands in for an environment that has nothing but what the lock file names.
BLOCKED = """
import sys
from importlib.machinery import PathFinder
class Image(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        missing = name.partition(".")[0] in {names!r}
        return None if missing else super().find_spec(name, path, target)
sys.meta_path[:] = [Image if finder is PathFinder else finder for finder in sys.meta_path]
"""


def steps():
    """The Dockerfile's instructions as (word, rest), continued lines joined."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#"))
    joined = re.sub(r"\\\n\s*", "", text).splitlines()
    return [tuple(line.split(" ", 1)) for line in joined if line]


def all_of(word):
    return [rest for one, rest in steps() if one == word]


def command():
    """What the image runs, with its arguments."""
    (entry,), (arguments,) = all_of("ENTRYPOINT"), all_of("CMD")
    return json.loads(entry), json.loads(arguments)


def pins(file):
    """Versions by canonical names."""
    lines = [line for line in (ROOT / file).read_text().splitlines() if line[0] != "#"]
    pairs = (line.split("==") for line in lines)
    return {canonicalize_name(name): version for name, version in pairs}


def copied_from_here():
    copies = [rest.split() for rest in all_of("COPY") if not rest.startswith("--from")]
    return [source for *sources, _ in copies for source in sources]


def test_every_pin_is_that_of_the_whole_environment():
    whole, own = pins("requirements.lock"), pins(LOCK)
    assert own == {name: whole.get(name) for name in own}
    assert len(own) > 20


def test_every_package_finds_what_it_requires():
    own = pins(LOCK)
    for name in own:
        required = [Requirement(text) for text in distribution(name).requires or []]
        needed = {
            canonicalize_name(one.name)
            for one in required
            if one.marker is None or one.marker.evaluate({"extra": ""})
        }
        assert needed <= set(own), name


def test_nothing_of_training_is_installed():
    assert not TRAINING & set(pins(LOCK))


def test_what_is_copied_is_there_and_not_ignored():
    kept = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    sources = copied_from_here()
    assert set(sources) == kept
    assert all((ROOT / source).exists() for source in sources)
    installed = "\n".join(all_of("RUN"))
    assert f"-r {LOCK}" in installed
    assert installed.count("--no-deps") == 2
    for file in ("README.md", "LICENSE"):  # pyproject.toml names them, and would not build without
        assert f'"{file}"' in (ROOT / "pyproject.toml").read_text()
        assert file in sources


def test_the_image_is_small_and_runs_as_nobody_special():
    words = [word for word, _ in steps()]
    bases = all_of("FROM")
    assert [base.split()[0] for base in bases] == ["python:3.11-slim"] * 2
    (user,) = all_of("USER")
    assert user.isdigit()
    assert int(user) > 0
    assert words.index("USER") > len(words) - 1 - words[::-1].index("RUN")
    assert "://" not in re.sub(r"http://127\.0\.0\.1", "", (ROOT / "Dockerfile").read_text())


@pytest.fixture
def image(tmp_path):
    """The environment of the image: this code where there is no project, and no other packages."""
    shutil.copytree(ROOT / "src" / "pawprint", tmp_path / "site" / "pawprint")
    own = set(pins(LOCK)) | {"pawprint-classifier"}
    missing = [
        name
        for name, owners in packages_distributions().items()
        if not own & {canonicalize_name(owner) for owner in owners}
    ]
    assert {"tensorflow", "mlflow", "hydra", "scipy"} <= set(missing)
    (tmp_path / "site" / "sitecustomize.py").write_text(BLOCKED.format(names=set(missing)))
    (tmp_path / "model").mkdir()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PYTHON"))}
    return tmp_path, kept | {"PYTHONPATH": str(tmp_path / "site")}


def run(image, *arguments):
    folder, environment = image
    return subprocess.run(
        [sys.executable, "-m", "pawprint", *arguments],
        check=False,
        cwd=folder / "model",
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_image_s_command_answers_with_what_the_image_has(image, network):
    folder, environment = image
    entry, arguments = command()
    assert entry == ["pawprint"]
    shutil.copy(network, folder / "model" / "model.onnx")
    here = {"0.0.0.0": "127.0.0.1", "8000": "0", "/model/model.onnx": "model.onnx"}
    assert set(here) <= set(arguments)
    server = subprocess.Popen(
        [sys.executable, "-m", "pawprint", *(here.get(word, word) for word in arguments)],
        cwd=folder / "model",
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = server.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        assert found, server.stderr.read()
        form = [("files", ("a.jpg", picture(1)))]
        answer = requests.post(f"{found[0]}predict?maps=true", files=form, timeout=30)
        assert answer.status_code == 200, answer.text
        assert answer.json()["predictions"][0]["map"].startswith("data:image/png;base64,")
        for path in ("", "docs", "openapi.json", "model", "metrics", "examples"):
            assert requests.get(found[0] + path, timeout=30).status_code == 200, path
        (check,) = all_of("HEALTHCHECK")
        python, option, program = ast.literal_eval(check.partition(" CMD ")[2])
        assert python == "python"
        healthy = [sys.executable, option, program.replace(":8000/", f":{found[1]}/")]
        assert subprocess.run(healthy, check=False, timeout=30).returncode == 0
    finally:
        server.send_signal(signal.SIGTERM)
        _, err = server.communicate(timeout=30)
    assert (server.returncode, err) == (0, "")
    assert (
        subprocess.run(healthy, check=False, stderr=subprocess.DEVNULL, timeout=30).returncode != 0
    )


def test_predict_answers_with_what_the_image_has(image, network):
    folder, _ = image
    (folder / "model" / "a.jpg").write_bytes(picture(1))
    words = ("predict", "--model", str(network), "a.jpg")
    for form in ((), ("--json",), ("--csv",), ("--output", "out.csv"), ("--log", "seen")):
        done = run(image, *words, *form)
        assert (done.returncode, done.stderr.replace("1 files: out.csv\n", "")) == (0, ""), form
    assert (folder / "model" / "out.csv").read_text().startswith("path,label")
    refused = run(image, *words, "--output", "out.parquet")
    assert refused.returncode == 1
    assert refused.stderr == (
        "error: Parquet needs pyarrow, which is not installed; write .csv or .json\n"
    )


@pytest.mark.parametrize("command", ["serve", "predict"])
def test_a_network_that_was_not_mounted_is_one_sentence(image, command):
    pictures = ["a.jpg"] if command == "predict" else []
    refused = run(image, command, "--model", "/model/nowhere.onnx", *pictures)
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: /model/nowhere.onnx is no file; give ")
    assert refused.stderr.count("\n") == 1
