from pathlib import Path
from types import SimpleNamespace

import keras
import pytest
import tensorflow as tf

from pawprint.system.errors import UserError
from pawprint.training.devices import (
    check_policy,
    memory_explained,
    policy_for,
    set_policy,
    strategy_for,
)

CPU_ALONE = not tf.config.list_physical_devices("GPU")
CPUINFO = Path("/proc/cpuinfo")


@pytest.mark.parametrize(
    ("precision", "policy"),
    [("float32", "float32"), ("bfloat16", "mixed_bfloat16"), ("float16", "mixed_float16")],
)
def test_weights_stay_float32_whatever_products_are_in(precision, policy):
    assert policy_for(precision) == policy
    found = keras.dtype_policies.DTypePolicy(policy)
    assert (found.variable_dtype, found.compute_dtype) == ("float32", precision)


@pytest.mark.skipif(not CPU_ALONE, reason="there is a GPU")
@pytest.mark.skipif(not CPUINFO.is_file(), reason="only Linux tells what its CPU can do")
def test_auto_is_bfloat16_only_where_the_cpu_multiplies_it():
    words = set(CPUINFO.read_text(encoding="utf-8").split())
    native = bool(words & {"avx512_bf16", "amx_bf16", "bf16"})
    assert policy_for("auto") == ("mixed_bfloat16" if native else "float32")


@pytest.mark.skipif(not CPU_ALONE, reason="there is a GPU")
def test_auto_is_float32_for_depthwise_convolutions_on_a_cpu_and_only_auto():
    assert policy_for("auto", depthwise=True) == "float32"
    assert policy_for("bfloat16", depthwise=True) == "mixed_bfloat16"


def test_float16_on_several_devices_is_refused_in_a_sentence():
    several = SimpleNamespace(num_replicas_in_sync=2)
    with pytest.raises(UserError, match=r"^precision is float16, but 2 devices .*; set precision"):
        check_policy("mixed_float16", several)
    check_policy("mixed_bfloat16", several)
    check_policy("mixed_float16", tf.distribute.get_strategy())


def test_networks_are_built_in_the_precision_that_was_set():
    before = keras.config.dtype_policy()
    try:
        assert set_policy("bfloat16") == "mixed_bfloat16"
        layer = keras.layers.Dense(2)
        layer.build((None, 3))
        assert (layer.compute_dtype, layer.kernel.dtype) == ("bfloat16", "float32")
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.skipif(not CPU_ALONE, reason="there is a GPU")
@pytest.mark.parametrize("devices", [None, [], ["CPU:0"]])
def test_one_device_needs_no_strategy(devices):
    assert strategy_for(devices) is tf.distribute.get_strategy()


def test_too_little_memory_is_one_sentence():
    with (
        pytest.raises(UserError, match="batches of 64 pictures do not fit") as told,
        memory_explained(64),
    ):
        tf.zeros((2**50,))
    assert "lower batch_size" in str(told.value)
