"""One trial of a sweep, in whatever process it runs."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pawprint.config.schema import Config
from pawprint.system.errors import BusyError, UserError, first_line

LOG = "trial.log"
FINISHED, PRUNED, FAILED, KILLED = "FINISHED", "PRUNED", "FAILED", "KILLED"
BUSY = "BUSY"
# Tags of a trial's run.
TRIAL_TAG, PRUNED_TAG, OVERRIDES_TAG, AXES_TAG = "trial", "pruned", "overrides", "axes"


@dataclass(frozen=True)
class Trial:
    """What a trial trains and where it belongs.

    Attributes:
        number: its place in this sweep, from 0.
        name: its settings along the sweep's axes.
        axes: these settings by key.
        overrides: all settings of the command line, ``key=value``.
        config: what comes out of them.
        identity: 16 hex digits of the resolved configuration and the data's digest.
        folder: where its files and its log go.
        parent: id of the sweep's run.
        store: tracking URI of the store that has it.
        watch: asked after each epoch whether to go on.
        timed: whether the time of one answer is measured, on the exported network.
    """

    number: int
    name: str
    axes: Mapping[str, str]
    overrides: tuple[str, ...]
    config: Config
    identity: str
    folder: Path
    parent: str
    store: str
    watch: Watch | None = None
    timed: bool = False

    @property
    def log(self) -> Path:
        """What it says while it runs."""
        return self.folder / LOG

    @property
    def tags(self) -> dict[str, str]:
        """What its run is found by, and its settings."""
        return {
            TRIAL_TAG: self.identity,
            AXES_TAG: json.dumps(dict(self.axes)),
            OVERRIDES_TAG: json.dumps(self.overrides),
        }


class Watch(Protocol):
    """What is told the figures of each epoch of a trial, in the trial's process."""

    def tell(self, epoch: int, figures: Mapping[str, float]) -> bool:
        """Take an epoch, counted from 1; whether the trial need not go on after it."""
        ...


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        status: FINISHED, PRUNED, FAILED, KILLED, or BUSY where another process trains the same.
        figures: metrics of the run by name; those of a pruned one are of its best epoch.
        run_id: the run that records it, where one was opened.
        sentence: what went wrong, where something did.
    """

    status: str
    figures: Mapping[str, float] = field(default_factory=dict)
    run_id: str | None = None
    sentence: str = ""


class PrunedError(Exception):
    """A trial ends early, because others were better at its age."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.status)
        self.outcome = outcome


def run_trial(trial: Trial, *, apart: bool) -> Outcome:
    """Train in this process; whatever happens becomes an outcome.

    Args:
        trial: what to train.
        apart: whether this process is not the sweep's own; all that it writes goes into the log.

    Raises:
        KeyboardInterrupt: the sweep's own process is asked to stop.
    """
    from pawprint.stages.train import train_trial

    try:
        trial.folder.mkdir(parents=True, exist_ok=True)
        trial.log.touch()
    except OSError as error:
        return Outcome(
            FAILED,
            sentence=f"{error.filename} cannot be made ({error.strerror}); set hydra.sweep.dir to "
            "a folder that can be written",
        )
    with _logged(trial.log, apart):
        try:
            return train_trial(trial)
        except BusyError:
            return Outcome(BUSY)
        except UserError as error:
            _note(trial, f"error: {error}")
            return Outcome(FAILED, sentence=str(error))
        except KeyboardInterrupt:
            if not apart:
                raise
            return Outcome(KILLED, sentence="stopped")
        except Exception as error:
            _note(trial, traceback.format_exc())
            return Outcome(FAILED, sentence=f"{type(error).__name__}: {first_line(error)}")


def _note(trial: Trial, words: str) -> None:
    with trial.log.open("a", encoding="utf-8") as file:
        file.write(f"{words.rstrip()}\n")


@contextlib.contextmanager
def _logged(path: Path, apart: bool) -> Iterator[None]:
    """Write a trial's log: beside what the terminal shows, or all of it instead."""
    root = logging.getLogger()
    if not apart:
        handler = logging.FileHandler(path, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        root.addHandler(handler)
        try:
            yield
        finally:
            root.removeHandler(handler)
            handler.close()
        return
    level, handlers = root.level, root.handlers[:]
    kept = os.dup(1), os.dup(2)
    sys.stdout.flush(), sys.stderr.flush()
    with path.open("ab", buffering=0) as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    root.handlers[:], root.level = [handler], logging.INFO
    try:
        yield
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        root.handlers[:], root.level = handlers, level
        for stream, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, stream)
            os.close(copy)
