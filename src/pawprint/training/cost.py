"""What a training costs: operations, the machine's peak at them, memory and seconds."""

import contextlib
import functools
import io
import logging
import os
import resource
import sys
import timeit
from pathlib import Path

import keras
import tensorflow as tf

from pawprint.config.schema import Config
from pawprint.training.loop import Fitted

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
    count = 64 if tf.config.list_physical_devices("GPU") else 1

    @tf.function
    def product() -> tf.Tensor:
        result = matrix
        for _ in range(count):
            result = tf.matmul(result, matrix)
        return tf.reduce_max(result)

    product().numpy()
    seconds = timeit.repeat(lambda: product().numpy(), number=1, repeat=rounds)
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
        stat = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace")
        fields = stat.rpartition(")")[2].split()  # behind the name, which may hold anything
        uptime = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return uptime - int(fields[19]) / os.sysconf("SC_CLK_TCK")


def training_costs(
    config: Config, model: keras.Model, fitted: Fitted, started: float | None
) -> dict[str, float]:
    """Where the time went: speed, waiting, memory, operations and their share of the peak."""
    operations = operations_per_picture(model, config.image_size)
    figures = {"peak_memory_mb": peak_memory() / 1e6, "gflop_per_picture": operations / 1e9}
    if started is not None:
        figures["start_up_seconds"] = started
    if not fitted.pictures:
        return figures
    figures |= {
        "seconds_of_training": fitted.seconds,
        "mean_pictures_per_second": sum(fitted.pictures.values()) / fitted.seconds,
        "mean_input_wait_share": fitted.seconds_waited / fitted.seconds,
    }
    if fitted.seconds_of_features:
        figures["seconds_of_features"] = fitted.seconds_of_features
    if fitted.seconds_of_teacher:
        figures["seconds_of_teacher"] = fitted.seconds_of_teacher
    # Frozen layers are not gone through backwards.
    if config.model.name != "transfer" or config.model.unfreeze == 1:
        # Backwards, each product is done twice: for the weights and for what comes in.
        done = 3 * sum(
            operations_per_picture(model, size) * count for size, count in fitted.pictures.items()
        )
        peak = matrix_peak(keras.config.dtype_policy().compute_dtype)
        figures["matrix_peak_gflops"] = peak / 1e9
        devices = model.distribute_strategy.num_replicas_in_sync
        figures["share_of_matrix_peak"] = done / fitted.seconds / peak / devices
    return figures
