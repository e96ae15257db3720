"""Suspect labels to look at: pictures with the given label and the class that is seen instead."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from pawprint.data.split import SPLITS
from pawprint.pages.markup import Html, Parts, breakable, counted, head, percent
from pawprint.suspects.find import Suspect

MOST = 100  # shown
_MOST_BYTES = 4_000_000  # of all pictures as text
_MOST_CHARACTERS = 300  # of a path
_SIDE = 160  # pixels, the longest of a picture
_QUALITY = 80

draw = Parts(Path(__file__).with_name("suspects.html")).draw


def jpeg_of(picture: np.ndarray) -> bytes:
    """A small JPEG, at most 160 pixels wide and high, of uint8 (height, width, 3)."""
    image = Image.fromarray(picture)
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    content = io.BytesIO()
    image.save(content, "JPEG", quality=_QUALITY)
    return content.getvalue()


def suspects_section(
    suspects: Sequence[Suspect],
    paths: Sequence[str],
    class_names: Sequence[str],
    jpeg: Callable[[int], bytes],
    splits: Sequence[str] | None = None,
    most: int = MOST,
) -> Html:
    """Draw suspects as tiles, in their order, with a sentence about what is seen.

    Args:
        suspects: most suspect first.
        paths: by a suspect's index.
        class_names: by label.
        jpeg: makes a JPEG of the picture with an index; called for those that are shown.
        splits: by index, shown where they are given. Defaults to None.
        most: how many are shown. Defaults to 100; fewer where they would be more than 4 MB.
    """
    if not suspects:
        return draw("none")
    tiles: list[Html] = []
    room = _MOST_BYTES
    for rank, suspect in enumerate(suspects[:most], start=1):
        content = base64.b64encode(jpeg(suspect.index)).decode()
        room -= len(content)
        if room < 0:
            break
        tiles.append(_tile(rank, suspect, content, paths, class_names, splits))
    hidden = len(suspects) - len(tiles)
    return draw("tiles", tiles=tiles, more=draw("more", count=hidden) if hidden else "")


def suspects_page(
    suspects: Sequence[Suspect],
    paths: Sequence[str],
    splits: Sequence[str],
    class_names: Sequence[str],
    jpeg: Callable[[int], bytes],
    *,
    images: str,
    table: str,
) -> str:
    """Draw a page of its own: no other file is needed, and it holds no script.

    Args:
        suspects: most suspect first.
        paths: of all pictures that were judged.
        splits: theirs.
        class_names: by label.
        jpeg: makes a JPEG of the picture with an index.
        images: the source, as it was given.
        table: path of the table with all suspects, as it is told.
    """
    judged, found = Counter(splits), Counter(splits[suspect.index] for suspect in suspects)
    wrong = sum(suspect.probably_wrong for suspect in suspects)
    cards = [
        _card("labels", len(splits)),
        _card("probably wrong", wrong, len(splits)),
        _card("suspect", len(suspects), len(splits)),
        *(_card(f"in {split}", found[split], judged[split]) for split in SPLITS),
    ]
    return draw(
        "page",
        head=head(f"Suspect labels of {images}"),
        heading=breakable(images),
        verdict=_verdict(suspects, len(splits), class_names),
        cards=cards,
        suspects=suspects_section(suspects, paths, class_names, jpeg, splits),
        table=table,
    )


def _verdict(suspects: Sequence[Suspect], labels: int, class_names: Sequence[str]) -> str:
    wrong = sum(suspect.probably_wrong for suspect in suspects)
    told = (
        f"{counted(len(suspects), 'label', 'labels')} of {labels:,} may be wrong, {wrong:,} of "
        "them probably."
    )
    pairs = Counter((suspect.label, suspect.suggested) for suspect in suspects)
    often = [
        f"{count:,} {class_names[label]} that look like {class_names[suggested]}"
        for (label, suggested), count in islice(pairs.most_common(), 2)
    ]
    return f"{told} Most often: {', '.join(often)}." if often else told


def _card(name: str, figure: int, of: int = 0) -> Html:
    look = "" if figure else "none"
    more = percent(figure, of) if figure and of else ""
    return draw("card", look=look, name=name, figure=figure, more=more)


def _tile(
    rank: int,
    suspect: Suspect,
    content: str,
    paths: Sequence[str],
    class_names: Sequence[str],
    splits: Sequence[str] | None,
) -> Html:
    path = paths[suspect.index]
    if len(path) > _MOST_CHARACTERS:
        path = f"… {path[-_MOST_CHARACTERS:]}"
    return draw(
        "tile",
        rank=rank,
        content=Html(content),
        path=breakable(path),
        label=class_names[suspect.label],
        suggested=class_names[suspect.suggested],
        of_label=f"{suspect.probability_of_label:.2f}",
        of_suggested=f"{suspect.probability_of_suggested:.2f}",
        split=draw("split", split=splits[suspect.index]) if splits else "",
    )
