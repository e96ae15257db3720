import itertools

import keras
import numpy as np
import pytest
import yaml
from keras import layers

from pawprint.config.compose import project_root
from pawprint.system.errors import UserError
from pawprint.training.optimizers import (
    OPTIMIZERS,
    build_optimizer,
    build_schedule,
    with_rate_factors,
)

CONF = project_root() / "conf"
COSINE = {"warmup_fraction": 0.1, "final_fraction": 0.01}
SHAPES = {"kernel": (3, 3, 4, 6), "matrix": (5, 7), "bias": (7,), "gamma": (6,)}


def configured(name):
    content = yaml.safe_load((CONF / "optimizer" / f"{name}.yaml").read_text())
    return content.pop("name"), content.pop("learning_rate"), content


def variables(shapes=SHAPES, seed=0):
    rng = np.random.default_rng(seed)
    return [
        keras.Variable(rng.normal(size=shape).astype(np.float32), name=name)
        for name, shape in shapes.items()
    ]


def stepped(optimizer, shapes=SHAPES, steps=6):
    """The variables after some steps along gradients of different sizes."""
    rng, found = np.random.default_rng(1), variables(shapes)
    optimizer.build(found)
    for step in range(steps):
        sizes = 10.0 ** (step % 3 - 2)
        gradients = [rng.normal(size=v.shape, scale=sizes).astype(np.float32) for v in found]
        optimizer.apply(gradients, found)
    return [v.numpy() for v in found]


def assert_close(seen, expected, rtol=1e-5):
    for one, two in zip(seen, expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=rtol, atol=1e-6)


def rates(schedule, steps):
    return [float(schedule(step)) for step in range(steps + 1)]


# Optimizers


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_rate_factor_multiplies_the_learning_rate_of_its_variable_alone(name):
    class_name, _, arguments = configured(name)
    arguments.pop("weight_decay", None)

    def built(rate, factors):
        made = build_optimizer(class_name, rate, arguments | {"weight_decay": 0.0})
        return with_rate_factors(made, factors) if factors else made

    factors = [0.1, 1.0, 0.1, 1.0]
    mixed = stepped(built(0.01, factors))
    slow, fast = stepped(built(0.001, ())), stepped(built(0.01, ()))
    assert_close(mixed, [slow[0], fast[1], slow[2], fast[3]])
    assert not np.allclose(slow[0], fast[0], atol=1e-6)


def test_every_optimizer_has_a_file_in_conf_and_every_file_an_optimizer():
    assert {path.stem for path in (CONF / "optimizer").glob("*.yaml")} == set(OPTIMIZERS)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_name_is_the_keras_optimizer_of_that_name_with_its_confs_values(name):
    written, rate, arguments = configured(name)
    optimizer = build_optimizer(written, rate, arguments)
    assert name in [kind.__name__.lower() for kind in type(optimizer).__mro__]
    assert optimizer.learning_rate.numpy() == np.float32(rate)
    seen = optimizer.get_config()
    if name == "muon":
        seen |= {"beta_1": seen["adam_beta_1"], "beta_2": seen["adam_beta_2"]}
        assert seen["adam_weight_decay"] == arguments["weight_decay"]
    assert {key: seen[key] for key in arguments} == arguments


def test_adadeltas_rate_in_conf_is_the_articles_1():
    assert configured("adadelta")[1] == 1.0


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer_takes_a_step_against_the_gradient(name):
    variable = keras.Variable([1.0])
    optimizer = build_optimizer(name, 0.1, configured(name)[2])
    optimizer.apply([np.array([1.0], np.float32)], [variable])
    assert variable.numpy()[0] < 1.0


