import subprocess

import keras
import numpy as np
import pytest
from keras import layers

from pawprint.models.build import build_model
from pawprint.training import cost

PROC = cost.Path("/proc/self/status")


def build(name, size, classes, depth=2, width=32):
    return build_model(name, size, classes, depth=depth, width=width, dense_units=128, dropout=0.2)


def of_convolution(side, kernel, inputs, outputs):
    """Multiply-adds count as two."""
    return 2 * side**2 * kernel**2 * inputs * outputs


def test_the_articles_network_costs_what_its_convolutions_and_dense_layers_multiply():
    counted = cost.operations_per_picture(build("article", 64, 2), 64)
    products = (
        of_convolution(62, 3, 3, 32) + of_convolution(29, 3, 32, 64) + 2 * 12544 * 128 + 2 * 128
    )
    others = counted - products  # biases, ReLU, pooling, rescaling
    assert 40e6 < products < 42e6
    assert 0 < others < 0.02 * products


def test_twice_the_side_is_about_four_times_the_operations_where_any_size_goes_in():
    model = build("resnet", None, 3, width=8)
    small, large = (cost.operations_per_picture(model, side) for side in (32, 64))
    assert 3.9 < large / small < 4.1


def test_a_dense_layer_alone_is_counted_exactly_and_nothing_is_printed(capfd):
    pictures = keras.Input((4, 4, 3), dtype="uint8")
    dense = layers.Dense(7, use_bias=False)(layers.Flatten()(pictures))
    assert cost.operations_per_picture(keras.Model(pictures, dense), 4) == 2 * 48 * 7
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_peak_is_that_of_a_matrix_product_on_this_machine(monkeypatch, dtype):
    monkeypatch.setattr(cost, "_SIDE", 256)
    assert 1e7 < cost.matrix_peak(dtype, rounds=3) < 1e16


@pytest.mark.skipif(not PROC.is_file(), reason="only Linux tells")
def test_the_most_memory_is_in_bytes():
    cost.forget_peak_memory()  # other tests may have held more
    held = np.ones(2**23, np.uint8)
    lines = dict(line.split(":", 1) for line in PROC.read_text().splitlines())
    kilobytes = int(lines["VmHWM"].split()[0])
    assert cost.peak_memory() == pytest.approx(kilobytes * 1024, rel=0.02)
    assert cost.peak_memory() > held.nbytes
    most = cost.peak_memory()
    much = np.ones(2**27, np.uint8)
    assert cost.peak_memory() > most + 2**26
    del much
    cost.forget_peak_memory()
    assert cost.peak_memory() < most + 2**26


@pytest.mark.skipif(not PROC.is_file(), reason="only Linux tells")
def test_the_age_of_this_process_is_told_in_seconds():
    before = cost.seconds_since_start()
    told = subprocess.run(
        ["ps", "-o", "etimes=", "-p", PROC.read_text().split("\nPid:")[1].split()[0]],
        capture_output=True,
        check=True,
        text=True,
    )
    after = cost.seconds_since_start()
    assert before - 1 <= int(told.stdout) <= after
