"""What a training is called, and which pictures it takes."""

import re
import shlex
import shutil
import subprocess
from dataclasses import replace

import pytest
import yaml

from pawprint.config.compose import compose, project_root
from pawprint.config.paths import Paths
from pawprint.config.schema import PREPARED
from pawprint.data.store import load_summary
from pawprint.stages.prepare import prepare
from pawprint.stages.train import check_prepared, describe_training, name_of
from pawprint.system.errors import UserError


@pytest.fixture(scope="module")
def summary(tmp_path_factory, paint_folder):
    """Of pictures that were prepared as params.yaml says, but for their place."""
    folder = tmp_path_factory.mktemp("prepared")
    pictures, config = paint_folder(folder / "pictures", {"cats": 10, "dogs": 10}), compose()
    keys = [key for key in PREPARED if key != "images"]
    given = {key: getattr(config, key) for key in keys} | {"source": config.images}
    prepare(pictures, folder / "out", seed=7, **given)
    return load_summary(folder / "out")


def test_all_keys_of_prepare_but_the_seed_are_compared():
    stages = yaml.safe_load((project_root() / "dvc.yaml").read_text())["stages"]
    assert {*PREPARED, "seed"} == set(stages["prepare"]["params"])


@pytest.mark.parametrize(
    ("setting", "was"),
    [
        ("images=data/others", "data/sample"),
        ("image_size=32", "96"),
        ("resize=pad", "squash"),
        ("validation_fraction=0.3", "0.1"),
        ("test_fraction=0.3", "0.2"),
        ("max_refused_fraction=0.5", "0.1"),
        ("near_duplicates=false", "true"),
    ],
)
def test_pictures_that_were_prepared_otherwise_are_refused(summary, setting, was):
    key, _, value = setting.partition("=")
    with pytest.raises(UserError) as refused:
        check_prepared(compose([setting]), summary)
    assert str(refused.value) == (
        f"{key} is {value}, but the pictures were prepared with {was}; run `pawprint prepare "
        f"{setting}` first"
    )


def test_the_cure_can_be_typed_as_it_stands(summary):
    for setting in ("splits=[learn, check]", "images='/my pictures/it s'"):
        with pytest.raises(UserError) as refused:
            check_prepared(compose([setting]), summary)
        (command,) = re.findall("`(.*)`", str(refused.value))
        _, stage, *words = shlex.split(command)
        key = setting.partition("=")[0]
        assert stage == "prepare"
        assert getattr(compose(words), key) == getattr(compose([setting]), key)


@pytest.mark.parametrize(
    "setting", ["seed=1", "images=./data/sample", f"images={project_root()}/data/sample"]
)
def test_another_seed_or_another_path_to_the_same_pictures_is_taken(summary, setting):
    check_prepared(compose([setting]), summary)


def test_an_address_is_compared_and_shown_without_what_is_secret(summary):
    given = replace(summary, images="https://host/pets.zip")
    check_prepared(compose(["images=https://me:secret@host/pets.zip"]), given)
    with pytest.raises(UserError) as refused:
        check_prepared(compose(["images=https://me:secret@host/other.zip"]), given)
    assert "secret" not in str(refused.value)


def test_an_earlier_summary_that_does_not_say_is_not_compared(summary):
    earlier = replace(summary, validation_fraction=None, near_duplicates=None)
    check_prepared(compose(["validation_fraction=0.3", "near_duplicates=false"]), earlier)


def test_the_seed_of_the_split_and_the_address_that_was_prepared_are_recorded(summary, paths):
    given = replace(summary, images="https://host/pets.zip")
    config = compose(["seed=1", "images=https://me:secret@host/pets.zip"])
    told = describe_training(config, given, paths)
    assert (told["parameters"]["seed"], told["parameters"]["split_seed"]) == (1, 7)
    assert "secret" not in str(told)


@pytest.fixture
def paths():
    return Paths(project_root())


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    """A project of its own git that has params.yaml and conf/ as they are here."""
    root = tmp_path_factory.mktemp("committed")
    shutil.copy(project_root() / "params.yaml", root)
    shutil.copytree(project_root() / "conf", root / "conf")
    file = root / "conf/optimizer/rmsprop.yaml"
    file.write_text(file.read_text().replace("rho: 0.9", "rho: 0.8"))
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "a project"]):
        who = ["-c", "user.name=tester", "-c", "user.email=tester@localhost"]
        subprocess.run(["git", *who, *words], cwd=root, check=True)
    (root / "params.yaml").write_text("depth: 7\n")  # not committed
    return root


NAMES = [
    ([], "resnet muon sample"),
    (["gate=always", "tracking=server", "predict_images=new"], "resnet muon sample"),
    (["dense_units=8"], "resnet muon sample"),  # which it does not read
    (["depth=3", "optimizer=adam"], "depth=3 optimizer=adam"),
    (["optimizer=adam", "optimizer.beta_1=0.8"], "optimizer=adam optimizer.beta_1=0.8"),
    (["optimizer=rmsprop"], "optimizer=rmsprop optimizer.rho=0.9"),  # not as committed
    (["model=article", "depth=3", "growth=none"], "growth=none model=article"),
    (["model=transfer", "depth=3"], "model=transfer"),
    (["seed=1"], "seed=1"),
    (["mirror=false", "patience=5", "dropout=0.1"], "dropout=0.1 patience=5 mirror=false"),
    (["recipe=fine_tune"], "recipe=fine_tune"),
    (["recipe=fine_tune", "epochs=3"], "recipe=fine_tune epochs=3"),
    (["recipe=fine_tune", "model=cnn"], "recipe=fine_tune model=cnn"),
]


@pytest.mark.parametrize(("settings", "name"), NAMES)
def test_a_run_is_called_by_what_differs_from_the_committed_experiment(committed, settings, name):
    assert name_of(compose(settings), "data/sample", committed) == name


@pytest.mark.parametrize(
    "images", ["/home/me/flowers", "data/flowers/", "https://host/a/flowers?token=secret"]
)
def test_other_pictures_are_named_by_the_end_of_their_place(committed, images):
    assert name_of(compose([f"images={images}"]), images, committed) == "images=flowers"


def test_without_git_a_run_is_called_by_what_differs_from_the_files(tmp_path):
    shutil.copy(project_root() / "params.yaml", tmp_path)
    shutil.copytree(project_root() / "conf", tmp_path / "conf")
    assert name_of(compose(["depth=3"]), "data/sample", tmp_path) == "depth=3"
    assert name_of(compose(), "data/sample", tmp_path) == "resnet muon sample"


def test_a_long_name_ends_after_a_whole_setting_with_a_count_of_the_rest(committed):
    changed = ["depth=3", "width=8", "dropout=0.1", "epochs=3", "batch_size=8", "ema=0.1"]
    config = compose([*changed, "label_smoothing=0.2", "class_weights=balanced", "seed=3"])
    name = name_of(config, "data/sample", committed)
    assert len(name) <= 80
    assert name.startswith("seed=3 depth=3 width=8 dropout=0.1 epochs=3 batch_size=8 ")
    assert name.endswith(" and 3 more")