@pytest.mark.parametrize(
    ("name", "argument"),
    [("sgd", "rho"), ("adam", "momentum"), ("adadelta", "beta_1"), ("muon", "rho")],
)
def test_an_argument_that_the_optimizer_does_not_take_is_refused(name, argument):
    with pytest.raises(UserError, match=f"optimizer={name} does not take {argument}") as caught:
        build_optimizer(name, 0.1, {argument: 0.5})
    assert f"conf/optimizer/{name}.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_the_argument_that_is_not_taken_is_blamed():
    with pytest.raises(UserError, match="optimizer=adam does not take momentum as given"):
        build_optimizer("adam", 0.1, {"beta_1": 0.9, "momentum": 0.5})


def test_an_unknown_optimizer_is_refused_with_those_there_are():
    with pytest.raises(UserError, match="'no optimizer', but the optimizers are adadelta, "):
        build_optimizer("no optimizer", 0.1, {})


@pytest.mark.parametrize("name", ["adam", "adamw", "adadelta", "sgd", "rmsprop"])
def test_several_steps_are_those_of_keras_itself(name):
    _, rate, arguments = configured(name)
    keras_own = {
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
        "adadelta": keras.optimizers.Adadelta,
        "sgd": keras.optimizers.SGD,
        "rmsprop": keras.optimizers.RMSprop,
    }[name](rate, **arguments)
    if name == "adamw":
        keras_own.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    assert_close(stepped(build_optimizer(name, rate, arguments)), stepped(keras_own))


@pytest.mark.parametrize("name", ["adamw", "adadelta"])
def test_a_schedule_and_averages_go_with_the_faster_optimizers_as_with_keras_own(name):
    schedule = build_schedule("one_cycle", 0.1, 6, warmup_fraction=0.5, final_fraction=0.0)
    own = {"adamw": keras.optimizers.AdamW, "adadelta": keras.optimizers.Adadelta}[name]
    ours = build_optimizer(name, schedule, {"weight_decay": 0.0}, averaging_steps=4)
    theirs = own(schedule, weight_decay=0.0, use_ema=True, ema_momentum=0.75)
    assert_close(stepped(ours), stepped(theirs))
    averages = [o._model_variables_moving_average for o in (ours, theirs)]
    assert_close(*([v.numpy() for v in found] for found in averages))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("adamw", {"weight_decay": 0.5}),
        ("sgd", {"weight_decay": 0.5}),
        ("muon", {"weight_decay": 0.5}),
        ("adadelta", {"weight_decay": 0.5}),
        ("adamw", {}),
    ],
    ids=["adamw", "sgd", "muon", "adadelta", "adamw with Keras's own weight decay"],
)
def test_weight_decay_shrinks_kernels_but_neither_biases_nor_norms(name, arguments):
    given = keras.Input((4, 4, 2))
    x = layers.Conv2D(3, 3, bias_initializer="ones", name="convolution")(given)
    x = layers.BatchNormalization(beta_initializer="ones", name="normalisation")(x)
    x = layers.Dense(2, bias_initializer="ones", name="dense")(layers.Flatten()(x))
    model = keras.Model(given, layers.Dense(1, name="probabilities")(x))
    optimizer = build_optimizer(name, 0.1, arguments)
    before = {v.path: v.numpy() for v in model.trainable_variables}
    nothing = [np.zeros(v.shape, np.float32) for v in model.trainable_variables]
    optimizer.apply(nothing, model.trainable_variables)
    shrunk = {
        v.path
        for v in model.trainable_variables
        if (np.abs(v.numpy()) < np.abs(before[v.path])).all()
    }
    assert shrunk == {f"{name}/kernel" for name in ("convolution", "dense", "probabilities")}
    for v in model.trainable_variables:
        if v.path not in shrunk:
            np.testing.assert_array_equal(v.numpy(), before[v.path])


def test_an_optimizer_takes_a_schedule_as_its_rate():
    schedule = build_schedule("cosine", 0.1, 100, **COSINE)
    optimizer = build_optimizer("sgd", schedule, {})
    assert float(optimizer.learning_rate) == 0.0


