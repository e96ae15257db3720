import shutil

import grimp
import pytest

from pawprint.config.compose import project_root
from pawprint.project.code import shipped_stages
from pawprint.system import code
from pawprint.system.code import code_digest, code_of

STAGES = shipped_stages()
FILES = {
    "stages/one.py": "from pawprint.data import two, unused_name\n",
    "data/__init__.py": "",
    "data/two.py": "def late():\n    from pawprint.data.three import (\n        x,\n    )\n",
    "data/three.py": (
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n"
        "    from pawprint.data.four import T\n\n"
        "from pawprint.system.errors import UserError\nimport pawprint.data.five\n"
    ),
    "data/four.py": "",
    "data/five.py": "",
    "system/errors.py": "",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A folder of code in place of the package's."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(code, "_PACKAGE", tmp_path)
    code_of.cache_clear()
    yield tmp_path
    code_of.cache_clear()


def digest(*modules):
    code_of.cache_clear()
    return code_digest(*modules)


def test_a_module_is_what_it_imports_also_within_functions_and_not_for_types(package):
    names = [path.relative_to(package).as_posix() for path in code_of("stages.one")]
    assert names == ["data/five.py", "data/three.py", "data/two.py", "stages/one.py"]


@pytest.mark.parametrize("name", ["stages/one.py", "data/two.py", "data/five.py"])
def test_another_content_is_another_digest(package, name):
    before = digest("stages.one")
    with (package / name).open("a") as file:
        file.write("# another\n")
    assert digest("stages.one") != before


@pytest.mark.parametrize("name", ["data/four.py", "system/errors.py"])
def test_code_that_decides_nothing_may_change(package, name):
    before = digest("stages.one")
    with (package / name).open("a") as file:
        file.write("# another\n")
    assert digest("stages.one") == before


def test_another_border_between_files_is_another_digest(package):
    (package / "data" / "four.py").write_text("#a")
    (package / "data" / "five.py").write_text("b")
    before = digest("data.four", "data.five")
    (package / "data" / "four.py").write_text("#ab")
    (package / "data" / "five.py").write_text("")
    assert digest("data.four", "data.five") != before


def test_the_same_tree_elsewhere_has_the_same_digest(package, tmp_path, monkeypatch):
    before = digest("stages.one")
    shutil.copytree(package / "data", tmp_path / "copy" / "data")
    shutil.copytree(package / "stages", tmp_path / "copy" / "stages")
    monkeypatch.setattr(code, "_PACKAGE", tmp_path / "copy")
    assert digest("stages.one") == before


def test_a_module_that_is_not_there_is_an_error(package):
    with pytest.raises(ModuleNotFoundError, match=r"data\.gone"):
        code_digest("data.gone")


@pytest.mark.parametrize("stage", STAGES)
def test_the_code_of_a_stage_is_what_python_would_import(stage):
    graph = grimp.build_graph("pawprint", exclude_type_checking_imports=True, cache_dir=None)
    module = f"pawprint.stages.{stage}"
    imported = {module, *graph.find_upstream_modules(module)}
    root = project_root() / "src"
    found = {".".join(path.relative_to(root).with_suffix("").parts) for path in code_of(module[9:])}
    quiet = tuple(f"pawprint.{room}." for room in ("config", "system", "tracking"))
    packages = {name for name in imported if graph.find_children(name)}
    assert found == {name for name in imported - packages if not name.startswith(quiet)}


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_yaml_names_all_code_that_decides_what_a_stage_writes(stage):
    named = [dep for dep in STAGES[stage]["deps"] if dep.startswith("src/")]
    root = project_root()
    assert all((root / dep).exists() for dep in named)
    missing = [
        path.relative_to(root).as_posix()
        for path in code_of(f"stages.{stage}")
        if not any(path.is_relative_to(root / dep) for dep in named)
    ]
    assert missing == []
