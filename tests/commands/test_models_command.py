"""`pawprint models`: which networks there are, and what is at hand of them."""

import inspect
import json
import subprocess
import sys

import keras
import pytest
from keras import layers

from pawprint.models.applications import APPLICATIONS


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))

    def run(*words, code=0):
        command = [sys.executable, "-m", "pawprint", "models", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr

    return run


def test_every_network_of_keras_applications_is_listed_as_it_is():
    offered = {n for n, made in vars(keras.applications).items() if inspect.isfunction(made)}
    assert set(APPLICATIONS) == offered
    for name in ("MobileNet", "MobileNetV3Small", "EfficientNetV2B0"):
        weights, side, features = APPLICATIONS[name]
        network = getattr(keras.applications, name)(include_top=False, weights=None)
        assert (network.count_params(), network.output_shape[-1]) == (weights, features)
        assert side == 224


def test_the_listing_tells_which_weights_are_at_hand(run, tmp_path):
    cache = tmp_path / "keras" / "models"
    cache.mkdir(parents=True)
    (cache / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5").touch()
    (cache / "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5").touch()
    (cache / "efficientnetb0.h5").touch()  # with its top
    rows = {row["name"]: row for row in json.loads(run("--json"))}
    assert {name for name, row in rows.items() if row["at hand"]} == {
        "MobileNetV2",
        "MobileNetV3Small",
    }
    assert rows["MobileNet"]["weights"] == 3_228_864
    assert list(rows)[:3] == ["article", "cnn", "resnet"]
    (line,) = [line for line in run().splitlines() if line.startswith("MobileNetV2 ")]
    assert line.endswith("yes")


def test_a_file_is_told_of(run, tmp_path):
    given = keras.Input((48, 48, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(5, 3)(given))
    keras.Model(given, layers.Dense(2)(x)).save(tmp_path / "mine.keras")
    (row,) = json.loads(run("--json", str(tmp_path / "mine.keras")))
    assert (row["weights"], row["input"], row["features"]) == (140, "48 × 48", 5)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("MobileNetv2", "there is no network 'MobileNetv2'; did you mean 'MobileNetV2'?"),
        ("nowhere.keras", "is no network as Keras saves it"),
    ],
)
def test_a_network_that_is_not_there_is_one_sentence(run, name, sentence):
    said = run(name, code=1)
    assert sentence in said
    assert said.count("\n") == 1
