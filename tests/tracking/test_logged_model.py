import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pawprint
from pawprint.tracking import logged_model
from pawprint.tracking.logged_model import MODULES, write_model_code


def is_for_types(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imported(text):
    """The modules that a source imports, also inside its functions; not those for types alone."""
    tree = ast.parse(text)
    tree.body = [node for node in tree.body if not is_for_types(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def test_the_modules_import_no_others_of_pawprint():
    root = Path(pawprint.__file__).parent
    for module in MODULES:
        text = (root / module.replace(".", "/")).with_suffix(".py").read_text()
        needed = {name for name in imported(text) if name.partition(".")[0] == "pawprint"}
        assert needed <= {f"pawprint.{name}" for name in MODULES}, module


def test_the_code_runs_where_neither_pawprint_nor_what_trains_is_installed(tmp_path):
    loader = write_model_code(tmp_path)
    absent = ("pawprint", "tensorflow", "keras", "mlflow", "onnx", "scipy", "cv2", "hydra", "dvc")
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({absent})); sys.path[:0] = sys.argv[1:]\n"
        f"import {loader} as loader\n"
        "try: loader._load_pyfunc('/nowhere')\n"
        "except Exception as error: print(type(error).__module__)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == f"{loader.partition('.')[0]}.system.errors\n", done.stderr


def test_other_code_has_another_name_and_the_same_code_the_same(tmp_path, monkeypatch):
    first = write_model_code(tmp_path / "first")
    assert write_model_code(tmp_path / "second") == first
    package = Path(pawprint.__file__).parent
    shutil.copytree(package, tmp_path / "pawprint", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "pawprint/data/resize.py").open("a") as file:
        file.write("\n# changed\n")
    monkeypatch.setattr(
        logged_model, "__file__", str(tmp_path / "pawprint/tracking/logged_model.py")
    )
    assert write_model_code(tmp_path / "third") != first
