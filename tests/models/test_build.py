import numpy as np
import pytest
import yaml

from pawprint.config.compose import project_root
from pawprint.models.build import ANY_SIZE, build_model
from pawprint.system.errors import UserError

SETTINGS = {"depth": 1, "width": 2, "dense_units": 5, "dropout": 0.0}
NAMES = sorted(path.stem for path in (project_root() / "conf" / "model").glob("*.yaml"))
OWN = ("article", "cnn", "resnet")


def pictures(count):
    return np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", NAMES)
def test_every_choice_of_conf_is_built_under_its_name(name):
    content = yaml.safe_load((project_root() / "conf" / "model" / f"{name}.yaml").read_text())
    given = {k: v for k, v in content.items() if k in ("width", "depth", "backbone", "alpha")}
    model = build_model(content["name"], 32, 2, **SETTINGS | given, weights="none")
    assert model.name == name
    assert model.output_shape == (None, 1)


def test_dense_units_reach_the_articles_network():
    assert build_model("article", 16, 2, **SETTINGS).get_layer("dense").units == 5


def test_an_unknown_name_is_refused_with_those_there_are():
    said = "'vgg', but the networks are article, cnn, resnet and transfer"
    with pytest.raises(UserError, match=said):
        build_model("vgg", 16, 2, **SETTINGS)


@pytest.mark.parametrize("name", OWN)
def test_pictures_go_in_as_bytes_and_are_rescaled_inside(name):
    model = build_model(name, 16, 2, **SETTINGS)
    assert model.inputs[0].dtype == "uint8"
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    inside = np.asarray(model.get_layer("rescaling")(levels))
    np.testing.assert_allclose(inside, levels / 255, atol=1e-6)
    assert (inside.min(), inside.max()) == (0.0, 1.0)


@pytest.mark.parametrize("name", OWN)
def test_a_picture_is_answered_the_same_alone_and_among_others(name):
    model = build_model(name, 16, 3, **SETTINGS)
    together = model(pictures(5))
    alone = np.concatenate([model(pictures(5)[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(alone, together, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in OWN if name in ANY_SIZE])
def test_networks_for_any_size_are_built_without_one(name):
    model = build_model(name, None, 2, **SETTINGS)
    assert [model(pictures(2)[:, :side, :side]).shape for side in (16, 12)] == [(2, 1)] * 2


def test_one_that_is_not_for_any_size_is_not_called_so():
    assert set(OWN) - set(ANY_SIZE) == {"article"}
