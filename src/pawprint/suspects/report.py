"""Suspect labels as a table, and as a page to look at."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pawprint.data.split import SPLITS
from pawprint.inference.predictor import class_columns
from pawprint.pages.render import counted, render
from pawprint.pages.thumbnail import jpeg_of
from pawprint.suspects.find import Suspect
from pawprint.system.files import RowWriter, mend_file, replacing_file, replacing_table

TABLE, PAGE = "suspects.csv", "suspects.html"
COLUMNS = (
    "rank",
    "path",
    "split",
    "label",
    "suggested",
    "probability_of_label",
    "probability_of_suggested",
    "quality",
    "probably_wrong",
)
MOST_TILES = 100
_MOST_BYTES = 4_000_000  # of all pictures of a page as text


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


@dataclass(frozen=True)
class Tiles:
    """What tiles.html shows.

    Attributes:
        judged: all pictures.
        shown: the first suspects, each with a JPEG of its picture.
        hidden: how many more there are.
    """

    judged: Judged
    shown: list[tuple[Suspect, bytes]]
    hidden: int


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
    content = suspects_page(
        judged,
        suspects,
        lambda index: jpeg_of(picture(index)),
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
            row = [str(rank), judged.paths[one.index], judged.splits[one.index]]
            row += [names[one.label], names[one.suggested]]
            row += [*map(_six, figures), str(one.probably_wrong).lower()]
            row += map(_six, judged.probabilities[one.index])
            writer.writerow(row)


def suspects_page(
    judged: Judged,
    suspects: Sequence[Suspect],
    jpeg: Callable[[int], bytes],
    *,
    images: str,
    table: str,
) -> str:
    """Draw the page: no other file is needed, and it holds no script.

    Args:
        judged: all pictures.
        suspects: found among them, the most suspect one first.
        jpeg: makes a JPEG of the picture with an index.
        images: the source, as it was given.
        table: path of the table with all suspects, as it is told.
    """
    labels, by_split = len(judged.splits), Counter(judged.splits)
    found = Counter(judged.splits[suspect.index] for suspect in suspects)
    wrong = sum(suspect.probably_wrong for suspect in suspects)
    return render(
        "suspects/page.html",
        images=images,
        verdict=_verdict(judged, suspects, wrong),
        labels=labels,
        counts=[
            ("probably wrong", wrong, labels),
            ("suspect", len(suspects), labels),
            *((f"in {split}", found[split], by_split[split]) for split in SPLITS),
        ],
        suspects=suspect_tiles(judged, suspects, jpeg),
        table=table,
    )


def suspect_tiles(
    judged: Judged,
    suspects: Sequence[Suspect],
    jpeg: Callable[[int], bytes],
    most: int = MOST_TILES,
) -> Tiles:
    """The first suspects with their pictures, for tiles.html.

    Args:
        judged: all pictures.
        suspects: found among them, the most suspect one first.
        jpeg: makes a JPEG of the picture with an index; called for those that are shown.
        most: how many are shown. Defaults to 100; fewer where they would be more than 4 MB.
    """
    shown = []
    room = _MOST_BYTES
    for suspect in suspects[:most]:
        content = jpeg(suspect.index)
        room -= 4 * math.ceil(len(content) / 3)  # as Base64
        if room < 0:
            break
        shown.append((suspect, content))
    return Tiles(judged, shown, len(suspects) - len(shown))


def _verdict(judged: Judged, suspects: Sequence[Suspect], wrong: int) -> str:
    sentence = (
        f"{counted(len(suspects), 'label', 'labels')} of {len(judged.splits):,} may be wrong, "
        f"{wrong:,} of them probably."
    )
    pairs = Counter((suspect.label, suspect.suggested) for suspect in suspects)
    names = judged.class_names
    often = [
        f"{count:,} {names[label]} that look like {names[suggested]}"
        for (label, suggested), count in pairs.most_common(2)
    ]
    return f"{sentence} Most often: {', '.join(often)}." if often else sentence


def _six(value: float) -> str:
    return f"{value:.6f}"
