"""Whether pictures seen differ from those learned from, by known tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ALPHA = 0.05  # of all tests together, the probability of one false alarm
LEAST_DISTANCE = 0.1  # of a change worth telling
FEWEST = 30  # pictures, of either side; fewer are not compared
_FEWEST_EXPECTED = 5  # of a class, for the chi-square distribution to hold (Cochran 1954)

TOO_FEW_SEEN = "too few pictures seen"
TOO_FEW_BEFORE = "too few pictures before"
UNKNOWN = "not compared"
SAME = "the same"
SMALL = "a small difference"  # certain, but below LEAST_DISTANCE
CHANCE = "may be chance"  # above it, but not certain

_SUBJECTS = {"size": "pictures", "aspect": "pictures", "brightness": "pictures"}
_WORDS = {
    "size": ("larger", "smaller"),
    "aspect": ("wider", "taller"),
    "brightness": ("brighter", "darker"),
    "confidence": ("surer", "less sure"),
}


@dataclass(frozen=True)
class Facts:
    """What is compared, of the pictures learned from or of those seen; None is not known.

    Attributes:
        size: (n,), longer side of the picture in its file, in pixels.
        aspect: (n,), its width divided by its height.
        brightness: mean luminance, 0 to 255; perhaps of some of them.
        confidence: (m,), probability of the answer, 0 to 1.
        labels: how often each class was answered.
    """

    size: np.ndarray | None
    aspect: np.ndarray | None
    brightness: np.ndarray | None
    confidence: np.ndarray | None
    labels: dict[str, int] | None


@dataclass(frozen=True)
class Middle:
    """Median and quartiles of numbers."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """What became of one thing.

    Attributes:
        what: "size", "aspect", "brightness", "confidence" or "labels".
        before: middle of the numbers, or each class's share, 0 to 1; None where not known.
        seen: the same of the pictures seen.
        distance: 0 to 1, or None where not compared. Of numbers that of Kolmogorov and Smirnov,
            the largest difference of the two shares below any value; of labels the total
            variation distance, half the sum of the differences of shares, less what chance
            brings on average. Both say which part of the pictures at least must be others.
        p_value: how often chance alone would bring such a difference, by the two-sample
            Kolmogorov-Smirnov test or the chi-square test, adjusted for all tests (Holm 1979).
        changed: whether the p value is below ``ALPHA`` and the distance ``LEAST_DISTANCE`` or
            more; None where not compared.
        verdict: in words.
    """

    what: str
    before: Middle | dict[str, float] | None
    seen: Middle | dict[str, float] | None
    distance: float | None
    p_value: float | None
    changed: bool | None
    verdict: str


@dataclass(frozen=True)
class _Tested:
    distance: float
    p_value: float
    words: str


def compare(before: Facts, seen: Facts) -> list[Row]:
    """Test each thing that is known of both sides, as if pictures came independently."""
    pairs = {name: (getattr(before, name), getattr(seen, name)) for name in vars(before)}
    tested = {name: _test(name, *pair) for name, pair in pairs.items() if _can_test(*pair)}
    adjusted = dict(zip(tested, holm([one.p_value for one in tested.values()]), strict=True))
    rows = []
    for name, pair in pairs.items():
        middles = [_middle(side) for side in pair]
        if name in tested:
            distance, p_value = tested[name].distance, adjusted[name]
            changed = p_value < ALPHA and distance >= LEAST_DISTANCE
            verdict = _verdict(tested[name], p_value)
            rows.append(Row(name, *middles, distance, p_value, changed, verdict))
        else:
            verdict = _reason(*pair)
            rows.append(Row(name, *middles, None, None, None, verdict))
    return rows


def least_told(seen: int, before: int, tests: int) -> float:
    """The Kolmogorov-Smirnov distance from which on that many pictures tell it from chance.

    By the asymptotic distribution, at ``ALPHA`` divided by the number of tests.
    """
    return float(np.sqrt(np.log(2 * tests / ALPHA) / 2 * (1 / seen + 1 / before)))


def holm(p_values: Sequence[float]) -> list[float]:
    """P values adjusted for their number by Holm's step-down method (1979)."""
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(np.argsort(p_values, kind="stable").tolist()):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def _can_test(*sides: np.ndarray | dict[str, int] | None) -> bool:
    return all(side is not None and _count(side) >= FEWEST for side in sides)


