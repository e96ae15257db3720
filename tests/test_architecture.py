"""The rules of the house: who imports whom, what stands where, and that the documents say so."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "pawprint"
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
PLACES = ("src", "tests", "conf", "docs", "benchmarks", ".ci", ".github")


def test_imports_run_one_way():
    # In a process of its own: it closes the streams of the one that it runs in.
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def imports():
    """Who imports whom, libraries included."""
    return grimp.build_graph(
        "pawprint", "hydra_plugins", include_external_packages=True, cache_dir=None
    )


@pytest.mark.parametrize(
    ("library", "rooms"),
    [
        ("mlflow", {"tracking"}),
        ("tensorflow", {"training", "export"}),
        ("keras", {"training", "export", "models", "sweep"}),
    ],
)
def test_only_few_rooms_import_what_is_slow_to_start(imports, library, rooms):
    importers = imports.find_modules_that_directly_import(library)
    assert importers, "the name of the library is wrong"
    assert {name.split(".")[1] for name in importers} <= rooms


def test_on_top_are_the_command_and_rooms_that_say_what_they_are_for():
    files = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    assert files == {"__init__.py", "__main__.py", "cli.py", "py.typed"}
    for room in (path for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))):
        assert (room / "__init__.py").read_text().startswith('"""'), room


def test_tests_stand_in_rooms_of_the_same_name_and_no_two_are_called_alike():
    files = list((ROOT / "tests").rglob("test_*.py"))
    rooms = {file.relative_to(ROOT / "tests").parts[0] for file in files if file.parent != ROOT}
    rooms = {room for room in rooms if not room.endswith(".py")}
    assert rooms <= {path.name for path in PACKAGE.iterdir()} | {"pipeline"}
    names = Counter(file.name for file in files)
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_and_heading_that_a_document_names_is_there(document):
    text = document.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, heading = target.partition("#")
        if ":" in path:  # of another site
            continue
        named = document.parent / path if path else document
        assert named.exists(), f"{document.name} links to {target}"
        if heading:
            assert heading in _headings(named), f"{document.name} links to {target}"
    for named in re.findall(r"[`\s]((?:[\w.-]+/)+[\w.-]*)", text):
        if named.split("/")[0] in PLACES:
            assert (ROOT / named).exists(), f"{document.name} names {named}"


def _headings(document):
    titles = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("lock", sorted(ROOT.glob("*.lock")), ids=lambda path: path.name)
def test_a_lock_file_holds_names_and_versions_only(lock):
    pins = [line for line in lock.read_text().splitlines() if not line.startswith("#")]
    assert pins
    assert all(re.fullmatch(r"[\w.-]+==[\w.!+-]+", pin) for pin in pins)
