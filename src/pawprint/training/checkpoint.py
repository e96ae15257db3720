"""The state of an unfinished training on disk, so that a killed one goes on as if undisturbed."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pawprint.system.files import digest_of, mend_file, replacing_file
from pawprint.system.lock import locked

log = logging.getLogger(__name__)


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
        identity: everything that decides what comes out: configuration, data, versions. A training
            of another identity has another file.

    Attributes:
        path: the file.
        place: 16 hex digits that name it among the files of all machines.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.path = folder / f"{digest_of(identity)}.npz"
        self.place = digest_of(f"{platform.node()} {self.path.resolve()}")

    @contextlib.contextmanager
    def alone(self) -> Iterator[Checkpoint]:
        """Only one process at a time has this training; yields the checkpoint itself.

        Raises:
            BusyError: another one has it.
        """
        with locked(
            self.path.with_suffix(".lock"),
            busy="the same training runs in another process; wait until it has ended, or change a "
            "parameter",
        ):
            yield self

    def load(self) -> State | None:
        """What was saved; None where nothing was, or where it cannot be read (told in the log)."""
        mend_file(self.path)
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