def _reason(
    before: np.ndarray | dict[str, int] | None, seen: np.ndarray | dict[str, int] | None
) -> str:
    """Why they cannot be compared."""
    if before is None or seen is None:
        return UNKNOWN
    return TOO_FEW_SEEN if _count(seen) < FEWEST else TOO_FEW_BEFORE


def _count(side: np.ndarray | dict[str, int]) -> int:
    return sum(side.values()) if isinstance(side, dict) else len(side)


def _middle(side: np.ndarray | dict[str, int] | None) -> Middle | dict[str, float] | None:
    if side is None or not _count(side):
        return None
    if isinstance(side, dict):
        return {name: count / _count(side) for name, count in side.items()}
    low, median, high = np.quantile(side, [0.25, 0.5, 0.75]).tolist()
    return Middle(median, low, high)


def _test(
    name: str, before: np.ndarray | dict[str, int], seen: np.ndarray | dict[str, int]
) -> _Tested:
    return _labels(before, seen) if name == "labels" else _numbers(name, before, seen)


def _verdict(tested: _Tested, p_value: float) -> str:
    certain, large = p_value < ALPHA, tested.distance >= LEAST_DISTANCE
    if certain:
        return tested.words if large else SMALL
    return CHANCE if large else SAME


def _numbers(name: str, before: np.ndarray, seen: np.ndarray) -> _Tested:
    from scipy.stats import ks_2samp

    result = ks_2samp(seen, before, method="asymp")
    distance = float(result.statistic)
    subject = _SUBJECTS.get(name, "answers")
    # Where the shares differ in both directions, neither word would be true.
    more, less = (
        float(ks_2samp(seen, before, alternative=side, method="asymp").statistic)
        for side in ("less", "greater")
    )
    if min(more, less) < max(more, less) / 2:
        words = f"{subject} are {_WORDS[name][0 if more > less else 1]}"
    else:
        spreads = [np.subtract(*np.quantile(side, [0.75, 0.25])) for side in (before, seen)]
        words = f"{name} varies {'more' if spreads[1] > spreads[0] else 'less'}"
    return _Tested(distance, float(result.pvalue), words)


def _labels(before: dict[str, int], seen: dict[str, int]) -> _Tested:
    from scipy.stats import chi2_contingency

    names = sorted(before.keys() | seen.keys())
    counts = np.array([[side.get(name, 0) for name in names] for side in (before, seen)])
    shares = counts / counts.sum(axis=1, keepdims=True)
    together = counts.sum(axis=0) / counts.sum()
    by_chance = np.sqrt(2 / np.pi * together * (1 - together) * (1 / counts.sum(axis=1)).sum())
    distance = max(0.0, float(np.abs(shares[1] - shares[0]).sum() - by_chance.sum()) / 2)
    pooled = _pool(counts)
    p_value = 1.0 if pooled.shape[1] < 2 else float(chi2_contingency(pooled).pvalue)
    most = names[int((shares[1] - shares[0]).argmax())]
    return _Tested(distance, p_value, f"more {most}")


def _pool(counts: np.ndarray) -> np.ndarray:
    """Counts (2, classes) with rare classes added up, until as many as needed are expected."""
    counts = counts[:, np.argsort(counts.sum(axis=0), kind="stable")]
    fewest = counts.sum(axis=1).min() / counts.sum()
    while counts.shape[1] > 1 and counts[:, 0].sum() * fewest < _FEWEST_EXPECTED:
        counts = np.column_stack([counts[:, :2].sum(axis=1), counts[:, 2:]])
        # The sum of two rare ones may be no longer the rarest.
        counts = counts[:, np.argsort(counts.sum(axis=0), kind="stable")]
    return counts
