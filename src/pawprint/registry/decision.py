"""What became of a version at the gate, as it stands on the version and in `registered.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from pawprint.evaluation.paired import Paired

PROMOTED = "promoted"
KEPT = "kept"


@dataclass(frozen=True)
class Decision:
    """A verdict and what it rests on; figures are None where nothing was compared.

    Attributes:
        verdict: promoted or kept.
        reason: a sentence.
        policy: the gate's rule.
        decided: when, UTC in ISO 8601.
        compared_with: the version that was champion.
        beat: the same, where it is champion no more.
        pictures: on how many both were compared.
        gained: what the challenger alone got right.
        lost: what the champion alone got right.
        difference: in accuracy, the challenger's minus the champion's.
        difference_low: lower end of its 95 % interval.
        difference_high: upper end.
        p_value: of McNemar's exact test.
    """

    verdict: str
    reason: str
    policy: str
    decided: str = ""
    compared_with: int | None = None
    beat: int | None = None
    pictures: int | None = None
    gained: int | None = None
    lost: int | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    p_value: float | None = None

    @property
    def promoted(self) -> bool:
        """Whether the version is champion by it."""
        return self.verdict == PROMOTED

    def with_comparison(self, paired: Paired, champion: int) -> Decision:
        """The decision with the figures of the comparison with version ``champion``."""
        return replace(
            self,
            compared_with=champion,
            beat=champion if self.promoted else None,
            pictures=paired.pictures,
            gained=paired.gained,
            lost=paired.lost,
            difference=paired.difference,
            difference_low=paired.low,
            difference_high=paired.high,
            p_value=paired.p_value,
        )

    def as_tags(self) -> dict[str, str | None]:
        """Each attribute as a tag's text; None for a tag that is not to be there."""
        return {k: None if v is None else str(v) for k, v in asdict(self).items()}

    def dated(self, tags: Mapping[str, str], time: str) -> Decision:
        """The decision made at ``time``, or earlier if ``tags`` already say all of it."""
        mine = self.as_tags()
        same = all(tags.get(name) == mine[name] for name in mine.keys() - {"decided"})
        return replace(self, decided=tags["decided"] if same and "decided" in tags else time)


def decision_in(tags: Mapping[str, str]) -> Decision | None:
    """The decision that stands in a version's tags; None where none does."""
    try:
        texts = {f.name: tags[f.name] for f in fields(Decision) if f.name in tags}
        words = ("verdict", "reason", "policy", "decided")
        read: dict[str, Any] = {k: v if k in words else json.loads(v) for k, v in texts.items()}
        return Decision(**read) if read.get("decided") else None
    except (ValueError, TypeError):
        return None
