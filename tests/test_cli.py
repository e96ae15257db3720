"""The command `pawprint`: names, version, settings of tools."""

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pawprint import cli
from pawprint.commands.arguments import Stage, parse_tool
from pawprint.commands.stage import load
from pawprint.commands.table import COMMANDS, NAMES, PIPELINE, PREDICT, STAGES, TOOLS
from pawprint.config.compose import project_root
from pawprint.config.overrides import KEYS, is_setting
from pawprint.system.errors import DISTRIBUTION, EXTRAS

ROOT = project_root()


def run(capsys, *words):
    """Exit code, standard output and error of the command."""
    with pytest.raises(SystemExit) as ended:
        cli.main([*words])
    captured = capsys.readouterr()
    return ended.value.code, captured.out, captured.err


def test_every_command_has_one_line_in_the_help_stages_before_tools(capsys):
    code, text, _ = run(capsys, "--help")
    assert not code
    assert text.startswith("usage: pawprint COMMAND [key=value ...] [option ...]\n")
    listed = [line.split()[0] for line in text.splitlines() if line.startswith("  ")]
    assert listed == [command.name for command in (*STAGES, PIPELINE, *TOOLS)]
    assert listed[:7] == [
        "sample",
        "prepare",
        "train",
        "evaluate",
        "register",
        "predict",
        "pipeline",
    ]
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("command", [*STAGES, PIPELINE, *TOOLS], ids=lambda c: c.name)
def test_the_function_of_every_command_is_there(command):
    assert callable(load(command.function))
    if isinstance(command, Stage) and command.preview:
        assert callable(load(command.preview))


@pytest.mark.parametrize("name", NAMES)
def test_the_help_of_every_command_fits(capsys, name):
    code, text, _ = run(capsys, name, "--help")
    assert not code
    assert text.startswith(f"usage: pawprint {name} ")
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("trian", "did you mean 'train'?"),
        ("optimizer=adam", "the commands are sample, prepare, train,"),
        ("--depth", "the commands are sample, prepare, train,"),
    ],
)
def test_an_unknown_command_is_one_sentence(capsys, name, hint):
    code, out, err = run(capsys, name, "depth=3")
    assert (code, out) == (1, "")
    assert err.startswith(f"error: there is no command {name!r}; {hint}")
    assert err.count("\n") == 1


def test_without_a_command_there_is_the_help_and_2(capsys):
    code, out, err = run(capsys)
    assert (code, out) == (2, "")
    assert err.startswith("usage: pawprint COMMAND")


def test_the_version_is_known_also_in_a_source_tree_that_was_not_installed(capsys, tmp_path):
    assert run(capsys, "--version")[:2] == (0, "pawprint 0.1.0\n")
    shutil.copytree(ROOT / "src" / "pawprint", tmp_path / "src" / "pawprint")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    import yaml

    libraries = Path(yaml.__file__).parents[1]
    program = (
        "import sys, importlib.metadata as m\n"
        "def none(_): raise m.PackageNotFoundError\n"
        f"sys.path[:0] = [{str(tmp_path / 'src')!r}, {str(libraries)!r}]\n"
        "m.version = none\n"
        "from pawprint.cli import main; main(['--version'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("pawprint 0.1.0\n", "")


def test_a_setting_is_told_by_its_look():
    for word in (
        "depth=3",
        "+model.alpha=1",
        "~model=cnn",
        "hydra/launcher=ray",
        "depht=3",
        "mirror=",
    ):
        assert is_setting(word), word
    for word in (
        "cat.jpg",
        "~depth",
        "pictures/a=b.jpg/c",
        "-",
        "a b=c",
        "3=4.jpg",
        "-m",
        "~/cat.jpg",
    ):
        assert not is_setting(word), word
    assert all(is_setting(f"{key}=1") for key in KEYS)


def parsed(name, *words):
    tool = next(tool for tool in TOOLS if tool.name == name)
    given = parse_tool(tool, [*words])
    return given.operands, given.settings


def test_a_tool_takes_settings_among_its_own_words():
    words = ("cat.jpg", "sure_precision=0.9", "--top", "2", "dog.jpg")
    assert parsed("predict", *words) == (["cat.jpg", "dog.jpg"], ["sure_precision=0.9"])
    assert parsed("champion", "tracking=server") == ([], ["tracking=server"])
    assert parsed("drift", "tracking.uri=x", "log") == (["log"], ["tracking.uri=x"])


def test_a_file_that_is_there_is_no_setting(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parsed("predict", "cat.jpg", "depth=3") == (["cat.jpg"], ["depth=3"])
    Path("depth=3").touch()
    assert parsed("predict", "cat.jpg", "depth=3") == (["cat.jpg", "depth=3"], [])


def test_a_run_may_be_called_like_a_setting():
    words = ("depth=2", "depth=3", "tracking=server")
    assert parsed("compare", *words) == (["depth=2", "depth=3"], ["tracking=server"])


@pytest.mark.parametrize(
    ("words", "pictures"),
    [
        (["cat.jpg"], True),
        (["-"], True),
        (["--csv", "cat.jpg"], True),
        (["cat.jpg", "--model", "mine.onnx"], True),
        (["sure_precision=0.9", "cat.jpg"], True),
        (["cat.jpg", "--model", ""], True),
        (["--json"], True),  # and is told that a PATH is missing
        ([], False),
        (["predict_images=x"], False),
        (["--predict_images", "x", "sure_precision=0.9"], False),
        (["--cfg", "job"], False),
        (["--help"], False),
        (["recipe=article"], False),
    ],
)
def test_predict_is_of_pictures_where_one_is_named(words, pictures):
    assert cli._is_of_tool(words) == pictures


def test_a_file_with_the_name_of_a_setting_is_a_picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("depth=3").touch()
    assert cli._is_of_tool(["depth=3"])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("champion", "trackng=server"), "command line: there is no key 'trackng'; did you mean"),
        (("champion", "tracking=nowhere"), "command line: tracking has no choice 'nowhere'; choo"),
        (("predict", "cat.jpg", "sure_precision=2"), "sure_precision is 2.0, but must be above 0"),
        (("serve", "depth=99"), "depth is 99, but must be at least 1 and at most 8; change it"),
        (("drift", "log", "depht=3"), "command line: there is no key 'depht'; did you mean 'depth"),
        (("compare", "tracking=nowhere"), "command line: tracking has no choice 'nowhere'; choose"),
        (("pipeline", "depht=3"), "command line: there is no key 'depht'; did you mean 'depth'?"),
        (("pipeline", "--depth", "99"), "depth is 99, but must be at least 1 and at most 8"),
    ],
)
def test_a_wrong_setting_of_a_tool_is_the_sentence_of_a_stage(capsys, words, sentence):
    code, out, err = run(capsys, *words)
    assert (code, out) == (1, "")
    assert err.startswith(f"error: {sentence}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("champion", "now"), "'now' is not a setting; give key=value"),
        (("pipeline", "now"), "'now' is not a setting; give key=value"),
        (("pipeline", "~depth"), "'~depth' is not a setting; give key=value"),
        (("drift", "one", "two"), "'two' is not a setting; give key=value"),
        (("drift",), "the following arguments are required: FILE"),
        (("predict", "--csv"), "the following arguments are required: PATH"),
        (("pipeline", "-m", "depth=1,2"), "unrecognized arguments: -m"),
    ],
)
def test_words_that_a_tool_does_not_take_are_told_with_the_usage(capsys, words, said):
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert err.startswith(f"usage: pawprint {words[0]} ")
    assert err.endswith(f"error: {said}\n")


