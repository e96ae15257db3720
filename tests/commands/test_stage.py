"""Stages as commands: settings, Hydra's options, mistakes."""

import os
import shutil
import subprocess
import sys

import pytest

from pawprint.commands.arguments import Stage, stage_parser
from pawprint.config.compose import project_root

ROOT = project_root()


@pytest.fixture
def project(tmp_path):
    """A copy of this project's configuration."""
    root = tmp_path / "project"
    shutil.copytree(ROOT / "conf", root / "conf")
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, root)
    return root


def run_stage(project, *arguments, code="lambda config: print(config.depth)", env=None):
    """A stage of its own process, in the copied project."""
    program = (
        "import sys, pawprint.cli as cli\n"
        "from pawprint.commands.stage import Stage, run_stage\n"
        f"task = {code}\n"
        "stage = Stage('prepare', 'a stage', '__main__:task')\n"
        "cli.end_with(lambda: run_stage(stage, sys.argv[1:]), 'prepare')"
    )
    return subprocess.run(
        [
            sys.executable,
            "-c",
            program,
            *arguments,
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=project,
        env=env or {k: v for k, v in os.environ.items() if k != "HYDRA_FULL_ERROR"},
    )


def test_an_entry_point_reads_both_spellings_and_leaves_nothing_behind(project):
    before = sorted(project.parent.rglob("*"))
    done = run_stage(project, "--depth", "4", "seed=3", "recipe=article")
    assert (done.returncode, done.stdout, done.stderr) == (0, "4\n", "")
    assert sorted(project.parent.rglob("*")) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["depth=4", "--cfg", "job", "--resolve"],
        ["--cfg", "job", "depth=4", "--resolve", "seed=3"],
        ["depth=4", "recipe=fast", "--cfg", "job", "--resolve"],
    ],
)
def test_options_may_stand_before_and_behind_overrides(project, arguments):
    done = run_stage(project, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\ndepth: 4\n" in done.stdout


def test_several_values_without_m_are_a_sentence_that_names_it(project):
    assert "depth=1,2'; add -m" in run_stage(project, "depth=1,2").stderr


@pytest.mark.parametrize(
    "argument", ["depth=two", "depth=99", "depht=3", "model=vgg", "recipe=pancake"]
)
def test_an_entry_point_prints_one_sentence_and_ends_with_1(project, argument):
    done = run_stage(project, argument)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_what_a_task_refuses_is_one_sentence_and_1_as_well(project):
    code = "lambda config: (_ for _ in ()).throw(cli.UserError('the pictures are upside down'))"
    done = run_stage(project, code=code)
    assert (done.returncode, done.stderr) == (1, "error: the pictures are upside down\n")


def test_a_library_that_a_task_misses_is_one_sentence_too(project):
    done = run_stage(project, code="lambda config: __import__('no_such_library')")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("error: prepare needs no_such_library, which is not installed")


# Hydra's own options


INFO = {
    "all": ("Installed Hydra Plugins", "GridSweeper", "Defaults Tree", "Config search path"),
    "config": ("Config search path", "Defaults List", "image_size: 96"),
    "defaults": ("optimizer/adam", "hydra/job_logging/stdout"),
    "defaults-tree": ("  optimizer: adam", "  hydra/sweeper: grid"),
    "plugins": ("OptunaSweeper", "BashCompletion"),
    "searchpath": ("pkg://hydra.conf", "/conf"),
}


@pytest.mark.parametrize("what", INFO)
def test_info_tells_what_hydra_tells(project, what):
    done = run_stage(project, "optimizer=adam", "--info", what)
    assert done.returncode == 0, done.stderr
    for text in INFO[what]:
        assert text in done.stdout.replace("${params:image_size}", "96"), text


def test_info_alone_tells_all(project):
    assert "Installed Hydra Plugins" in run_stage(project, "depth=3", "--info").stdout


def test_cfg_takes_a_package_and_hydras_own_part(project):
    words = ("optimizer=adam", "--cfg", "job", "--package", "optimizer")
    assert run_stage(project, *words).stdout.startswith("# @package optimizer\nname: adam\n")
    shown = run_stage(project, "--cfg", "hydra", "-p", "hydra.job.name").stdout
    assert shown == "prepare\n"
    done = run_stage(project, "--cfg", "job", "-p", "nothing", code="print")
    assert (done.returncode, done.stderr) == (1, "package 'nothing' not found in config\n")


def test_a_folder_of_more_choices_is_searched_and_its_choices_are_known(project, tmp_path):
    more = tmp_path / "it's [more], really"
    (more / "optimizer").mkdir(parents=True)
    (more / "optimizer" / "mine.yaml").write_text("name: sgd\nlearning_rate: 0.5\n")
    code = "lambda config: print(config.optimizer.name, config.rate)"
    done = run_stage(project, "optimizer=mine", "--config-dir", str(more), code=code)
    assert (done.stdout, done.stderr) == ("sgd 0.5\n", "")


def test_another_primary_configuration_may_be_named(project):
    text = (project / "conf" / "config.yaml").read_text()
    (project / "conf" / "mine.yaml").write_text(text.replace("${params:depth}", "7"))
    assert run_stage(project, "--config-name", "mine").stdout == "7\n"
    done = run_stage(project, "--config-name", "nowhere")
    assert done.returncode == 1
    assert done.stderr.startswith("error: Cannot find primary config 'nowhere'")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--resolve"], "--resolve says how --cfg prints; add --cfg job, or leave it out"),
        (["-p", "model"], "--package says how --cfg prints; add --cfg job, or leave it out"),
        (["--experimental-rerun", "job.pickle"], "--experimental-rerun takes a pickled job, and "),
        (["--config-path", "elsewhere"], "--config-path cannot replace conf/; give --config-dir"),
        (["--config-dir", "nowhere"], "--config-dir is nowhere, which is no folder; give one"),
        (["--cfg", "job", "--info"], "--cfg and --info do not go together; give one of them"),
        (["-m", "depth=1,2"], "only train sweeps; leave out -m"),
        (["hydra.mode=MULTIRUN", "depth=1,2"], "only train sweeps; leave out hydra.mode"),
        (["hydra/sweeper=optuna"], "hydra/sweeper and hydra/launcher are of sweeps; add -m, or"),
        (["depth"], "command line: 'depth' is not a setting; give key=value"),
        (["sweep.fish=1"], "command line: sweep has no key 'fish'; did you mean 'fresh'?"),
        (["--config-name", "no"], "Cannot find primary config 'no'; give --config-name a file of"),
        (["--augment-preview"], "only train has --augment-preview; leave it out"),
        (["--depth"], "command line: --depth has no value; give depth=VALUE"),
        (["-sc", "install"], "-sc takes install=SHELL or uninstall=SHELL with bash, zsh or fish"),
    ],
)
def test_an_option_that_does_not_fit_is_one_sentence(project, words, sentence):
    done = run_stage(project, *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {sentence}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [["--cgf", "job"], ["--cfg", "nothing"], ["--info", "depth=3"]])
def test_an_unknown_option_is_told_with_the_usage_and_ends_with_2(project, words):
    done = run_stage(project, *words)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: pawprint prepare [key=value ...] [option ...]\n")
    assert done.stderr.count("\n") == 2


def test_hydras_own_help_is_printed(project):
    assert run_stage(project, "--hydra-help").stdout.startswith("Hydra (")


def test_whoever_wants_a_traceback_of_hydra_gets_it(project, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    done = run_stage(project, "depth=two", env=os.environ)
    assert "Traceback" in done.stderr


def test_options_are_not_abbreviated_so_that_keys_and_options_cannot_be_mixed_up():
    parser = stage_parser(Stage("train", "train", "nowhere:nothing", sweeps=True))
    _, unknown = parser.parse_known_args(["--multi"])
    assert unknown == ["--multi"]
