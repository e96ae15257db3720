"""One trial of a sweep, in whatever process it runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pawprint.config.schema import Config
from pawprint.tracking.names import AXES_TAG, OVERRIDES_TAG, TRIAL_TAG

FINISHED, PRUNED, FAILED, KILLED = "FINISHED", "PRUNED", "FAILED", "KILLED"
BUSY = "BUSY"


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
        project: folder of the project, absolute.
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
    project: Path
    folder: Path
    parent: str
    store: str
    watch: Watch | None = None
    timed: bool = False

    @property
    def log(self) -> Path:
        """What it says while it runs."""
        return self.folder / "trial.log"

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
