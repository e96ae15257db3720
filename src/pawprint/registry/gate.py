"""The gate between challenger and champion: from figures to a verdict, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from pawprint.config.schema import Gate
from pawprint.evaluation.paired import BETTER, NOT_TOLD_APART, Paired

NOT_WORSE = "not_worse"
ALWAYS = "always"


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
    told = paired.told(gate.significance)
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
    if gate.max_milliseconds is None or milliseconds is None:
        return None
    if milliseconds > gate.max_milliseconds:
        return (
            f"its {milliseconds:.3g} ms for a picture are above gate.max_milliseconds "
            f"{gate.max_milliseconds:g}"
        )
    return None
