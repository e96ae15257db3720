"""A project of one's own with pawprint from its wheel, away from the repository."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder into which the wheel is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    python = (sys.executable, "-m")
    build = (*python, "hatchling", "build", "-t", "wheel", "-d", folder)
    subprocess.run(build, cwd=HERE, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    options = ("--quiet", "--no-deps", "--no-index", "--target", folder / "site")
    subprocess.run((*python, "pip", "install", *options, wheel), check=True, capture_output=True)
    return folder / "site"


@pytest.fixture(scope="module")
def own(site, finished, tmp_path_factory):
    """A project made by `pawprint init`, of the same pictures and settings as ``finished``."""
    place = tmp_path_factory.mktemp("own")

    class Own(type(finished)):
        def environment(self, **variables):
            there = super().environment(PYTHONPATH=str(site))
            return there | {"PATH": f"{site / 'bin'}{os.pathsep}{there['PATH']}"} | variables

    pictures, unseen = finished.root / "pictures", finished.root / "unseen"
    Own(place).run(
        "pawprint", "init", "mine", "--images", str(pictures), "--predict-images", str(unseen)
    )
    project = Own(place / "mine")
    text = (finished.root / "params.yaml").read_text()
    text = re.sub(r"(?m)^images: pictures$", f"images: {pictures}", text)
    text = re.sub(r"(?m)^predict_images: unseen$", f"predict_images: {unseen}", text)
    (project.root / "params.yaml").write_text(text)
    project.commit("a project")
    stages = project.repro()
    assert stages == ["prepare", "train", "evaluate", "register", "predict"]
    return project


def test_the_wheel_has_all_that_comes_with_pawprint(site):
    for name in ("conf", ".dvc/plots"):
        files = {path.relative_to(HERE) for path in (HERE / name).rglob("*") if path.is_file()}
        base = site / "pawprint" / "base"
        there = {path.relative_to(base) for path in (base / name).rglob("*") if path.is_file()}
        assert there == files
    assert (site / "hydra_plugins" / "pawprint.py").is_file()


def test_the_pipeline_gives_what_it_gives_in_the_repository(own, finished):
    for file in ("reports/evaluate/metrics.json", "reports/prepare/metrics.json"):
        assert own.json(file) == finished.json(file)
    assert not (own.root / "src").exists()


def test_where_nothing_changed_only_the_digests_are_made_anew(own):
    assert own.repro() == []


@pytest.mark.parametrize(
    ("file", "stale"),
    [
        ("training/loop.py", ["train"]),
        ("data/decode.py", ["prepare", "train", "evaluate", "register", "predict"]),
        ("evaluation/report.html", ["evaluate"]),
        ("server/app.py", []),
    ],
)
def test_an_upgrade_makes_stale_what_computes_otherwise_and_nothing_else(own, site, file, stale):
    path = site / "pawprint" / file
    before = path.read_bytes()
    try:
        path.write_bytes(before + b"\n")
        assert own.stale() == stale
    finally:
        path.write_bytes(before)
        own.run("pawprint", "code")


def test_a_file_in_conf_goes_before_the_packages_and_makes_stale_who_reads_it(own):
    path = own.root / "conf" / "optimizer" / "adamw.yaml"
    path.parent.mkdir()
    try:
        path.write_text("name: adamw\nlearning_rate: 0.25\n")
        stale = own.stale()
        shown = own.run("pawprint", "train", "--cfg", "job", "--package", "optimizer").stdout
    finally:
        path.unlink()
        path.parent.rmdir()
        own.run("pawprint", "code")
    assert stale == ["train"]
    assert "learning_rate: 0.25" in shown


def test_an_experiment_in_a_temporary_workspace_is_recorded_in_the_project(own):
    before = len(own.runs())
    own.run("dvc", "exp", "run", "--temp", "--set-param", "dropout=0.25")
    runs = own.runs()
    assert len(runs) == before + 1
    assert runs[-1].data.params["dropout"] == "0.25"
    assert runs[-1].info.artifact_uri.startswith((own.root / "mlruns").as_uri())
