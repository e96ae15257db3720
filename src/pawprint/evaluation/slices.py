"""Figures of parts of the test split: by class, size and brightness of the picture, and folder."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from pawprint.evaluation.intervals import Intervals, bootstrap_intervals
from pawprint.evaluation.metrics import classification_metrics

FEWEST_PICTURES = 30  # below it, an interval says too little
RESAMPLES = 1000
_MOST_SLICES = 20  # of a kind, the largest


@dataclass(frozen=True)
class Slice:
    """Some of the test pictures.

    Attributes:
        kind: "class", "size", "brightness" or "folder".
        name: which of the kind.
        pictures: how many.
        figures: as by ``classification_metrics``.
        intervals: theirs, 95 %.
        against_rest: how its accuracy differs from that of all other pictures beyond chance:
            "worse", "better" or "".
    """

    kind: str
    name: str
    pictures: int
    figures: dict[str, float]
    intervals: Intervals
    against_rest: str


def find_slices(
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: list[str],
    *,
    paths: Sequence[str],
    sizes: np.ndarray,
    brightness: np.ndarray,
) -> list[Slice]:
    """The slices that have enough pictures (30), with their figures.

    Size and brightness are cut into thirds of the pictures; where all pictures are alike there is
    nothing to cut. Folders are left out where they are the classes.

    Args:
        labels: class indices (n,).
        probabilities: (n, classes), rows sum to 1.
        class_names: classes in the order of their indices.
        paths: n paths of the pictures.
        sizes: (n,), longer side of the original picture in pixels.
        brightness: (n,), mean luminance, 0 to 255.
    """
    right = probabilities.argmax(axis=1) == labels
    found = []
    names = np.array(class_names)[labels]
    folders = np.array([PurePosixPath(path).parent.as_posix() for path in paths])
    if len(set(zip(folders, names, strict=True))) == len(set(folders)) == len(set(names)):
        folders = folders[:0]
    cuts = {
        "class": _by_name(names),
        "size": _thirds(sizes, "{} to {} pixels"),
        "brightness": _thirds(np.round(brightness), "{} to {} of 255"),
        "folder": _by_name(folders),
    }
    for kind, members in cuts.items():
        for name, inside in members:
            if FEWEST_PICTURES <= inside.sum() < len(labels):
                own_labels, own_probabilities = labels[inside], probabilities[inside]
                found.append(
                    Slice(
                        kind=kind,
                        name=name,
                        pictures=int(inside.sum()),
                        figures=classification_metrics(own_labels, own_probabilities, class_names),
                        intervals=bootstrap_intervals(
                            own_labels, own_probabilities, class_names, resamples=RESAMPLES
                        ),
                        against_rest=_against_rest(right, inside),
                    )
                )
    return found


def _by_name(names: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    for name, _ in Counter(names.tolist()).most_common(_MOST_SLICES):
        yield name, names == name


def _thirds(values: np.ndarray, text: str) -> Iterator[tuple[str, np.ndarray]]:
    """Up to three slices of about as many pictures; equal values stay together."""
    if not len(values) or values.min() == values.max():
        return
    edges = np.unique(np.quantile(values, [1 / 3, 2 / 3], method="lower"))
    if edges.tolist() == [values.max()]:  # most are of the largest: apart from all others
        edges = np.array([values[values < values.max()].max()])
    part = np.searchsorted(edges, values, side="left")
    for number in np.unique(part):
        inside = part == number
        low, high = values[inside].min(), values[inside].max()
        yield text.format(f"{low:,.0f}", f"{high:,.0f}"), inside


def _against_rest(right: np.ndarray, inside: np.ndarray) -> str:
    """By Fisher's exact test (1922), two-sided; at 1 %, because many slices are looked at."""
    from scipy.stats import fisher_exact

    table = [[int((right & side).sum()), int((~right & side).sum())] for side in (inside, ~inside)]
    if fisher_exact(table).pvalue > 0.01:
        return ""
    return "better" if right[inside].mean() > right[~inside].mean() else "worse"
