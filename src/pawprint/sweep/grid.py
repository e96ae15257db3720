"""All combinations of the axes' values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pawprint.config.schema import Config
from pawprint.sweep.planner import Planner, TrialSource
from pawprint.training.trial import Outcome, Trial

if TYPE_CHECKING:
    from pawprint.tracking.trials import TrialRun


class Grid(TrialSource):
    """The trials of a grid that are not done yet, in their order.

    Args:
        planner: makes trials.
        known: runs of trials that are done, by identity.
        combinations: overrides of each trial, and the configuration that they make.
    """

    def __init__(
        self,
        planner: Planner,
        known: Mapping[str, TrialRun],
        combinations: Sequence[tuple[Sequence[str], Config]],
    ) -> None:
        super().__init__()
        for number, (overrides, config) in enumerate(combinations):
            trial = planner.trial(overrides, number, config=config)
            self.trials.setdefault(trial.identity, trial)  # it may be there under another name
        self._waiting = [trial for trial in self.trials.values() if trial.identity not in known]
        self._running = 0
        self._elsewhere = sum(
            identity in known and known[identity].parent != planner.parent
            for identity in self.trials
        )

    def plan(self) -> str:
        """How many trials are done and how many are not."""
        done = len(self.trials) - len(self._waiting)
        of_others = f" ({self._elsewhere} of them in other sweeps)" if self._elsewhere else ""
        return f"{done} done{of_others}, {len(self._waiting)} to run"

    def next(self) -> Trial | None:
        """The next trial, None after the last."""
        if not self._waiting:
            return None
        self._running += 1
        return self._waiting.pop(0)

    def tell(self, trial: Trial, outcome: Outcome) -> None:  # noqa: ARG002 (it ended, no more)
        """Take how a trial ended."""
        self._running -= 1

    def remaining(self) -> int:
        """How many trials have not ended."""
        return len(self._waiting) + self._running
