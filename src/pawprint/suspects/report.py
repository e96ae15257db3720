"""Pictures with what held-out networks say of them; suspect labels as a table and a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pawprint.inference.predictor import class_columns
from pawprint.suspects.find import Suspect
from pawprint.suspects.page import jpeg_of, suspects_page
from pawprint.system.files import RowWriter, mend_file, replacing_file, replacing_table

TABLE, PAGE = "suspects.csv", "suspects.html"
COLUMNS = (
    *("rank", "path", "split", "label", "suggested"),
    *("probability_of_label", "probability_of_suggested", "quality", "probably_wrong"),
)


@dataclass(frozen=True)
class Judged:
    """Pictures and the answers of networks that did not learn from them.

    Attributes:
        paths: n, relative to the images.
        splits: n.
        labels: int (n,).
        probabilities: float32 (n, classes).
        class_names: by label.
    """

    paths: list[str]
    splits: list[str]
    labels: np.ndarray
    probabilities: np.ndarray
    class_names: list[str]


def write_suspects(
    folder: Path,
    judged: Judged,
    suspects: Sequence[Suspect],
    picture: Callable[[int], np.ndarray],
    images: str,
) -> None:
    """Write `suspects.csv`, a row per suspect, and `suspects.html`, the first ones to look at.

    Args:
        folder: made where it is missing.
        judged: all pictures.
        suspects: found among them, the most suspect one first.
        picture: reads the picture with an index, uint8 (size, size, 3).
        images: the source, as it was given.
    """
    for name in (TABLE, PAGE):
        mend_file(folder / name)
    write_suspects_table(folder / TABLE, judged, suspects)
    names = judged.class_names
    content = suspects_page(
        *(suspects, judged.paths, judged.splits, names, lambda index: jpeg_of(picture(index))),
        images=images,
        table=f"{folder.parent.name}/{folder.name}/{TABLE}",
    )
    with replacing_file(folder / PAGE) as temporary:
        temporary.write_text(content, encoding="utf-8")


def write_suspects_table(path: Path, judged: Judged, suspects: Sequence[Suspect]) -> None:
    """Write a row per suspect as CSV, with the probability of every class."""
    names = judged.class_names
    with replacing_table(path) as file:
        writer = RowWriter(file)
        writer.writerow([*COLUMNS, *class_columns(names, COLUMNS)])
        for rank, one in enumerate(suspects, start=1):
            figures = (one.probability_of_label, one.probability_of_suggested, one.quality)
            row = [rank, judged.paths[one.index], judged.splits[one.index]]
            row += [names[one.label], names[one.suggested]]
            row += [*map(_figure, figures), str(one.probably_wrong).lower()]
            row += map(_figure, judged.probabilities[one.index])
            writer.writerow(row)


def _figure(probability: float) -> str:
    return f"{probability:.6f}"
