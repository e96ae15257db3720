"""What a training runs on: devices, their number, and the precision that they are made for."""

import contextlib
from collections.abc import Iterator, Sequence

import keras
import tensorflow as tf

from pawprint.system.errors import UserError
from pawprint.training.tensorflow_runtime import cpu_multiplies_bfloat16


def policy_for(precision: str, *, depthwise: bool = False) -> str:
    """Keras's dtype policy: weights stay float32, products are in the named precision.

    Args:
        precision: float32, bfloat16, float16, or auto: bfloat16 where every GPU (NVIDIA's from
            compute capability 8.0) or, without one, the CPU multiplies it natively, float16 on
            a single GPU from 7.0, else float32.
        depthwise: whether the network has depthwise convolutions, which on a CPU are the slower
            in bfloat16: there auto is float32. Defaults to False.
    """
    if precision == "auto":
        precision = _best_precision(depthwise)
    return precision if precision == "float32" else f"mixed_{precision}"


def set_policy(precision: str, *, depthwise: bool = False) -> str:
    """Make networks built from now on compute as by ``policy_for``; returns its name."""
    name = policy_for(precision, depthwise=depthwise)
    keras.mixed_precision.set_global_policy(name)
    return name


def _best_precision(depthwise: bool) -> str:
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "bfloat16" if cpu_multiplies_bfloat16() and not depthwise else "float32"
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    capability = min(detail.get("compute_capability") or (0, 0) for detail in details)
    if capability >= (8, 0):
        return "bfloat16"
    return "float16" if capability >= (7, 0) and len(gpus) == 1 else "float32"


def check_policy(policy: str, strategy: tf.distribute.Strategy) -> None:
    """Refuse float16 on several devices, where Keras scales the loss by what the first one finds.

    Raises:
        UserError: says what to set instead.
    """
    if policy == "mixed_float16" and strategy.num_replicas_in_sync > 1:
        raise UserError(
            f"precision is float16, but {strategy.num_replicas_in_sync} devices share the training "
            "and an overflow on one of them would go unseen; set precision to auto, bfloat16 or "
            "float32"
        )


def strategy_for(devices: Sequence[str] | None = None) -> tf.distribute.Strategy:
    """All GPUs together where there are several, else the one device there is.

    Args:
        devices: TensorFlow names of the devices to use instead ("CPU:0", "GPU:1").
    """
    if devices is None:
        devices = [gpu.name for gpu in tf.config.list_logical_devices("GPU")]
    if len(devices) < 2:
        return tf.distribute.get_strategy()
    # Hierarchical copies need no NCCL, which CPU devices do not have.
    on_cpu = any("CPU" in device.upper() for device in devices)
    ops = tf.distribute.HierarchicalCopyAllReduce() if on_cpu else None
    return tf.distribute.MirroredStrategy(devices, cross_device_ops=ops)


@contextlib.contextmanager
def memory_explained(batch_size: int) -> Iterator[None]:
    """Say in a sentence, a ``UserError``, where the memory of the device is not enough."""
    try:
        yield
    except tf.errors.ResourceExhaustedError:
        raise UserError(
            f"the network and batches of {batch_size} pictures do not fit into the memory of the "
            "device; lower batch_size or image_size, or take a smaller network"
        ) from None
