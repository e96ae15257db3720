"""Suspect labels as a table, and as a page to look at."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pawprint.data.decode import open_picture
from pawprint.data.picture import PictureError
from pawprint.data.split import SPLITS
from pawprint.inference.predictor import class_columns
from pawprint.pages.render import jpeg_of, link_from, percent, render
from pawprint.suspects.find import Suspect
from pawprint.system.files import replacing_file, write_table

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
_SIDE = 344  # of a picture in pixels: sharp on screens of two for one
_MOST_BYTES = 4_000_000  # of all pictures of a page as text


@dataclass(frozen=True)
class HeldOut:
    """Held-out pictures, and what networks that did not learn from them answered.

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
    held_out: HeldOut,
    suspects: Sequence[Suspect],
    picture: Callable[[int], np.ndarray],
    images: str,
    source: Path | None = None,
) -> None:
    """Write `suspects.csv`, a row per suspect, and `suspects.html`, the first ones to look at.

    Args:
        folder: made where it is missing.
        held_out: all pictures.
        suspects: found among them, the most suspect one first.
        picture: reads the picture with an index, uint8 (size, size, 3).
        images: the source, as it was given.
        source: the folder where the files still lie: the page then shows and links them. Defaults
            to none.
    """

    def file_of(index: int) -> Path | None:
        file = source / held_out.paths[index] if source else None
        return file if file and file.is_file() else None

    def jpeg(index: int) -> bytes:
        if file := file_of(index):
            try:
                return jpeg_of(open_picture(file, _SIDE).image, _SIDE)
            except PictureError:  # another one than was prepared
                pass
        return jpeg_of(picture(index), _SIDE)

    def link(index: int) -> str | None:
        file = file_of(index)
        return link_from(folder, file) if file else None

    write_suspects_table(folder / TABLE, held_out, suspects)
    content = suspects_page(
        held_out,
        suspects,
        jpeg,
        link,
        images=images,
        table=f"{folder.parent.name}/{folder.name}/{TABLE}",
    )
    with replacing_file(folder / PAGE) as temporary:
        temporary.write_text(content, encoding="utf-8")


def write_suspects_table(path: Path, held_out: HeldOut, suspects: Sequence[Suspect]) -> None:
    """Write a row per suspect as CSV, with the probability of every class."""
    names = held_out.class_names
    rows = (
        [
            rank,
            held_out.paths[one.index],
            held_out.splits[one.index],
            names[one.label],
            names[one.suggested],
            _six(one.probability_of_label),
            _six(one.probability_of_suggested),
            _six(one.quality),
            str(one.probably_wrong).lower(),
            *map(_six, held_out.probabilities[one.index]),
        ]
        for rank, one in enumerate(suspects, start=1)
    )
    write_table(path, [*COLUMNS, *class_columns(names, COLUMNS)], rows)


def suspects_page(
    held_out: HeldOut,
    suspects: Sequence[Suspect],
    jpeg: Callable[[int], bytes],
    link: Callable[[int], str | None] = lambda _: None,
    *,
    images: str,
    table: str,
) -> str:
    """Draw the page: no other file is needed, and it holds no script.

    Args:
        held_out: all pictures.
        suspects: found among them, the most suspect one first.
        jpeg: makes a JPEG of the picture with an index.
        link: tells the address of its file, as it is to stand in the page. Defaults to none.
        images: the source, as it was given.
        table: path of the table with all suspects, as it is told.
    """
    labels, by_split, names = len(held_out.splits), Counter(held_out.splits), held_out.class_names
    found = Counter(held_out.splits[suspect.index] for suspect in suspects)
    wrong = sum(suspect.probably_wrong for suspect in suspects)
    sentence = f"{agreement(held_out, wrong)}."
    verdict = sentence[0].upper() + sentence[1:]
    confused = Counter((suspect.label, suspect.suggested) for suspect in suspects)
    if confused:
        often = (
            f"{count:,} {names[label]} that look like {names[suggested]}"
            for (label, suggested), count in confused.most_common(2)
        )
        verdict += f" Most often: {', '.join(often)}."
    return render(
        "suspects/page.html",
        images=images,
        verdict=verdict,
        labels=labels,
        counts=[
            ("probably wrong", wrong, labels),
            ("suspect", len(suspects), labels),
            *((f"in {split}", found[split], by_split[split]) for split in SPLITS),
        ],
        suspects=suspect_tiles(held_out, suspects, jpeg, link=link),
        table=table,
    )


def agreement(held_out: HeldOut, wrong: int) -> str:
    """How many labels the network agrees with, and what that says of the others, in a clause.

    Args:
        held_out: all pictures.
        wrong: how many labels are called probably wrong.
    """
    labels, answers = len(held_out.labels), held_out.probabilities
    given = answers[np.arange(labels), held_out.labels]
    others = int((answers.max(axis=1) > given).sum())
    if not others:
        return f"the network agrees with all {labels:,} labels"
    agrees = f"the network agrees with {percent(labels - others, labels)} of {labels:,} labels"
    if not wrong:
        return f"{agrees} and knows too little to call any of the others probably wrong"
    return f"{agrees}; of the {others:,} others {wrong:,} are probably wrong"


def suspect_tiles(
    held_out: HeldOut,
    suspects: Sequence[Suspect],
    jpeg: Callable[[int], bytes],
    most: int = MOST_TILES,
    link: Callable[[int], str | None] = lambda _: None,
) -> dict[str, Any]:
    """The first suspects with their pictures and how many more there are, for tiles.html.

    Args:
        held_out: all pictures.
        suspects: found among them, the most suspect one first.
        jpeg: makes a JPEG of the picture with an index; called for those that are shown.
        most: how many are shown. Defaults to 100; fewer where they would be more than 4 MB.
        link: tells the address of the picture's file. Defaults to none.
    """
    shown = []
    room = _MOST_BYTES
    for suspect in suspects[:most]:
        content = jpeg(suspect.index)
        room -= 4 * math.ceil(len(content) / 3)  # as Base64
        if room < 0:
            break
        shown.append((suspect, content, link(suspect.index)))
    return {"held_out": held_out, "shown": shown, "hidden": len(suspects) - len(shown)}


def _six(value: float) -> str:
    return f"{value:.6f}"
