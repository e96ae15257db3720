"""Metrics of probabilities against labels; scikit-learn's wherever it has them."""

import re
from dataclasses import dataclass, replace

import numpy as np

from pawprint.inference.calibration import expected_calibration_error

MOST_POINTS = 1000  # of a curve


@dataclass(frozen=True)
class Figure:
    """What people call a metric.

    Attributes:
        words: its name.
        meaning: what it is, shortly; empty where the name says it.
        more_is_better: whether more of it is better; None where it is neither.
    """

    words: str
    meaning: str = ""
    more_is_better: bool | None = None


# Those of all test pictures, in the order in which they are shown.
FIGURES = {
    "accuracy": Figure("accuracy", "share of right answers", True),
    "balanced_accuracy": Figure("balanced accuracy", "mean of the classes' shares", True),
    "macro_f1": Figure("macro F1", "mean of the classes' F1", True),
    "roc_auc": Figure("ROC AUC", "1 is best, 0.5 is chance", True),
    "average_precision": Figure("average precision", "mean over the classes", True),
    "log_loss": Figure("log loss", "nats, less is better", False),
    "brier_score": Figure("Brier score", "squared error, less is better", False),
    "expected_calibration_error": Figure(
        "expected calibration error", "how far probabilities are off, less is better", False
    ),
}
OF_A_CLASS = {
    "precision": Figure("precision", "share of the answers that are right", True),
    "recall": Figure("recall", "share of the pictures that are answered right", True),
    "f1": Figure("F1", "harmonic mean of both", True),
}
PER_CLASS = re.compile(rf"test_({'|'.join(OF_A_CLASS)})_")
OF_TRAINING = {
    "best_val_accuracy": Figure("best accuracy on validation pictures", more_is_better=True),
    "best_val_loss": Figure("best loss on validation pictures", more_is_better=False),
    "exported_val_accuracy": Figure(
        "accuracy on validation pictures, as exported", more_is_better=True
    ),
    "best_epoch": Figure("best epoch"),
    "weights": Figure("weights"),
    "seconds_of_training": Figure("seconds of training", more_is_better=False),
}


def figure_of(name: str) -> Figure:
    """What people call a metric by the name it is recorded under; else that name in words.

    ``test_log_loss`` is "log loss on test pictures".
    """
    if name in OF_TRAINING:
        return OF_TRAINING[name]
    split, _, key = name.partition("_")
    on = {"test": " on test pictures", "val": " on validation pictures"}.get(split, "")
    if match := PER_CLASS.match(name):
        figure, more = OF_A_CLASS[match[1]], f" of {name[match.end() :]}"
    else:
        key = key if on else name
        scaled = key.removesuffix("_unscaled")
        figure = FIGURES.get(scaled, Figure(key.replace("_", " ")))
        more = " without temperature" if scaled in FIGURES and scaled != key else ""
    return replace(figure, words=f"{figure.words}{more}{on}")


def classification_metrics(
    labels: np.ndarray, probabilities: np.ndarray, class_names: list[str]
) -> dict[str, float]:
    """Figures of a classifier, by name.

    Args:
        labels: class indices (n,).
        probabilities: float (n, classes), rows sum to 1.
        class_names: classes in the order of their indices.

    Returns:
        ``accuracy``, ``balanced_accuracy``, ``macro_f1``, ``log_loss`` (nats), ``brier_score`` (0
        to 1 for two classes, else to 2), ``expected_calibration_error`` (15 bins), ``roc_auc`` and
        ``average_precision`` (means over the classes, one against the rest) and for each class
        ``precision_<class>``, ``recall_<class>``, ``f1_<class>``. Figures of classes without a
        picture are left out; without one of any class also the two means.
    """
    from sklearn import metrics

    everything = np.arange(len(class_names))
    predicted = probabilities.argmax(axis=1)
    present = np.isin(everything, labels)
    exact = _summing_to_one(probabilities)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        labels, predicted, labels=everything, zero_division=0.0
    )
    figures = {
        "accuracy": metrics.accuracy_score(labels, predicted),
        # scikit-learn's own would warn of a class that is predicted but has no picture
        "balanced_accuracy": recall[present].mean(),
        "macro_f1": f1[present].mean(),
        "log_loss": log_loss(labels, exact),
        "brier_score": metrics.brier_score_loss(
            labels, exact if len(everything) > 2 else exact[:, 1], labels=everything
        ),
        "expected_calibration_error": expected_calibration_error(labels, exact),
    }
    if present.all():
        figures["roc_auc"] = metrics.roc_auc_score(
            labels, exact if len(everything) > 2 else exact[:, 1], multi_class="ovr"
        )
        truth = labels[:, np.newaxis] == everything
        figures["average_precision"] = metrics.average_precision_score(truth, exact)
    for index in everything[present]:
        name = class_names[index]
        figures[f"precision_{name}"] = precision[index]
        figures[f"recall_{name}"] = recall[index]
        figures[f"f1_{name}"] = f1[index]
    return {name: float(value) for name, value in figures.items()}


def precision_recall_curves(
    labels: np.ndarray, probabilities: np.ndarray, class_names: list[str]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Recall (falling) and precision by class; classes that no picture has are left out."""
    from sklearn import metrics

    curves = {}
    for index, name in enumerate(class_names):
        if (belongs := labels == index).any():
            precision, recall, _ = metrics.precision_recall_curve(belongs, probabilities[:, index])
            curves[name] = _thinned(recall, precision)
    return curves


def log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The mean cross-entropy in nats of labels (n,) under probabilities (n, classes)."""
    from sklearn import metrics

    classes = np.arange(probabilities.shape[1])
    return float(metrics.log_loss(labels, _summing_to_one(probabilities), labels=classes))


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts (classes, classes): a row per true class, a column per predicted one."""
    from sklearn import metrics

    return metrics.confusion_matrix(labels, predicted, labels=np.arange(classes))


def roc_curves(
    labels: np.ndarray, probabilities: np.ndarray, class_names: list[str]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """False and true positive rates by class; of two classes only the second one's.

    Classes that all or none of the pictures have are left out: they have no curve.
    """
    from sklearn import metrics

    curves = {}
    for index in range(len(class_names) == 2, len(class_names)):
        belongs = labels == index
        if 0 < belongs.sum() < len(labels):
            false_rate, true_rate, _ = metrics.roc_curve(belongs, probabilities[:, index])
            curves[class_names[index]] = _thinned(false_rate, true_rate)
    return curves


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As many points of a curve as can be seen: they are drawn, not computed with."""
    if len(x) <= MOST_POINTS:
        return x, y
    kept = np.linspace(0, len(x) - 1, MOST_POINTS).round().astype(int)
    return x[kept], y[kept]


def _summing_to_one(probabilities: np.ndarray) -> np.ndarray:
    """float32 sums are off by more than scikit-learn likes."""
    exact = probabilities.astype(np.float64)
    return exact / exact.sum(axis=1, keepdims=True)
