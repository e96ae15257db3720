"""README.md and docs/: what they show is there, and each command that they give has a proof."""

import ast
import dataclasses
import itertools
import os
import re
import shlex
import subprocess
import sys
import tomllib
from html import unescape
from pathlib import Path

import pytest
import yaml
from documents import (
    DOCUMENTS,
    LANGUAGES,
    PROOFS,
    PYTHON_PROOFS,
    ROOT,
    RUN,
    RUN_PYTHON,
    blocks,
    commands,
    proof_of,
)
from packaging.requirements import Requirement

from pawprint.commands.arguments import Stage, Tool, parse_tool, stage_parser
from pawprint.commands.table import COMMANDS, PREDICT
from pawprint.config.compose import compose
from pawprint.config.overrides import as_overrides
from pawprint.config.schema import Config
from pawprint.system.errors import EXTRAS

ALL = [(document.name, command) for document in DOCUMENTS for command in commands(document)]
PYTHON = [body for document in DOCUMENTS for body in blocks(document, "python")]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_block_says_its_language_and_commands_are_in_those_that_are_looked_at(document):
    fences = re.findall(r"^```(.*)$", document.read_text(), re.MULTILINE)
    assert set(fences[::2]) <= set(LANGUAGES)
    assert set(fences[1::2]) <= {""}
    for body in blocks(document, "text", "yaml"):
        assert not re.search(r"^\$? ?(pawprint|dvc|mlflow|git|pip|make) ", body, re.MULTILINE)


@pytest.mark.parametrize(("document", "command"), ALL)
def test_a_command_is_run_by_a_test(document, command):
    runs, proof = RUN.fullmatch(command), proof_of(command)
    assert runs or proof, f"{document}: name a proof of {command!r} in tests/documents.py"
    assert not (runs and proof), command
    if proof:
        assert [word for word in proof.words if word not in command] == []


@pytest.mark.parametrize("proof", [*PROOFS, *PYTHON_PROOFS], ids=lambda proof: proof.commands)
def test_the_proof_of_a_command_is_there_and_has_its_words(proof):
    file, _, name = proof.test.partition("::")
    text = (ROOT / "tests" / file).read_text()
    assert re.search(rf"^def {name}\(", text, re.MULTILINE)
    assert [word for word in proof.words if word not in text] == []
    used = [re.fullmatch(proof.commands, command) for _, command in ALL]
    used += [re.search(proof.commands, body) for body in PYTHON]
    assert any(used), "superfluous"


def words_of(command):
    """The words behind `pawprint`, which may stand behind a pipe."""
    words = shlex.split(command)
    return words[words.index("pawprint") + 1 :]


@pytest.mark.parametrize(
    "command", sorted({c for _, c in ALL if re.match(r"(find .*\| )?pawprint ", c)})
)
def test_the_options_and_settings_of_a_command_are_there(command):
    name, *words = words_of(command)
    parsed = COMMANDS[name]
    if name == PREDICT.name and not all(map(PREDICT.takes_setting, words)):
        parsed = PREDICT
    if isinstance(parsed, Tool):
        compose(parse_tool(parsed, words).settings)
        return
    assert isinstance(parsed, Stage)
    given = stage_parser(parsed).parse_intermixed_args(as_overrides(words))
    assert given.multirun <= parsed.sweeps
    check(given.overrides)


@pytest.mark.parametrize("command", sorted({c for _, c in ALL if " -S " in c or " -P " in c}))
def test_the_settings_of_dvc_and_mlflow_are_those_of_the_schema(command):
    words = shlex.split(command)
    check([value for option, value in itertools.pairwise(words) if option in ("-S", "-P")])
    if words[0] == "mlflow":
        entries = yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"]
        assert words[words.index("-e") + 1] in entries


def check(settings):
    """Compose settings, of an axis each value alone."""
    plain = [word for word in settings if not word.startswith("hydra") and "(" not in word]
    for place, word in enumerate(plain):
        key, _, values = word.partition("=")
        for value in values.split(","):
            assert compose([*plain[:place], f"{key}={value}"])
        plain[place] = f"{key}={values.split(',')[0]}"


def test_what_is_installed_is_there():
    name, extras = PROJECT["name"], PROJECT["optional-dependencies"]
    wheel = f"dist/{name.replace('-', '_')}-{PROJECT['version']}-py3-none-any.whl"
    installed = [shlex.split(c) for _, c in ALL if re.match(r"(pip|uv tool|pipx) install ", c)]
    assert len(installed) >= 5
    for words in installed:
        (what,) = [word for word in words if "[" in word]
        path, _, inside = what.partition("[")
        assert path in (".", name, wheel)
        assert set(Requirement(f"x[{inside}").extras) <= set(extras)
    table = (ROOT / "docs" / "index.md").read_text().partition("## Other ways to install")[2]
    told = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert told == [extra for extra in extras if extra != "dev"]
    assert set(told) == set(EXTRAS)


def test_the_makefile_has_each_target():
    makefile = (ROOT / "Makefile").read_text()
    targets = {c.split()[1] for _, c in ALL if c.startswith("make ")}
    for document in DOCUMENTS:
        targets |= set(re.findall(r"`make ([\w-]+)`", document.read_text()))
    assert {"repro", "test", "docs"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_python_is_python_and_settings_are_settings(document):
    for body in blocks(document, "python"):
        ast.parse(body)
        proved = any(re.search(proof.commands, body) for proof in PYTHON_PROOFS)
        assert bool(RUN_PYTHON.search(body)) != proved, body
    for body in blocks(document, "yaml"):
        assert set(yaml.safe_load(body)) <= {field.name for field in dataclasses.fields(Config)}


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200


def constants():
    """Every text in the source, f-strings in their pieces."""
    for file in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_troubleshooting_quotes_what_the_code_says():
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    quoted = re.findall(r"^\| (`{1,2}) ?(.*?) ?\1 \|", text, re.MULTILINE)
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(quoted) == len(rows) >= 40
    said = "\0".join(constants())
    for _, sentence in quoted:
        pieces = [piece for piece in re.split("…", sentence) if len(piece.strip(' ."(;,')) > 3]
        assert pieces, sentence
        for piece in pieces:
            assert piece in said, sentence


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site; a warning, as of a link to nowhere, fails."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},  # of the tool's future, not of these pages
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_the_site_is_built_without_a_warning_and_takes_nothing_from_other_hosts(site):
    pages = {path.stem for path in site.glob("*.html")}
    assert pages == {path.stem for path in ROOT.glob("docs/*.md")} | {"404"}
    for page in site.rglob("*.html"):
        loaded = re.findall(r"<(?:script|img|iframe|link)\b[^>]*", page.read_text())
        foreign = [tag for tag in loaded if re.search(r'(src|href)="(https?:)?//', tag)]
        assert foreign == [], page.name
    assert not list(site.rglob("hooks*"))


def test_the_page_of_keys_has_every_key_with_what_the_help_says(site):
    page = unescape((site / "keys.html").read_text())
    for field in dataclasses.fields(Config):
        group = field.default_factory
        inner = dataclasses.fields(group) if dataclasses.is_dataclass(group) else ()
        names = [f"{field.name}.{one.name}" for one in inner if one.name != "name"]
        for name, one in [(field.name, field), *zip(names, inner[-len(names) :], strict=False)]:
            if name != "sweep":
                assert f"<code>{name}</code>" in page
                assert one.metadata["description"] in page
    for recipe in Path(ROOT / "conf" / "recipe").glob("*.yaml"):
        assert f"<code>{recipe.stem}</code>" in page
    assert "<!-- generated" not in page
