"""The state of an unfinished training on disk, so that a killed one goes on as if undisturbed."""

from __future__ import annotations

import json
import logging
import os
import platform
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from pawprint.config.schema import Config
from pawprint.data.store import Split
from pawprint.system.code import code_digest
from pawprint.system.files import digest_of, replacing_file
from pawprint.system.lock import locked
from pawprint.training.tensorflow_runtime import cpu_multiplies_bfloat16

log = logging.getLogger(__name__)

# Libraries of which another version may compute other numbers.
COMPUTING = ("tensorflow", "keras", "numpy", "opencv-python-headless", "simplejpeg", "pillow")


def identity_of(
    config: Config, data: Mapping[str, Split], teacher: str | None = None
) -> dict[str, Any]:
    """All that decides what a training ends with: settings, data, code, and what computes it.

    A ``teacher`` is known by the digest of its network, whatever it is called.

    To be called after ``start_tensorflow``.
    """
    import tensorflow as tf

    from pawprint.training.features import weights_digest

    details = tf.config.experimental.get_device_details
    gpus = [details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    return {
        "parameters": config.deciding() | {"teacher": teacher},
        "data": {split: part.digest for split, part in data.items()},
        "versions": [version(name) for name in COMPUTING],
        "code": code_digest("stages.train"),
        "weights": weights_digest(config.model),
        # In which precision, on what and on how many devices this machine computes.
        "arithmetic": {
            "bfloat16": cpu_multiplies_bfloat16(),
            "gpus": [[d.get("device_name"), d.get("compute_capability")] for d in gpus],
        },
    }


@dataclass
class State:
    """All that the rest of a training depends on.

    Attributes:
        epoch: number of the epoch to go on with, from 0.
        step: its first step that is not done.
        history: a row per finished epoch.
        reports: the figures that were reported of each.
        before: the figures of the weights that the first epoch begins with, as a row of the
            history with epoch 0; empty where they are not to be chosen.
        arrays: lists of arrays by name: weights, optimizer, running metrics, best weights.
        run_id: the MLflow run that records it.
    """

    epoch: int = 0
    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    reports: list[dict[str, float]] = field(default_factory=list)
    before: dict[str, float] = field(default_factory=dict)
    arrays: dict[str, list[np.ndarray]] = field(default_factory=dict)
    run_id: str | None = None


class Checkpoint:
    """The file of one training's state.

    Args:
        folder: where such files are.
        identity: all that decides what comes out, as by ``identity_of``. A training of another
            identity has another file.

    Attributes:
        path: the file.
        place: 16 hex digits that name it among the files of all machines.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.path = folder / f"{digest_of(identity)}.npz"
        self.place = digest_of(f"{platform.node()} {self.path.resolve()}")

    def alone(self) -> AbstractContextManager[None]:
        """Only one process at a time has this training.

        Raises:
            BusyError: another one has it, told when the context is entered.
        """
        return locked(
            self.path.with_suffix(".lock"),
            busy="the same training runs in another process; wait until it has ended, or change a "
            "parameter",
        )

    def load(self) -> State | None:
        """What was saved; None where nothing was, or where it cannot be read (told in the log)."""
        try:
            with np.load(self.path, allow_pickle=False) as saved:
                content = json.loads(str(saved["content"]))
                counts = content.pop("counts")
                arrays = {
                    name: [saved[f"{name}_{i}"] for i in range(count)]
                    for name, count in counts.items()
                }
        except FileNotFoundError:
            return None
        except Exception as error:  # noqa: BLE001  (a broken file fails in many ways)
            log.warning("%s cannot be read (%s); training starts anew", self.path, error)
            return None
        return State(**content, arrays=arrays)

    def save(self, state: State) -> None:
        """Write the state; also after a power failure there is the old one or the new one."""
        counts = {name: len(arrays) for name, arrays in state.arrays.items()}
        content = {k: v for k, v in vars(state).items() if k != "arrays"} | {"counts": counts}
        saved: dict[str, Any] = {"content": np.array(json.dumps(content))}
        for name, arrays in state.arrays.items():
            saved |= {f"{name}_{i}": array for i, array in enumerate(arrays)}
        with replacing_file(self.path) as temporary, temporary.open("wb") as file:
            np.savez(file, **saved)
            file.flush()
            os.fsync(file.fileno())

    def remove(self) -> None:
        """Forget the training: it is finished."""
        self.path.unlink(missing_ok=True)
        self.path.with_suffix(".lock").unlink(missing_ok=True)


@dataclass
class Termination:
    """Within it SIGTERM is noted instead of obeyed, until ``save`` can save a training's state."""

    save: Callable[[], None]
    _asked: bool = False
    _before: Any = None

    def __enter__(self) -> Termination:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _note(self, *_: object) -> None:
        self._asked = True

    def stop_if_asked(self, *_: object, **__: object) -> None:
        """Save, and obey as whoever listened to SIGTERM before would have."""
        if self._asked:
            self.save()
            log.info("asked to stop: the same command goes on with this training")
            signal.signal(signal.SIGTERM, self._before)
            signal.raise_signal(signal.SIGTERM)
