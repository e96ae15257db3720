"""The gate between challenger and champion: from figures to a verdict, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from pawprint.evaluation.paired import BETTER, NOT_TOLD_APART, Paired

NOT_WORSE = "not_worse"
ALWAYS = "always"


@dataclass(frozen=True)
class Verdict:
    """Whether the challenger passes, and how it compares: "better than", before the champion."""

    passes: bool
    relation: str


def apply_gate(
    rule: str, paired: Paired, *, significance: float | None = None, margin: float | None = None
) -> Verdict:
    """Whether a challenger passes that was scored on the same pictures as the champion.

    - ``better``: it is more accurate, by McNemar's exact test (Psychometrika 1947) with a p-value
      of ``significance`` at most, and the paired bootstrap's interval is above 0.
    - ``not_worse``: it is not worse by more than ``margin`` (non-inferiority as in clinical
      trials, Blackwelder 1982): the interval's lower end is above ``-margin``.
    - ``always``: it passes.

    Args:
        rule: better, not_worse or always.
        paired: the champion first, the challenger second.
        significance: of better, above 0.
        margin: of not_worse, in accuracy, 0 to 1.

    Raises:
        ValueError: the rule lacks its figure.
    """
    if rule == ALWAYS:
        return Verdict(True, "promoted by gate=always over")
    if rule == NOT_WORSE:
        if margin is None:
            raise ValueError("not_worse needs a margin")
        passes = paired.low > -margin
        return Verdict(passes, f"{'not' if passes else 'perhaps'} more than {margin:g} worse than")
    if significance is None:
        raise ValueError("better needs a significance")
    told = paired.told(significance)
    return Verdict(told == BETTER, f"{told} {'from' if told == NOT_TOLD_APART else 'than'}")


def broken_limit(
    accuracy: float,
    megabytes: float,
    milliseconds: float | None,
    *,
    min_accuracy: float | None = None,
    max_megabytes: float | None = None,
    max_milliseconds: float | None = None,
) -> str | None:
    """The limit that a network does not keep, in words; None where it keeps all.

    Args:
        accuracy: on test pictures, 0 to 1.
        megabytes: of its file, in 1,000,000 bytes.
        milliseconds: for one picture alone; None only where there is no such limit.
        min_accuracy: at least so accurate; None, the default here and below: no limit.
        max_megabytes: at most so large.
        max_milliseconds: at most so slow.
    """
    if min_accuracy is not None and accuracy < min_accuracy:
        return f"its test accuracy {accuracy:.4f} is below gate.min_accuracy {min_accuracy:g}"
    if max_megabytes is not None and megabytes > max_megabytes:
        return f"its {megabytes:.3g} MB are above gate.max_megabytes {max_megabytes:g}"
    if max_milliseconds is None or milliseconds is None:
        return None
    if milliseconds > max_milliseconds:
        return (
            f"its {milliseconds:.3g} ms for a picture are above gate.max_milliseconds "
            f"{max_milliseconds:g}"
        )
    return None
