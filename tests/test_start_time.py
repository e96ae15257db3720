import os
import subprocess
import sys

import pytest

HEAVY = {"tensorflow", "keras", "mlflow", "pandas"}


def imported_by(*arguments):
    """The top-level modules that `python ARGUMENTS` imports, and what it prints."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    assert len(lines) > 50
    names = (line.rpartition("|")[2].strip() for line in lines)
    return {name.partition(".")[0] for name in names}, done.stdout


@pytest.mark.parametrize(
    "stage",
    ["sample", "prepare", "train", "suspects", "litert", "evaluate", "register", "predict"],
)
def test_the_help_of_a_stage_loads_no_heavy_library(stage):
    modules, printed = imported_by("-m", "pawprint", stage, "--help")
    assert "hydra" in modules
    assert not modules & HEAVY
    assert "image_size" in printed


def test_a_sweep_over_a_grid_loads_nothing_of_searches_and_clusters():
    words = ("-m", "depth=1,2", "dropout=0.1,7")  # 7 is refused
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "pawprint", "train", *words],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ,
    )
    assert "error: dropout is 7" in done.stderr
    names = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}
    assert "pawprint.sweep.planner" in names
    assert not {name.partition(".")[0] for name in names} & (HEAVY | {"optuna", "ray", "submitit"})


@pytest.mark.parametrize(
    "arguments",
    [["--help"], *([command, "--help"] for command in ("compare", "champion", "drift", "serve"))],
)
def test_the_help_of_the_command_loads_no_heavy_library(arguments):
    modules, printed = imported_by("-m", "pawprint", *arguments)
    assert "pawprint" in modules
    assert not modules & (HEAVY | {"hydra", "onnxruntime", "matplotlib", "sklearn"})
    assert printed.startswith("usage: pawprint")


def test_the_digests_for_dvc_which_are_made_each_time_load_no_library_but_yaml():
    modules, _ = imported_by("-c", "import pawprint.project.code")
    assert "yaml" in modules
    assert not modules & (HEAVY | {"numpy", "hydra", "onnxruntime"})


def test_composing_the_configuration_loads_no_heavy_library():
    modules, _ = imported_by("-c", "from pawprint.config.compose import compose; compose()")
    assert not modules & HEAVY


def test_answering_with_an_exported_network_loads_no_heavy_library():
    code = "import pawprint.inference.predictor as p, pathlib\n"
    code += "try: p.Predictor(pathlib.Path('no such file'))\nexcept p.UserError: pass"
    modules, _ = imported_by("-c", code)
    assert "onnxruntime" in modules
    assert not modules & HEAVY


def test_logging_what_was_seen_loads_no_heavy_library():
    modules, _ = imported_by("-c", "import pawprint.inference.prediction_log")
    assert "pawprint" in modules
    assert not modules & (HEAVY | {"numpy", "scipy", "pyarrow", "sklearn", "onnxruntime", "rich"})


def test_tensorflow_starts_without_libraries_that_keras_needs_for_nothing_here():
    code = "from pawprint.training.tensorflow_runtime import start_tensorflow; start_tensorflow()\n"
    code += "import sys; print({'keras', 'matplotlib', 'sklearn'} & set(sys.modules))"
    _, printed = imported_by("-c", code)
    assert printed == "{'keras'}\n"
