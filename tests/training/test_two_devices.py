import itertools

import numpy as np
import pytest


def assert_two_learn_what_one_does(case, apart=1e-5, frozen=False):
    one, two = case["one"], case["two"]
    assert (one["devices"], two["devices"]) == (1, 2)
    for first, second in zip(one["history"], two["history"], strict=True):
        assert second == pytest.approx(first, rel=1e-4)
    np.testing.assert_allclose(two["weights"], one["weights"], rtol=1e-3, atol=apart)
    moved = np.abs(np.subtract(one["weights"][: len(one["start"])], one["start"]))
    moved = moved[moved > 0] if frozen else moved
    assert np.median(moved) > 1e-3  # much more than the two may differ


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [
        *itertools.product(["article", "resnet"], ["sgd", "adamw", "muon"]),
        ("article", "adadelta"),
    ],
)
def test_two_devices_that_share_a_batch_learn_what_one_does(two_devices, name, optimizer):
    assert_two_learn_what_one_does(two_devices[f"{name}-{optimizer}"])


def test_two_devices_teach_the_head_of_a_backbone_what_one_does(two_devices):
    assert_two_learn_what_one_does(two_devices["transfer-adamw"])


def test_two_devices_fine_tune_the_last_layers_of_a_backbone_as_one_does(two_devices):
    # Its batches of eight, of one pixel each, make the smallest variances, and differences, large.
    assert_two_learn_what_one_does(two_devices["fine_tune-sgd"], apart=5e-4, frozen=True)
