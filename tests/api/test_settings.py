"""Settings of `pawprint.train` on their way to the command line."""

from pathlib import Path

import numpy as np
import pytest

import pawprint
from pawprint.api.run import as_words
from pawprint.config.compose import compose, project_root


def test_values_arrive_as_they_are_given():
    settings = {
        "recipe": "fast",
        "model": "transfer",
        "epochs": 5,
        "image_size": np.int64(64),
        "patience": None,
        "mirror": False,
        "dropout": 0.1,
        "learning_rate": 1e-05,
        "splits": ["train", "test"],
        "optimizer": "adam",
        "optimizer.beta_1": 0.8,
        "growth.sizes": (0.5, 1.0),
        "growth.until": [0.5],
        "model.weights": "none",
        "tracking.experiment": "null",
    }
    config = compose(as_words(settings, project_root()))
    flat = config.flat()
    assert config.optimizer.beta_1 == 0.8
    assert config.growth.sizes == [0.5, 1.0]
    assert config.model.weights == "none"
    assert config.tracking.experiment == "null"
    assert (config.batch_size, config.augment.name) == (64, "light")  # of the recipe
    for key in ("recipe", "epochs", "patience", "mirror", "dropout", "learning_rate", "splits"):
        assert getattr(config, key) == settings[key], key
    assert (flat["model"], flat["optimizer"], config.image_size) == ("transfer", "adam", 64)


@pytest.mark.parametrize(
    "name",
    [
        "it's [odd], {a}=b (1)",
        'say "a"',
        "back\\slash",
        " space ",
        "null",
        "1",
        "ä 猫",
        "a;b#c",
        "a\nb",
    ],
)
def test_a_path_is_meant_from_the_current_folder_whatever_its_name(name, tmp_path):
    root = project_root()
    assert compose(as_words({"images": tmp_path / name}, root)).images == str(tmp_path / name)
    assert compose(as_words({"images": name}, root)).images == name


def test_paths_are_told_from_the_project_and_home_folders_are_found(tmp_path, monkeypatch):
    (tmp_path / "project" / "notebooks").mkdir(parents=True)
    root = tmp_path / "project"
    monkeypatch.chdir(root / "notebooks")
    monkeypatch.setenv("HOME", str(tmp_path))
    words = as_words(
        {"images": "pictures", "predict_images": Path("~/new"), "model.weights": "../w.h5"}, root
    )
    assert words == [
        "images=notebooks/pictures",
        f"predict_images={tmp_path}/new",
        "model.weights=w.h5",
    ]
    words = as_words({"images": "~nobody-of-that-name/a"}, root)
    assert words == ["images='notebooks/~nobody-of-that-name/a'"]
    address = "https://example.org/a.zip#sha256=" + 64 * "0"
    assert as_words({"images": address}, root) == [f"images='{address}'"]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"epoch": 5}, "there is no key 'epoch'; did you mean 'epochs'?"),
        ({"model": "vgg"}, "model has no choice 'vgg'; choose one of article, cnn"),
        ({"epochs": 0}, "epochs is 0, but must be at least 1"),
        (
            {"epochs": "many"},
            "Value 'many' of type 'str' could not be converted to Integer",
        ),
        ({"epochs": object()}, "epochs is of the type object; give a number, a text, None"),
        ({"optimizer.beta": 1}, "optimizer has no key 'beta'"),
    ],
)
def test_a_wrong_setting_is_the_sentence_of_the_command_line(settings, sentence):
    with pytest.raises(pawprint.UserError, match=sentence.replace("?", r"\?")):
        pawprint.train(**settings)


def test_a_training_without_tensorflow_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("pawprint.api.run.find_spec", lambda _: None)
    with pytest.raises(pawprint.UserError) as caught:
        pawprint.train()
    assert str(caught.value) == (
        "train needs tensorflow, which is not installed here; "
        "`pip install 'pawprint-classifier[train]'` installs it"
    )
