"""Whether pictures in use differ from those learned from, by known tests."""

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

_WORDS = {
    "size": ("pictures are larger", "pictures are smaller"),
    "aspect": ("pictures are wider", "pictures are taller"),
    "brightness": ("pictures are brighter", "pictures are darker"),
    "confidence": ("answers are surer", "answers are less sure"),
}

Side = np.ndarray | dict[str, int]  # numbers of pictures, or how often each class was answered


@dataclass(frozen=True)
class Facts:
    """What is compared, of the pictures learned from or of those in use; None is not known.

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
        seen: the same of the pictures in use.
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


def compare(before: Facts, seen: Facts) -> list[Row]:
    """Test each thing that is known of both sides, as if pictures came independently."""
    sides = {name: (getattr(before, name), getattr(seen, name)) for name in vars(before)}
    tested = {
        name: _test(name, first, second)
        for name, (first, second) in sides.items()
        if first is not None and second is not None and min(map(_count, (first, second))) >= FEWEST
    }
    adjusted = dict(zip(tested, holm([p for _, p, _ in tested.values()]), strict=True))
    rows = []
    for name, (first, second) in sides.items():
        distance = p_value = changed = None
        if name in tested:
            (distance, _, words), p_value = tested[name], adjusted[name]
            certain, large = p_value < ALPHA, distance >= LEAST_DISTANCE
            changed = certain and large
            if changed:
                verdict = words
            elif certain:
                verdict = SMALL
            else:
                verdict = CHANCE if large else SAME
        elif first is None or second is None:
            verdict = UNKNOWN
        else:
            verdict = TOO_FEW_SEEN if _count(second) < FEWEST else TOO_FEW_BEFORE
        rows.append(Row(name, _middle(first), _middle(second), distance, p_value, changed, verdict))
    return rows


def least_told(seen: int, before: int, tests: int) -> float:
    """The Kolmogorov-Smirnov distance from which on that many pictures tell it from chance.

    By the asymptotic distribution, at ``ALPHA`` divided by the number of tests.
    """
    return float(np.sqrt(np.log(2 * tests / ALPHA) / 2 * (1 / seen + 1 / before)))


def holm(p_values: Sequence[float]) -> list[float]:
    """P values adjusted for their number by Holm's step-down method (1979)."""
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.ones(len(p_values))
    adjusted[order] = np.maximum.accumulate(factors * np.asarray(p_values)[order]).clip(max=1)
    return adjusted.tolist()


def _count(side: Side) -> int:
    return sum(side.values()) if isinstance(side, dict) else len(side)


def _middle(side: Side | None) -> Middle | dict[str, float] | None:
    if side is None or not _count(side):
        return None
    if isinstance(side, dict):
        return {name: count / _count(side) for name, count in side.items()}
    low, median, high = np.quantile(side, [0.25, 0.5, 0.75]).tolist()
    return Middle(median, low, high)


def _test(name: str, before: Side, seen: Side) -> tuple[float, float, str]:
    """Distance, p value, not adjusted, and the words for a change of that thing."""
    if isinstance(before, dict) or isinstance(seen, dict):
        return _test_labels(dict(before), dict(seen))
    from scipy.stats import ks_2samp

    result = ks_2samp(seen, before, method="asymp")
    # Where the shares differ in both directions, neither word would be true.
    more = float(ks_2samp(seen, before, alternative="less", method="asymp").statistic)
    less = float(ks_2samp(seen, before, alternative="greater", method="asymp").statistic)
    if min(more, less) < max(more, less) / 2:
        words = _WORDS[name][0 if more > less else 1]
    else:
        spreads = [np.subtract(*np.quantile(side, [0.75, 0.25])) for side in (before, seen)]
        words = f"{name} varies {'more' if spreads[1] > spreads[0] else 'less'}"
    return float(result.statistic), float(result.pvalue), words


def _test_labels(before: dict[str, int], seen: dict[str, int]) -> tuple[float, float, str]:
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
    return distance, p_value, f"more {most}"


def _pool(counts: np.ndarray) -> np.ndarray:
    """Counts (2, classes) with rare classes added up, until as many as needed are expected."""
    fewest = counts.sum(axis=1).min() / counts.sum()
    while True:  # the sum of two rare ones may be no longer the rarest
        counts = counts[:, np.argsort(counts.sum(axis=0), kind="stable")]
        if counts.shape[1] < 2 or counts[:, 0].sum() * fewest >= _FEWEST_EXPECTED:
            return counts
        counts = np.column_stack([counts[:, :2].sum(axis=1), counts[:, 2:]])
