"""`pawprint init`: the files of a project, and what is refused."""

import subprocess
from argparse import Namespace
from pathlib import Path

import pytest
import yaml

from pawprint.config.compose import compose, project_root, read_params
from pawprint.config.paths import shipped
from pawprint.project.code import code_of_stage, shipped_stages, write_digests
from pawprint.project.init import init_project, project_stages
from pawprint.system.errors import UserError

ROOT = project_root()
FILES = [".dvc", ".dvcignore", ".git", ".gitignore", "MLproject", "conf", "dvc.yaml", "params.yaml"]


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def stages_of(folder):
    return yaml.safe_load((folder / "dvc.yaml").read_text())["stages"]


def test_a_project_has_settings_stages_git_and_dvc_and_nothing_else(tmp_path, monkeypatch):
    init_project(tmp_path / "mine")
    assert names_in(tmp_path / "mine") == FILES
    assert names_in(tmp_path / "mine" / "conf") == ["README.md"]
    assert names_in(tmp_path) == ["mine"]
    monkeypatch.chdir(tmp_path / "mine")
    assert read_params(project_root()) == read_params(ROOT)
    assert compose(["model=cnn"]).model.name == "cnn"
    done = subprocess.run(["dvc", "status"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_its_pipeline_is_that_of_this_repository_but_for_the_code():
    ours = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    theirs = yaml.safe_load(project_stages((ROOT / "dvc.yaml").read_text()))
    for stage in ours["stages"].values():
        stage["cmd"] = stage["cmd"].removeprefix("PYTHONPATH=src ")
        if "deps" in stage:
            stage["deps"] = [dep for dep in stage["deps"] if not dep.startswith("src/")]
    assert theirs == ours
    without = project_stages((ROOT / "dvc.yaml").read_text(), {"predict", "params"})
    del theirs["stages"]["predict"], theirs["params"]
    assert yaml.safe_load(without) == theirs
    assert without.count("\n# ") == (ROOT / "dvc.yaml").read_text().count("\n# ") - 1


@pytest.mark.parametrize("stage", shipped_stages())
def test_every_stage_depends_on_its_digests(stage):
    assert f"data/code/{stage}.txt" in shipped_stages()[stage]["deps"]


def test_own_pictures_need_no_sample_and_those_to_predict_make_a_stage(tmp_path, paint_folder):
    paint_folder(tmp_path / "it's #1: flowers", {"rose": 1, "tulip": 1})
    pictures = tmp_path / "it's #1: flowers"
    init_project(tmp_path / "a", pictures)
    init_project(tmp_path / "b", pictures, predict_images=pictures / "rose")
    assert [*stages_of(tmp_path / "a")] == ["code", "prepare", "train", "evaluate", "register"]
    assert [*stages_of(tmp_path / "b")][-1] == "predict"
    assert read_params(tmp_path / "a")["images"] == str(pictures)
    assert read_params(tmp_path / "b")["predict_images"] == str(pictures / "rose")
    assert "# folder of class folders" in (tmp_path / "a" / "params.yaml").read_text()


def test_pictures_within_the_project_are_named_from_its_root(tmp_path, monkeypatch, paint_folder):
    paint_folder(tmp_path / "pictures", {"rose": 1, "tulip": 1})
    monkeypatch.chdir(tmp_path)
    init_project(Path(), "pictures")
    assert read_params(tmp_path)["images"] == "pictures"


def test_copied_pictures_are_the_projects_and_dvc_keeps_them(tmp_path, paint_folder):
    paint_folder(tmp_path / "flowers", {"rose": 2, "tulip": 1})
    (tmp_path / "flowers" / "rose").chmod(0o555)
    init_project(tmp_path / "mine", tmp_path / "flowers", copy=True)
    (tmp_path / "mine" / "images" / "rose" / "new.png").touch()
    assert read_params(tmp_path / "mine")["images"] == "images"
    assert len(list((tmp_path / "mine" / "images").rglob("0*.png"))) == 3
    assert (tmp_path / "mine" / "images.dvc").is_file()
    assert "/images\n" in (tmp_path / "mine" / ".gitignore").read_text()


def test_settings_stand_in_its_params_and_comments_where_they_were(tmp_path):
    init_project(tmp_path / "mine", settings={"recipe": "transfer", "epochs": "5"})
    params = read_params(tmp_path / "mine")
    assert (params["recipe"], params["epochs"]) == ("transfer", 5)
    ours = (ROOT / "params.yaml").read_text().splitlines()
    theirs = (tmp_path / "mine" / "params.yaml").read_text().splitlines()
    assert [line.partition("#")[2] for line in theirs] == [line.partition("#")[2] for line in ours]
    assert [line.find("#") for line in theirs] == [line.find("#") for line in ours]


def test_a_path_that_dvc_takes_otherwise_is_told_before_dvc_looks_for_it(tmp_path, monkeypatch):
    init_project(tmp_path / "mine")
    monkeypatch.chdir(tmp_path / "mine")
    params = tmp_path / "mine" / "params.yaml"
    params.write_text(params.read_text().replace("images: data/sample", "images: ~/flowers", 1))
    with pytest.raises(UserError, match="images is ~/flowers, but DVC takes ~ and"):
        write_digests(Namespace())


def test_all_of_conf_is_written_on_demand(tmp_path):
    init_project(tmp_path / "mine", whole_conf=True)
    for file in shipped("conf").rglob("*.yaml"):
        copy = tmp_path / "mine" / "conf" / file.relative_to(shipped("conf"))
        assert copy.read_bytes() == file.read_bytes()


def test_within_a_repository_of_git_it_is_a_folder_of_it(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text("*.log\n")
    (tmp_path / "README.md").write_text("mine\n")
    init_project(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine\n"
    ignored = (tmp_path / ".gitignore").read_text()
    assert ignored.startswith("*.log\n")
    assert "/models/" in ignored
    init_project(tmp_path / "inner")
    assert ".git" not in names_in(tmp_path / "inner")
    done = subprocess.run(
        ["dvc", "status"], cwd=tmp_path / "inner", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_second_time_nothing_is_written(tmp_path):
    init_project(tmp_path / "mine")
    (tmp_path / "mine" / "params.yaml").write_text("mine\n")
    with pytest.raises(UserError, match=r"mine has a \.dvc already; give a folder without one"):
        init_project(tmp_path / "mine")
    assert (tmp_path / "mine" / "params.yaml").read_text() == "mine\n"
    assert names_in(tmp_path / "mine") == FILES


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"images": "gone"}, "--images is gone, which does not exist"),
        ({"predict_images": "gone"}, "--predict-images is gone, which does not exist"),
        ({"copy": True}, "--copy needs a folder of pictures, but --images is None"),
        ({"settings": {"images": "a"}}, "images is given by --images; use that instead"),
        ({"settings": {"optimizer.momentum": "1"}}, "optimizer.momentum is no key of params.yaml"),
        ({"ci": "jenkins"}, "--ci is jenkins, but must be github"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_written(tmp_path, monkeypatch, given, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=said):
        init_project(tmp_path / "mine", **given)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("stage", shipped_stages())
def test_a_digest_is_of_all_code_that_this_repository_names_for_a_stage(stage):
    files = {path.relative_to(ROOT).as_posix() for path in code_of_stage(shipped_stages()[stage])}
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "--"]
        + [dep for dep in shipped_stages()[stage]["deps"] if dep.startswith("src/")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert files == set(listed.stdout.splitlines())