@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
def test_averages_go_over_about_so_many_last_steps(name):
    optimizer = build_optimizer(name, 0.1, {}, averaging_steps=4)
    (variable,) = variables({"matrix": (2, 2)})
    average = None
    for step in range(8):
        optimizer.apply([np.full((2, 2), (-1.0) ** step, np.float32)], [variable])
        value = variable.numpy()
        average = value if average is None else 0.75 * average + 0.25 * value
    (kept,) = optimizer._model_variables_moving_average
    np.testing.assert_allclose(kept.numpy(), average, rtol=1e-5)
    assert np.abs(kept.numpy() - variable.numpy()).max() > 1e-3


@pytest.mark.parametrize("steps", [0.3, 1.0])
def test_an_average_over_less_than_a_step_is_the_last_one(steps):
    optimizer = build_optimizer("sgd", 0.1, {}, averaging_steps=steps)
    (variable,) = variables({"matrix": (2, 2)})
    for _ in range(3):
        optimizer.apply([np.ones((2, 2), np.float32)], [variable])
    np.testing.assert_array_equal(
        optimizer._model_variables_moving_average[0].numpy(), variable.numpy()
    )


def test_without_averaging_steps_nothing_is_averaged():
    assert not build_optimizer("sgd", 0.1, {}).use_ema


# Muon


def test_muon_treats_matrices_and_the_rest_as_kerass_own():
    shapes = {"matrix": (5, 7), "tall": (9, 4), "bias": (7,)}
    _, rate, arguments = configured("muon")
    decay = arguments["weight_decay"]
    theirs = keras.optimizers.Muon(
        rate,
        momentum=arguments["momentum"],
        nesterov=arguments["nesterov"],
        adam_beta_1=arguments["beta_1"],
        adam_beta_2=arguments["beta_2"],
        weight_decay=decay,
        adam_weight_decay=decay,
    )
    theirs.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    ours = build_optimizer("muon", rate, arguments)
    # Newton and Schulz's iteration enlarges what rounding leaves.
    assert_close(stepped(ours, shapes), stepped(theirs, shapes), rtol=1e-4)


def test_muon_treats_a_convolutions_kernel_as_the_matrix_of_its_outputs():
    shapes = {"kernel": (3, 3, 4, 6)}
    ours = build_optimizer("muon", 0.1, {"weight_decay": 0.0})
    theirs = keras.optimizers.Muon(0.1, weight_decay=0.0, adam_weight_decay=0.0)
    (seen,) = stepped(ours, shapes)
    (start,) = variables(shapes)
    rng, matrix = np.random.default_rng(1), keras.Variable(start.numpy().reshape(36, 6))
    for step in range(6):
        gradient = rng.normal(size=(3, 3, 4, 6), scale=10.0 ** (step % 3 - 2)).astype(np.float32)
        theirs.apply([gradient.reshape(36, 6)], [matrix])
    np.testing.assert_allclose(seen.reshape(36, 6), matrix.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 3, 4, 6), (3, 3, 2, 32), (12, 8)])
def test_a_muon_step_is_orthogonal_and_as_large_as_one_of_adamw(shape):
    ours = build_optimizer("muon", 0.1, {"weight_decay": 0.0})
    variable = keras.Variable(np.zeros(shape, np.float32))
    gradient = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    gradient[..., 0] *= 30  # one output's gradient is much larger than the others'
    ours.apply([gradient], [variable])
    rows, columns = np.prod(shape[:-1]), shape[-1]
    step = -variable.numpy().reshape(rows, columns)
    scale = 0.1 * 0.2 * np.sqrt(max(rows, columns))  # rate, Liu et al.'s 0.2, and the longer side
    values = np.linalg.svd(step / scale, compute_uv=False)
    assert len(values) == min(rows, columns)
    assert 0.6 < values.min() < values.max() < 1.3  # as near to 1 as the iteration goes
    assert (step * gradient.reshape(rows, columns)).sum() > 0
    assert 0.1 < np.sqrt(np.mean((step / 0.1) ** 2)) < 0.3  # the root mean square of a weight


