"""Starting TensorFlow without its start-up messages."""

import contextlib
import ctypes
import gc
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger(__name__)


def cpu_multiplies_bfloat16() -> bool:
    """Whether the processor says that it multiplies bfloat16 natively; only Linux tells."""
    with contextlib.suppress(OSError):
        words = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
        return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(words)  # the last one is ARM's
    return False


def start_tensorflow() -> None:
    """Import TensorFlow and wake its devices; say in one line what it will run on."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with held_back_stderr():
        with _hidden("matplotlib", "sklearn"):
            import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        for gpu in gpus:  # as much memory as is needed, not all there is
            tf.config.experimental.set_memory_growth(gpu, True)
        tf.zeros(())
    if gpus:
        log.info("running on %d GPU%s", len(gpus), "s" if len(gpus) > 1 else "")
    elif any(Path("/dev").glob("nvidia[0-9]*")) and os.environ.get("CUDA_VISIBLE_DEVICES") is None:
        log.warning(
            "this machine has a GPU, but TensorFlow cannot use it and runs on the processor; "
            "`pip install 'tensorflow[and-cuda]==%s'` installs what it needs",
            tf.__version__,
        )


@contextlib.contextmanager
def _hidden(*libraries: str) -> Iterator[None]:
    """Keep Keras from libraries that it needs for nothing here, a quarter of its import."""
    there = {name: sys.modules.get(name) for name in libraries}
    sys.modules.update(dict.fromkeys(libraries))  # type: ignore[arg-type]  # as Python documents it
    try:
        yield
    finally:
        for name, module in there.items():
            del sys.modules[name]
            if module is not None:
                sys.modules[name] = module


def forget_training() -> None:
    """Give back the memory of trainings that have ended in this process."""
    if "keras" not in sys.modules:
        return
    import keras
    from tensorflow.python.framework import ops

    # A custom gradient in a graph stays registered for good, and with it the graph: 5 to 15 MB a
    # training. No graph is in use any more.
    registered = getattr(ops.gradient_registry, "_registry", {})
    for name in [name for name in registered if name.startswith("CustomGradient-")]:
        del registered[name]
    keras.backend.clear_session()  # which also collects garbage
    if not gc.get_freeze_count():  # what libraries hold, a million objects, need not be looked at
        gc.freeze()
    with contextlib.suppress(OSError, AttributeError):  # of glibc only
        ctypes.CDLL("libc.so.6").malloc_trim(0)


@contextlib.contextmanager
def held_back_stderr() -> Iterator[None]:
    """Drop what C++ writes before its logging is set up; show it where the start fails."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
