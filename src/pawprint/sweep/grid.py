"""All combinations of the axes' values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pawprint.config.schema import Config
from pawprint.sweep.planner import Planner
from pawprint.training.trial import Outcome, Trial

if TYPE_CHECKING:
    from pawprint.tracking.trials import TrialRun


class Grid:
    """The trials of a grid that are not done yet, in their order.

    Args:
        planner: makes trials.
        known: trials that are done, by identity.
        combinations: settings of each trial, and the configuration that they make.
    """

    def __init__(
        self,
        planner: Planner,
        known: Mapping[str, TrialRun],
        combinations: Sequence[tuple[Sequence[str], Config]],
    ) -> None:
        self.asked: dict[str, Trial] = {}
        self.refused = 0
        self._missing: list[Trial] = []
        self._running = 0
        self._elsewhere = 0
        for number, (words, config) in enumerate(combinations):
            trial = planner.trial(words, number, config=config)
            if trial.identity in self.asked:  # the same under two names
                continue
            self.asked[trial.identity] = trial
            if trial.identity not in known:
                self._missing.append(trial)
            elif known[trial.identity].parent != planner.parent:
                self._elsewhere += 1

    def plan(self) -> str:
        """How many trials are done and how many are not."""
        done = len(self.asked) - len(self._missing)
        of_others = f" ({self._elsewhere} of them in other sweeps)" if self._elsewhere else ""
        return f"{done} done{of_others}, {len(self._missing)} to run"

    def next(self) -> Trial | None:
        """The next trial, None after the last."""
        if not self._missing:
            return None
        self._running += 1
        return self._missing.pop(0)

    def tell(self, trial: Trial, outcome: Outcome) -> None:
        """Take how a trial ended."""
        self._running -= 1

    def told(self) -> str | None:
        """Nothing more is to be said at the end."""
        return None

    def left(self) -> int:
        """How many trials have not ended."""
        return len(self._missing) + self._running
