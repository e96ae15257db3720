"""A training that is stopped and goes on with a new network is the one that was never stopped."""

import functools
import itertools
import signal
import time

import keras
import numpy as np
import pytest

from pawprint.training.augmentation import Augmentation
from pawprint.training.checkpoint import Checkpoint, State
from pawprint.training.optimizers import build_optimizer, build_schedule

VARIED = Augmentation(horizontal_flip=True, shift=0.1, mixup=1.0, cutout=0.2)
STEPS = 20  # more than TensorFlow does in one call, and more than a pass
EPOCHS = 4


def averaging_adamw():
    schedule = build_schedule(
        "one_cycle", 0.01, EPOCHS * STEPS, warmup_fraction=0.25, final_fraction=0.0
    )
    return build_optimizer("adamw", schedule, {"weight_decay": 0.02}, averaging_steps=30)


def sometimes_too_much(pictures, targets, rng, size):
    """Vary a batch; now and then its gradients are no float16, which lowers the loss scale."""
    pictures, targets = VARIED(pictures, targets, rng, size)
    return pictures, targets * (1e6 if rng.random() < 0.1 else 1)


class StoppedError(Exception):
    """What ends a training from outside."""


@pytest.fixture
def run(train):
    """A function that trains as all of these tests do; a new network each time."""

    def run(*, seed=0, vary=VARIED, **arguments):
        return train(
            seed=seed,
            counts=(50, 10),
            optimizer=averaging_adamw,
            vary=vary,
            steps=STEPS,
            epochs=EPOCHS,
            label_smoothing=0.1,
            **arguments,
        )

    return run


@pytest.fixture(scope="module")
def undisturbed(train):
    return train(
        counts=(50, 10),
        optimizer=averaging_adamw,
        vary=VARIED,
        steps=STEPS,
        epochs=EPOCHS,
        label_smoothing=0.1,
    )


@pytest.fixture
def run_half(run):
    """The same in half precision; networks of later tests have the precision they had before."""
    before = keras.config.dtype_policy()
    yield functools.partial(run, precision="float16", vary=sometimes_too_much)
    keras.config.set_dtype_policy(before)


@pytest.fixture
def listening():
    """A handler of SIGTERM that ends the training, and what it saw when it was called."""
    seen = []

    def handle(*_):
        seen.append("asked")
        raise StoppedError

    before = signal.signal(signal.SIGTERM, handle)
    yield seen
    assert signal.getsignal(signal.SIGTERM) is handle  # it is put back
    signal.signal(signal.SIGTERM, before)


def asking(after):
    """An augmentation during whose n-th batch SIGTERM comes."""
    number = itertools.count(1)

    def vary(pictures, targets, rng, size):
        if next(number) == after:
            time.sleep(0.2)  # so that all batches before are used up
            signal.raise_signal(signal.SIGTERM)
        return VARIED(pictures, targets, rng, size)

    return vary


def assert_same(one, two):
    assert one.fitted.history == two.fitted.history
    assert one.fitted.best == two.fitted.best
    for first, second in (
        (one.model.variables, two.model.variables),  # the state of dropout too
        # Moments, averages, iterations; in float16 the loss scale and its counter.
        (one.model.optimizer.variables, two.model.optimizer.variables),
    ):
        for a, b in zip(first, second, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy(), a.path)
    for a, b in zip(one.fitted.weights, two.fitted.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_is_compared_depends_on_every_part(undisturbed):
    assert len(undisturbed.optimizer._model_variables_moving_average) == 5
    assert any("seed_generator" in variable.path for variable in undisturbed.model.variables)
    assert len({row["loss"] for row in undisturbed.fitted.history}) == EPOCHS


def test_after_an_epoch(run, undisturbed, tmp_path):
    checkpoint = Checkpoint(tmp_path, {})

    def stop(trained, epoch):
        if epoch == 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        run(checkpoint=checkpoint, report=stop)
    state = checkpoint.load()
    assert (state.epoch, state.step, len(state.reports)) == (2, 0, 2)
    assert state.history == undisturbed.fitted.history[:2]
    went_on = run(checkpoint=checkpoint, state=state)
    assert_same(went_on, undisturbed)
    assert [epoch for epoch, _ in went_on.reports] == [3, 4]
    done = run(checkpoint=checkpoint, state=checkpoint.load())
    assert_same(done, undisturbed)
    assert done.reports == []
    # What the epochs before took counts too.
    assert done.fitted.pictures == went_on.fitted.pictures == undisturbed.fitted.pictures
    assert done.fitted.seconds == went_on.fitted.seconds > 0


def test_in_half_precision_with_the_loss_scale(run_half, tmp_path):
    checkpoint = Checkpoint(tmp_path, {})
    undisturbed = run_half()
    assert isinstance(undisturbed.model.optimizer, keras.optimizers.LossScaleOptimizer)

    def stop(trained, epoch):
        if epoch == 3:
            raise StoppedError

    with pytest.raises(StoppedError):
        run_half(checkpoint=checkpoint, report=stop)
    state = checkpoint.load()
    went_on = run_half(checkpoint=checkpoint, state=state)
    assert_same(went_on, undisturbed)
    # The last epoch has neither lowered the scale nor begun the count, so both were restored.
    scale, counter = went_on.model.optimizer.dynamic_scale, went_on.model.optimizer.step_counter
    assert 0 < scale.numpy() < went_on.model.optimizer.initial_scale
    assert counter.numpy() > STEPS


def test_within_epochs_and_before_a_validation_as_often_as_one_likes(
    run, undisturbed, tmp_path, listening
):
    checkpoint = Checkpoint(tmp_path, {})
    whole = STEPS + 1  # batches are made in an epoch, one of them to show what they look like

    def stopped_after(batches):
        state = checkpoint.load() or State()
        with pytest.raises(StoppedError):
            run(checkpoint=checkpoint, state=state, vary=asking(batches))
        state = checkpoint.load()
        assert state.history == undisturbed.fitted.history[: state.epoch]
        return state.epoch, state.step

    assert stopped_after(2) == (0, 16)  # the steps that TensorFlow does in one call
    rest = STEPS - 16 + 1
    assert stopped_after(rest + whole) == (1, STEPS)
    assert stopped_after(whole + 5) == (3, 16)
    assert listening == ["asked"] * 3
    went_on = run(checkpoint=checkpoint, state=checkpoint.load())
    assert_same(went_on, undisturbed)
    assert [epoch for epoch, _ in went_on.reports] == [4]


def test_asked_to_stop_while_the_last_epoch_is_recorded_it_stops(run, tmp_path, listening):
    checkpoint = Checkpoint(tmp_path, {})

    def ask(trained, epoch):
        if epoch == EPOCHS:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(StoppedError):
        run(checkpoint=checkpoint, report=ask)
    assert checkpoint.load().epoch == EPOCHS
