"""The decision on a challenger in a sentence: alone, or beside the champion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pawprint.config.schema import Gate
from pawprint.evaluation.paired import compare_paired
from pawprint.registry.decision import KEPT, PROMOTED, Decision
from pawprint.registry.gate import judge


def uncontested(gate: Gate, right: np.ndarray, why: str, hindrances: Sequence[str]) -> Decision:
    """Where there is nobody to compare with, only what hinders keeps the challenger back.

    Args:
        gate: the policy.
        right: bool (n,): whether the challenger got each test picture right.
        why: why there is nobody.
        hindrances: what keeps it from being champion, each in words.
    """
    sentence = f"{why}, test accuracy {right.mean():.4f} on {len(right):,} pictures"
    return _decision(gate, sentence, True, hindrances)


def contested(
    gate: Gate,
    right: np.ndarray,
    theirs: np.ndarray,
    champion: int,
    hindrances: Sequence[str],
    notes: Sequence[str] = (),
) -> Decision:
    """Where there is a champion, both are judged by the same test pictures.

    Args:
        gate: the policy.
        right: bool (n,): whether the challenger got each test picture right.
        theirs: the same of the champion.
        champion: its version.
        hindrances: what keeps the challenger from being champion, each in words.
        notes: on the test pictures, each in words that follow them.
    """
    paired = compare_paired(theirs, right)
    verdict = judge(gate.name, paired, significance=gate.significance, margin=gate.margin)
    note = f" ({'; '.join(notes)})" if notes else ""
    sentence = (
        f"{verdict.relation} champion version {champion} on the same {paired.pictures:,} test "
        f"pictures{note}: accuracy {right.mean():.4f} against {theirs.mean():.4f}, "
        f"difference {paired.difference:+.4f} (95 % interval {paired.low:+.4f} to "
        f"{paired.high:+.4f}, McNemar's p = {paired.p_value:.3g})"
    )
    return _decision(gate, sentence, verdict.passes, hindrances).resting_on(paired, champion)


def _decision(gate: Gate, sentence: str, passes: bool, hindrances: Sequence[str]) -> Decision:
    passes = passes and not hindrances
    outcome = "champion" if passes else "challenger only"
    reason = "; ".join([*hindrances, f"{sentence}: {outcome}"])
    return Decision(PROMOTED if passes else KEPT, reason, gate.name)
