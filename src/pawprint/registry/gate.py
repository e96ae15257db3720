"""The gate between challenger and champion: from figures to a verdict, and the decision on it.

The decision is what stands on the version, as its tags.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from pawprint.config.schema import Gate
from pawprint.evaluation.paired import BETTER, NOT_TOLD_APART, Paired

NOT_WORSE = "not_worse"
ALWAYS = "always"
PROMOTED = "promoted"
KEPT = "kept"


@dataclass(frozen=True)
class Verdict:
    """Whether the challenger passes, and how it compares: "better than", before the champion."""

    passes: bool
    relation: str


def apply_gate(gate: Gate, paired: Paired) -> Verdict:
    """Whether a challenger passes that was scored on the same pictures as the champion.

    - ``better``: it is more accurate, by McNemar's exact test (Psychometrika 1947) with a p-value
      of ``gate.significance`` at most, and the paired bootstrap's interval is above 0.
    - ``not_worse``: it is not worse by more than ``gate.margin`` (non-inferiority as in clinical
      trials, Blackwelder 1982): the interval's lower end is above ``-gate.margin``.
    - ``always``: it passes.

    Args:
        gate: the policy.
        paired: the champion first, the challenger second.

    Raises:
        ValueError: the policy lacks its figure.
    """
    if gate.name == ALWAYS:
        return Verdict(True, "promoted by gate=always over")
    if gate.name == NOT_WORSE and gate.margin is not None:
        passes = paired.low > -gate.margin
        perhaps = "not" if passes else "perhaps"
        return Verdict(passes, f"{perhaps} more than {gate.margin:g} worse than")
    if gate.significance is None:
        raise ValueError(f"the gate {gate.name} lacks its figure")
    told = paired.verdict(gate.significance)
    return Verdict(told == BETTER, f"{told} {'from' if told == NOT_TOLD_APART else 'than'}")


def broken_limit(
    gate: Gate, accuracy: float, megabytes: float, milliseconds: float | None
) -> str | None:
    """The limit of the gate that a network does not keep, in words; None where it keeps all.

    Args:
        gate: with its limits.
        accuracy: on test pictures, 0 to 1.
        megabytes: of its file, in 1,000,000 bytes.
        milliseconds: for one picture alone; None only where there is no such limit.
    """
    if gate.min_accuracy is not None and accuracy < gate.min_accuracy:
        return f"its test accuracy {accuracy:.4f} is below gate.min_accuracy {gate.min_accuracy:g}"
    if gate.max_megabytes is not None and megabytes > gate.max_megabytes:
        return f"its {megabytes:.3g} MB are above gate.max_megabytes {gate.max_megabytes:g}"
    limit = gate.max_milliseconds
    if limit is not None and milliseconds is not None and milliseconds > limit:
        ms = f"{milliseconds:.3g} ms"
        return f"its {ms} for a picture are above gate.max_milliseconds {limit:g}"
    return None


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

    def with_comparison(self, paired: Paired, champion: int | None) -> Decision:
        """The decision with the figures of the comparison with version ``champion``, if it is one.

        A network in a file, which no version here is of, has none.
        """
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

    def as_run_tags(self) -> dict[str, str | None]:
        """Those that stand on the run too."""
        names = ("verdict", "reason", "policy", "decided", "compared_with")
        return {name: text for name, text in self.as_tags().items() if name in names}

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
