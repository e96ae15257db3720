import itertools

import keras
import numpy as np
import pytest
import yaml

from pawprint.config import project_root
from pawprint.errors import UserError
from pawprint.training.optimization import OPTIMIZERS, build_optimizer, build_schedule

CONF = project_root() / "conf"
COSINE = {"warmup_fraction": 0.1, "final_fraction": 0.01}


def configured(name):
    content = yaml.safe_load((CONF / "optimizer" / f"{name}.yaml").read_text())
    return content.pop("name"), content.pop("learning_rate"), content


def rates(schedule, steps):
    return [float(schedule(step)) for step in range(steps + 1)]


# Optimizers


def test_every_optimizer_has_a_file_in_conf_and_every_file_an_optimizer():
    assert {path.stem for path in (CONF / "optimizer").glob("*.yaml")} == set(OPTIMIZERS)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_name_is_the_keras_optimizer_of_that_name_with_its_confs_values(name):
    written, rate, arguments = configured(name)
    optimizer = build_optimizer(written, rate, arguments)
    assert type(optimizer).__name__.lower() == name
    assert optimizer.learning_rate.numpy() == np.float32(rate)
    seen = optimizer.get_config()
    assert {key: seen[key] for key in arguments} == arguments


def test_adadeltas_rate_in_conf_is_the_articles_1():
    assert configured("adadelta")[1] == 1.0


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer_takes_a_step(name):
    variable = keras.Variable([1.0])
    optimizer = build_optimizer(name, 0.1, configured(name)[2])
    optimizer.apply([np.array([1.0], np.float32)], [variable])
    assert variable.numpy()[0] < 1.0


@pytest.mark.parametrize(
    ("name", "argument"), [("sgd", "rho"), ("adam", "momentum"), ("adadelta", "beta_1")]
)
def test_an_argument_that_the_optimizer_does_not_take_is_refused(name, argument):
    with pytest.raises(UserError, match=f"optimizer={name} does not take {argument}") as caught:
        build_optimizer(name, 0.1, {argument: 0.5})
    assert f"conf/optimizer/{name}.yaml" in str(caught.value)


def test_an_unknown_optimizer_is_refused_with_those_there_are():
    with pytest.raises(UserError, match="'lion', but the optimizers are adadelta, adam, adamw"):
        build_optimizer("lion", 0.1, {})


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("adamw", {"weight_decay": 0.5}), ("sgd", {"weight_decay": 0.5}), ("adamw", {})],
    ids=["adamw", "sgd", "adamw with Keras's own weight decay"],
)
def test_weight_decay_shrinks_kernels_but_neither_biases_nor_norms(name, arguments):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, bias_initializer="ones")])
    model.add(keras.layers.BatchNormalization(beta_initializer="ones"))
    optimizer = build_optimizer(name, 0.1, arguments)
    before = {v.path: v.numpy() for v in model.trainable_variables}
    nothing = [np.zeros(v.shape, np.float32) for v in model.trainable_variables]
    optimizer.apply(nothing, model.trainable_variables)
    changed = {v.name for v in model.trainable_variables if (v.numpy() != before[v.path]).any()}
    assert {v.name for v in model.trainable_variables} == {"kernel", "bias", "gamma", "beta"}
    assert changed == {"kernel"}


def test_an_optimizer_takes_a_schedule_as_its_rate():
    schedule = build_schedule("cosine", 0.1, 100, **COSINE)
    optimizer = build_optimizer("sgd", schedule, {})
    assert float(optimizer.learning_rate) == 0.0


# Schedules


def test_constant_is_the_rate_itself():
    assert build_schedule("constant", 0.25, 100, **COSINE) == 0.25


def test_cosine_rises_to_its_peak_and_falls_to_the_final_share():
    seen = rates(build_schedule("cosine", 0.5, 100, **COSINE), 100)
    np.testing.assert_allclose(seen[:11], np.linspace(0, 0.5, 11), atol=1e-6)
    assert max(seen) == seen[10] == 0.5
    assert all(one > two for one, two in itertools.pairwise(seen[10:]))
    assert seen[55] == pytest.approx(0.5 * (1 + 0.01) / 2, rel=1e-5)
    assert seen[100] == pytest.approx(0.005, rel=1e-5)


def test_cosine_without_warm_up_begins_at_its_peak():
    schedule = build_schedule("cosine", 0.5, 10, warmup_fraction=0.0, final_fraction=0.0)
    seen = rates(schedule, 10)
    assert seen[0] == 0.5
    assert seen[5] == pytest.approx(0.25, rel=1e-5)
    assert seen[10] == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_cosine_over_few_steps_still_trains(steps):
    schedule = build_schedule("cosine", 0.5, steps, **COSINE)
    assert rates(schedule, steps)[0] == 0.5
    assert np.isfinite(rates(schedule, steps)).all()


def test_an_unknown_schedule_is_refused_with_those_there_are():
    with pytest.raises(UserError, match="'step', but the schedules are constant and cosine"):
        build_schedule("step", 0.1, 10, **COSINE)


def test_every_schedule_of_conf_is_built():
    for path in (CONF / "schedule").glob("*.yaml"):
        content = {"warmup_fraction": 0.0, "final_fraction": 0.0}
        content |= yaml.safe_load(path.read_text())
        name = content.pop("name")
        assert name == path.stem
        assert build_schedule(name, 0.1, 10, **content) is not None
