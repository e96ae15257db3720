"""How sure a figure is: 95 % bootstrap intervals over the pictures of a test split."""

from collections.abc import Iterator

import numpy as np

from pawprint.evaluation.metrics import classification_metrics
from pawprint.inference.calibration import BINS, bins_of

CONFIDENCE = 0.95
RESAMPLES = 2000
_FEWEST_RESAMPLES = 200
_MOST_NUMBERS = 4_000_000_000  # pictures × classes × resamples, before there are fewer of these
_MOST_RANKED = 10_000_000  # pictures × classes, for figures that sort all answers
_AT_A_TIME = 4_000_000  # pictures × resamples in memory
_TAILS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)

Intervals = dict[str, tuple[float, float]]


def bootstrap_intervals(
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: list[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Intervals:
    """The 95 % interval of each figure of ``classification_metrics``, by its name.

    Percentile intervals (Efron and Tibshirani 1993, "An Introduction to the Bootstrap") of
    pictures drawn again. Two figures need more. A share of pictures that are all right, or all
    wrong, never varies: its interval is the exact binomial one (Clopper and Pearson 1934). The
    expected calibration error is a sum of absolute values, which chance only raises: its interval
    is moved down by the bias that resampling shows, and begins at 0 where the answers are as right
    as probabilities drawn from them would be (consistency resampling, Bröcker and Smith 2007).

    Args:
        labels: class indices (n,), n at least 1.
        probabilities: (n, classes), rows sum to 1.
        class_names: classes in the order of their indices.
        resamples: how many. Defaults to 2,000; it becomes fewer (200 at least) where pictures
            times classes are above two millions.
        seed: of what is drawn. Defaults to 0.

    Returns:
        Lower and upper end; none of a figure that no resample changes, nor of ``roc_auc`` and
        ``average_precision`` where pictures times classes are above ten millions.
    """
    most = _MOST_NUMBERS // max(1, probabilities.size)
    resamples = min(resamples, max(most, _FEWEST_RESAMPLES))
    figures = classification_metrics(labels, probabilities, class_names)
    sample = _Sample(labels, probabilities, class_names)
    random = np.random.default_rng(seed)
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in figures}
    ranked = 0  # resamples of which the figures that sort all answers are computed
    for counts in _resampled(len(labels), resamples, random):
        ranking = ranked < sample.most_ranked
        ranked += len(counts)
        for name, values in sample.figures(counts, ranking=ranking):
            if name in drawn:
                drawn[name].append(values)
    intervals: Intervals = {}
    for name, parts in drawn.items():
        if not parts:
            continue
        values = np.concatenate(parts)
        # A class may be missing from a resample, which then has no figure of it.
        low, high = np.quantile(values[np.isfinite(values)], _TAILS).tolist()
        if low == high:
            low, high = _exact(figures[name], sample.pictures_of(name), (low, high))
        if low < high:
            intervals[name] = low, high
    name = "expected_calibration_error"
    chance = sample.calibration_error_by_chance(resamples, random)
    intervals[name] = _unbiased(figures[name], np.concatenate(drawn[name]), chance)
    return intervals


def _resampled(pictures: int, resamples: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """How often each picture was drawn, float32 (some resamples, pictures)."""
    at_a_time = max(1, _AT_A_TIME // pictures)
    for start in range(0, resamples, at_a_time):
        rows = min(at_a_time, resamples - start)
        drawn = random.integers(0, pictures, (rows, pictures))
        drawn += np.arange(rows)[:, np.newaxis] * pictures
        counts = np.bincount(drawn.ravel(), minlength=rows * pictures)
        yield counts.reshape(rows, pictures).astype(np.float32)


def _exact(value: float, pictures: int, drawn: tuple[float, float]) -> tuple[float, float]:
    from scipy.stats import binomtest

    if not pictures or value not in (0.0, 1.0):
        return drawn
    interval = binomtest(round(value * pictures), pictures).proportion_ci(CONFIDENCE, "exact")
    return float(interval.low), float(interval.high)


def _unbiased(value: float, drawn: np.ndarray, chance: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(drawn, _TAILS)
    bias = drawn.mean() - value
    if value <= np.quantile(chance, _TAILS[1]):
        return 0.0, float(max(high - bias, value))
    return float(max(0, min(2 * value - high, low - 2 * bias))), float(max(high - bias, value))


class _Sample:
    """Everything about the pictures of which resampling only changes how often they count."""

    def __init__(
        self, labels: np.ndarray, probabilities: np.ndarray, class_names: list[str]
    ) -> None:
        from scipy.sparse import csr_array

        n, classes = probabilities.shape
        self._labels, self._names = labels, class_names
        self._probabilities = probabilities.astype(np.float64)
        self._probabilities /= self._probabilities.sum(axis=1, keepdims=True)
        rows, predicted = np.arange(n), probabilities.argmax(axis=1)
        right = predicted == labels
        self._shape = n, classes

        def table(columns: np.ndarray, values: np.ndarray, width: int = classes) -> csr_array:
            return csr_array((values.astype(np.float64), (rows, columns)), (n, width))

        self._of_class, self._answered = table(labels, np.ones(n)), table(predicted, np.ones(n))
        self._hit = table(labels, right)
        self._confidence = self._probabilities.max(axis=1)
        self._bins = bins_of(self._confidence)
        self._gaps = table(self._bins, self._confidence - right, BINS)
        of_label = self._probabilities[rows, labels]
        squares = (self._probabilities**2).sum(axis=1) - 2 * of_label + 1
        likely = np.maximum(of_label, np.finfo(np.float64).eps)  # as there
        # scikit-learn halves the Brier score of two classes
        self._losses = np.stack([-np.log(likely), squares / (2 if classes == 2 else 1)], axis=1)
        self._all_classes = len(np.unique(labels)) == classes

    def pictures_of(self, name: str) -> int:
        """Of how many pictures a figure is the share of right ones; 0 where it is no share."""
        if name in ("accuracy", "balanced_accuracy", "macro_f1"):
            return self._shape[0]
        kind, _, class_name = name.partition("_")
        if class_name not in self._names or kind not in ("precision", "recall", "f1"):
            return 0
        column = [self._names.index(class_name)]
        table = self._answered if kind == "precision" else self._of_class
        return int(table[:, column].sum())

    @property
    def most_ranked(self) -> int:
        """Of how many resamples there is time to sort the answers."""
        numbers = self._probabilities.size
        return 0 if numbers > _MOST_RANKED else max(_FEWEST_RESAMPLES, 4 * _MOST_RANKED // numbers)

    def figures(
        self, counts: np.ndarray, *, ranking: bool = True
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Yield each figure's name and its values (resamples,), NaN where there is none.

        Args:
            counts: how often each picture was drawn, float32 (resamples, n).
            ranking: whether to compute those that sort all answers too. Defaults to True.
        """
        n, classes = self._shape
        support, answered = counts @ self._of_class, counts @ self._answered
        hit = counts @ self._hit
        yield "accuracy", hit.sum(axis=1) / n
        with np.errstate(invalid="ignore", divide="ignore"):
            recall = hit / support
            precision = np.where(answered > 0, hit / answered, 0.0)
            f1 = np.where(answered + support > 0, 2 * hit / (answered + support), np.nan)
        there = support > 0
        yield "balanced_accuracy", np.where(there, recall, 0).sum(axis=1) / there.sum(axis=1)
        yield "macro_f1", np.where(there, f1, 0).sum(axis=1) / there.sum(axis=1)
        losses = counts @ self._losses / n
        yield "log_loss", losses[:, 0]
        yield "brier_score", losses[:, 1]
        yield "expected_calibration_error", np.abs(counts @ self._gaps).sum(axis=1) / n
        if ranking and self._all_classes:
            areas = [self._areas(counts, index) for index in range(classes)]
            yield "roc_auc", _mean([area for area, _ in areas])
            yield "average_precision", _mean([precise for _, precise in areas])
        precision[~there] = np.nan
        for index, name in enumerate(self._names):
            yield f"precision_{name}", precision[:, index]
            yield f"recall_{name}", recall[:, index]
            yield f"f1_{name}", f1[:, index]

    def _areas(self, counts: np.ndarray, index: int) -> tuple[np.ndarray, np.ndarray]:
        """ROC AUC and average precision of one class against the rest."""
        scores = self._probabilities[:, index]
        order = np.argsort(-scores, kind="stable")
        starts = np.flatnonzero(np.append(True, np.diff(scores[order]) != 0))
        belongs = (self._labels == index)[order]
        drawn = counts[:, order]
        # Pictures of the same score stand or fall together.
        positive = np.add.reduceat(drawn * belongs, starts, axis=1)
        negative = np.add.reduceat(drawn * ~belongs, starts, axis=1)
        found, wrong = np.cumsum(positive, axis=1), np.cumsum(negative, axis=1)
        all_found, all_wrong = found[:, -1], wrong[:, -1]
        with np.errstate(invalid="ignore", divide="ignore"):
            below = all_wrong[:, np.newaxis] - wrong + negative / 2
            area = (positive * below).sum(axis=1, dtype=np.float64) / (all_found * all_wrong)
            share = np.where(positive > 0, found / (found + wrong), 0.0)
            precise = (positive * share).sum(axis=1, dtype=np.float64) / all_found
        return area, precise

    def calibration_error_by_chance(
        self, resamples: int, random: np.random.Generator
    ) -> np.ndarray:
        """The error that the same probabilities would show if they were exactly right."""
        n, _ = self._shape
        bins = np.eye(BINS)[self._bins]
        values = []
        for start in range(0, resamples, at_a_time := max(1, _AT_A_TIME // n)):
            drawn = random.random((min(at_a_time, resamples - start), n), np.float32)
            values.append(np.abs((self._confidence - (drawn < self._confidence)) @ bins).sum(1) / n)
        return np.concatenate(values)


def _mean(values: list[np.ndarray]) -> np.ndarray:
    """The mean over the classes that a resample has."""
    with np.errstate(invalid="ignore"):
        return np.nansum(values, axis=0) / np.isfinite(values).sum(axis=0)