@pytest.mark.parametrize(
    ("module", "cure"),
    [
        ("no_such_library", "pip install no_such_library"),
        ("optuna", "pip install 'pawprint-classifier[search]'"),
        ("tensorflow.python", "pip install 'pawprint-classifier[train]'"),
        ("uvicorn", "pip install 'pawprint-classifier[serve]'"),
    ],
)
def test_a_library_that_is_missing_is_one_sentence_with_its_extra(
    capsys, monkeypatch, module, cure
):
    for name in list(sys.modules):
        if name.startswith(module.partition(".")[0]):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [])  # nothing is installed
    with pytest.raises(SystemExit) as ended:
        cli.end_with(lambda: load(f"{module}:run"), "drift")
    assert ended.value.code == 1
    name = module.partition(".")[0]
    said = capsys.readouterr().err
    assert said == f"error: drift needs {name}, which is not installed here; `{cure}` installs it\n"


def test_every_extra_is_known_by_what_is_imported_of_it():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == DISTRIBUTION
    other_names = {"python_multipart": "python-multipart", "ai_edge_litert": "ai-edge-litert"}
    extras = {
        extra: sorted(re.split("[>=<]", need)[0] for need in needs)
        for extra, needs in project["optional-dependencies"].items()
        if extra != "dev"
    }
    assert extras == {
        extra: sorted(other_names.get(name, name.replace("_", "-")) for name in names)
        for extra, names in EXTRAS.items()
    }


def test_ctrl_c_before_the_command_is_loaded_leaves_no_traceback():
    program = """
import signal, sys
from pawprint.__main__ import main
class Interrupting:
    def find_spec(self, name, *_):
        if name == "pawprint.cli":
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")


def raising(error):
    def run():
        raise error

    return run


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_a_disk_without_room_or_rights_is_one_sentence_for_every_command(capsys, number):
    error = OSError(number, os.strerror(number), "some/file")
    with pytest.raises(SystemExit) as ended:
        cli.end_with(raising(error), "sample")
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: some/file cannot be read or written: {os.strerror(number)}; ")
    assert said.count("\n") == 1


def test_an_error_of_the_system_that_nobody_can_mend_keeps_its_traceback():
    for error in (FileNotFoundError(errno.ENOENT, "none", "some/file"), OSError("unknown")):
        with pytest.raises(type(error)):
            cli.end_with(raising(error), "sample")


def test_both_commands_called_predict_are_in_the_table():
    assert isinstance(COMMANDS["predict"], Stage)
    assert PREDICT in TOOLS