def test_muon_leaves_the_last_layer_depthwise_kernels_biases_and_norms_to_adamw():
    given = keras.Input((8, 8, 2))
    x = layers.Conv2D(3, 3, name="convolution")(given)
    x = layers.SeparableConv2D(3, 3, use_bias=False, name="separable")(x)
    x = layers.DepthwiseConv2D(3, use_bias=False, name="block_depthwise")(x)
    x = layers.BatchNormalization(name="normalisation")(x)
    x = layers.Dense(2, name="dense")(layers.Flatten()(x))
    model = keras.Model(given, layers.Dense(1, name="probabilities")(x))
    optimizer = build_optimizer("muon", 0.1, {})
    optimizer.build(model.trainable_variables)
    orthogonal = {
        variable.path
        for variable, velocity in zip(
            model.trainable_variables, optimizer.adam_velocities, strict=True
        )
        if velocity is None
    }
    assert orthogonal == {"convolution/kernel", "separable/pointwise_kernel", "dense/kernel"}


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


def test_one_cycle_is_one_line_up_and_one_line_down():
    schedule = build_schedule("one_cycle", 0.4, 20, warmup_fraction=0.25, final_fraction=0.1)
    expected = np.concatenate([np.linspace(0, 0.4, 6), np.linspace(0.4, 0.04, 16)[1:]])
    np.testing.assert_allclose(rates(schedule, 20), expected, rtol=1e-5)
    assert float(schedule(25)) == pytest.approx(0.04)


def test_one_cycle_without_warm_up_begins_at_its_peak():
    schedule = build_schedule("one_cycle", 0.5, 10, warmup_fraction=0.0, final_fraction=0.0)
    np.testing.assert_allclose(rates(schedule, 10), np.linspace(0.5, 0, 11), atol=1e-7)


@pytest.mark.parametrize("name", ["cosine", "one_cycle"])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_schedule_over_few_steps_still_trains(name, steps):
    schedule = build_schedule(name, 0.5, steps, **COSINE)
    assert rates(schedule, steps)[0] == 0.5
    assert np.isfinite(rates(schedule, steps)).all()


def test_a_warm_up_over_nearly_all_steps_leaves_one_at_the_peak():
    schedule = build_schedule("one_cycle", 0.5, 4, warmup_fraction=0.99, final_fraction=0.0)
    np.testing.assert_allclose(rates(schedule, 3), [0, 1 / 6, 1 / 3, 0.5], rtol=1e-5)


def test_a_schedule_can_be_written_down_and_read_again():
    schedule = build_schedule("one_cycle", 0.4, 20, warmup_fraction=0.25, final_fraction=0.1)
    again = type(schedule).from_config(schedule.get_config())
    assert rates(again, 20) == rates(schedule, 20)


def test_an_unknown_schedule_is_refused_with_those_there_are():
    with pytest.raises(UserError, match="'step', but the schedules are constant, cosine and one"):
        build_schedule("step", 0.1, 10, **COSINE)


def test_every_schedule_of_conf_is_built():
    for path in (CONF / "schedule").glob("*.yaml"):
        content = {"warmup_fraction": 0.0, "final_fraction": 0.0}
        content |= yaml.safe_load(path.read_text())
        name = content.pop("name")
        assert name == path.stem
        schedule = build_schedule(name, 0.1, 10, **content)
        seen = [schedule] if name == "constant" else rates(schedule, 10)
        assert max(seen) == pytest.approx(0.1)
        assert len(seen) == 1 or seen[-1] == pytest.approx(0.1 * content["final_fraction"])


def test_muon_leaves_mobilenets_depthwise_kernels_to_adamw():
    given = keras.Input((8, 8, 2))
    x = layers.DepthwiseConv2D(3, use_bias=False, name="conv_dw_1")(given)
    model = keras.Model(given, layers.Conv2D(3, 1, use_bias=False, name="conv_pw_1")(x))
    optimizer = build_optimizer("muon", 0.1, {})
    optimizer.build(model.trainable_variables)
    assert [velocity is None for velocity in optimizer.adam_velocities] == [False, True]
