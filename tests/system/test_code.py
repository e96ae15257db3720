import shutil

import pytest

from pawprint.system import code
from pawprint.system.code import code_digest


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A folder of code in place of the package's."""
    (tmp_path / "data" / "inner").mkdir(parents=True)
    for name in ("one.py", "data/two.py", "data/inner/three.py", "data/page.html"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    monkeypatch.setattr(code, "_PACKAGE", tmp_path)
    return tmp_path


def test_the_order_and_naming_a_file_twice_do_not_matter(package):
    assert code_digest(["data", "one.py"]) == code_digest(["one.py", "data/two.py", "data"])


def test_a_folder_means_all_its_python_files(package):
    whole = code_digest(["data"])
    assert whole == code_digest(["data/two.py", "data/inner/three.py"])
    (package / "data" / "page.html").write_text("another", encoding="utf-8")
    assert code_digest(["data"]) == whole


@pytest.mark.parametrize("name", ["data/two.py", "data/inner/three.py"])
def test_another_content_is_another_digest(package, name):
    before = code_digest(["data"])
    (package / name).write_text("another", encoding="utf-8")
    assert code_digest(["data"]) != before


def test_another_name_and_another_border_between_files_is_another_digest(package):
    before = code_digest(["data"])
    shutil.move(package / "data" / "two.py", package / "data" / "four.py")
    renamed = code_digest(["data"])
    (package / "data" / "four.py").write_text("data/two.p", encoding="utf-8")
    (package / "data" / "inner" / "three.py").write_text("ydata/inner/three.py", encoding="utf-8")
    assert len({before, renamed, code_digest(["data"])}) == 3


def test_a_file_that_is_not_there_is_an_error(package):
    with pytest.raises(FileNotFoundError):
        code_digest(["data/gone.py"])


def test_the_same_tree_elsewhere_has_the_same_digest(package, tmp_path, monkeypatch):
    before = code_digest(["data"])
    shutil.copytree(package / "data", tmp_path / "copy" / "data")
    monkeypatch.setattr(code, "_PACKAGE", tmp_path / "copy")
    assert code_digest(["data"]) == before
