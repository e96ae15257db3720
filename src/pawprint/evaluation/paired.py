"""Two classifiers on the same pictures: whether one is better, or it is chance."""

from dataclasses import dataclass

import numpy as np

RESAMPLES = 20_000
BETTER, WORSE, NOT_TOLD_APART = "better", "worse", "not told apart"
CONFIDENCE = 0.95
FEW_CHANGES = 10  # of side


@dataclass(frozen=True)
class Paired:
    """What two classifiers got right on the same pictures.

    Attributes:
        pictures: how many.
        gained: of them, those that the second alone got right.
        lost: those that the first alone got right.
        difference: accuracy of the second minus that of the first, -1 to 1.
        low: lower end of the 95 % interval of the difference, a paired bootstrap one.
        high: its upper end.
        p_value: of McNemar's exact test, two-sided: how likely so unequal a change of sides is
            where both are equally good.
    """

    pictures: int
    gained: int
    lost: int
    difference: float
    low: float
    high: float
    p_value: float

    def verdict(self, significance: float) -> str:
        """How the second compares beyond chance: "better", "worse" or "not told apart".

        By McNemar's test with this p-value at most, and by the interval, which is beside 0.
        """
        if self.p_value <= significance and self.low > 0:
            return BETTER
        if self.p_value <= significance and self.high < 0:
            return WORSE
        return NOT_TOLD_APART


def compare_paired(first: np.ndarray, second: np.ndarray) -> Paired:
    """Compare two classifiers by the pictures that change sides.

    The test is McNemar's (Psychometrika 1947), exact: the binomial test of gained against lost.
    Resampled pictures (Efron 1979) change the difference only through how many were gained and
    lost, so the three counts are drawn. Where fewer than ten changed sides and the test sees no
    difference, resampling shows too little of what could have been: there the interval reaches at
    least as far as what the exact binomial ones (Clopper and Pearson 1934) of gained and of lost
    leave open.

    Args:
        first: bool (n,): whether the first got each picture right; n at least 1.
        second: the same of the second, in the same order.
    """
    from scipy.stats import binomtest

    pictures = len(first)
    gained, lost = int((second & ~first).sum()), int((first & ~second).sum())
    p_value = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    shares = np.array([gained, lost, pictures - gained - lost]) / pictures
    drawn = np.random.default_rng(0).multinomial(pictures, shares, RESAMPLES)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / pictures, [tail, 1 - tail])
    if gained + lost < FEW_CHANGES and p_value > 1 - CONFIDENCE:
        most_gained, most_lost = (
            binomtest(count, pictures).proportion_ci(CONFIDENCE, "exact").high
            for count in (gained, lost)
        )
        low, high = min(low, -most_lost), max(high, most_gained)
    difference = (gained - lost) / pictures
    return Paired(pictures, gained, lost, difference, float(low), float(high), float(p_value))
