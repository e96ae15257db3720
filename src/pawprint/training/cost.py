"""What a training costs: operations, the machine's peak at them, memory and seconds."""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import os
import resource
import sys
import time
from pathlib import Path

import keras
import tensorflow as tf

_PRODUCTS_OF_GPU = 64
_SIDE = 2048  # of the matrices that show the peak: 17 GFLOP a product


def operations_per_picture(model: keras.Model, size: int) -> int:
    """Floating-point operations of one forward pass (a multiply-add is two), by TensorFlow's count.

    Args:
        model: from uint8 pictures (n, side, side, 3).
        size: side of the picture.
    """
    call = tf.function(lambda pictures: model(pictures, training=False))
    graph = call.get_concrete_function(tf.TensorSpec((1, size, size, 3), tf.uint8)).graph
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation())
    tf.get_logger().setLevel(logging.ERROR)  # it is told that it is an old interface
    with contextlib.redirect_stdout(io.StringIO()):
        counted = profiler.profile(graph, options=options.with_empty_output().build())
    return int(counted.total_float_ops)


@functools.cache  # the machine stays the same from trial to trial
def matrix_peak(dtype: str, rounds: int = 5) -> float:
    """Operations per second of a large matrix product on this machine, the best of some rounds.

    Args:
        dtype: float32, bfloat16 or float16.
        rounds: products after one that is not counted.
    """
    matrix = tf.cast(tf.random.stateless_uniform((_SIDE, _SIDE), (0, 0)) * 2 / _SIDE, dtype)
    # A GPU does one in less time than it takes to ask for it.
    count = _PRODUCTS_OF_GPU if tf.config.list_physical_devices("GPU") else 1

    @tf.function
    def product() -> tf.Tensor:
        result = matrix
        for _ in range(count):
            result = tf.matmul(result, matrix)
        return tf.reduce_max(result)

    product().numpy()
    seconds = []
    for _ in range(rounds):
        begin = time.perf_counter()
        product().numpy()
        seconds.append(time.perf_counter() - begin)
    return count * 2 * _SIDE**3 / min(seconds)


def peak_memory() -> int:
    """Bytes of main memory that this process has held at most, or since it was told to forget."""
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held if sys.platform == "darwin" else held * 1024


def forget_peak_memory() -> None:
    """Let ``peak_memory`` count from now on, where the system can (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def seconds_since_start() -> float | None:
    """Seconds since this process started; None where the system does not tell (not Linux)."""
    try:
        fields = (
            Path("/proc/self/stat")
            .read_text(encoding="utf-8", errors="replace")
            .rpartition(")")[2]
            .split()
        )
        uptime = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return uptime - int(fields[19]) / os.sysconf("SC_CLK_TCK")
