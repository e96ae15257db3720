"""Classes and splits, sizes and formats: what the audit page says of all pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from pawprint.data.audit import Audit, FileRecord
from pawprint.data.page import charts
from pawprint.data.page.parts import draw
from pawprint.data.split import SPLITS
from pawprint.pages.markup import Html, counted, percent

_FIRST_CLASSES, _MOST_CLASSES = 30, 1000
_MOST_ROWS = 12  # of a table of facts
_RESIZE = {
    "squash": "the whole picture squashed to a square",
    "crop": "the square in the middle",
    "pad": "the whole picture with margins",
}
_ORIENTATION = {
    1: "upright",
    2: "mirrored",
    3: "turned by 180°",
    4: "mirrored, turned by 180°",
    5: "mirrored, turned by 270°",
    6: "turned by 90°",
    7: "mirrored, turned by 90°",
    8: "turned by 270°",
}


def classes_section(audit: Audit, class_names: list[str]) -> Html:
    """Draw the table of the files of each class in each split.

    Args:
        audit: What was found.
        class_names: In the order to show them.
    """
    if not class_names:
        return draw("no_classes")
    labels = (record.label for record in audit.records)
    found = Counter(zip(labels, audit.splits, strict=True))
    columns = (*SPLITS, None)
    counts = {name: [found[name, split] for split in columns] for name in class_names}
    largest = max(map(sum, counts.values())) or 1
    total = [sum(column) for column in zip(*counts.values(), strict=True)]
    rows = [_class_row(name, own, _bar(own, largest)) for name, own in counts.items()]
    first = [_class_row("All classes", total, Html(), look="total"), *rows[:_FIRST_CLASSES]]
    used = {name: sum(own[:-1]) for name, own in counts.items()}
    return draw(
        "classes",
        range=_range(used),
        table=draw("class_table", name="Files of each class in each split", rows=first),
        more=_more_classes(rows),
    )


def _more_classes(rows: list[Html]) -> Html:
    more, hidden = rows[_FIRST_CLASSES:_MOST_CLASSES], len(rows[_MOST_CLASSES:])
    if not more:
        return Html()
    return draw(
        "more_classes",
        count=counted(len(more) + hidden, "more class", "more classes"),
        table=draw("class_table", name="Files of each further class in each split", rows=more),
        hidden=draw("hidden_classes", count=hidden) if hidden else "",
    )


def _class_row(name: str, counts: list[int], bar: Html, look: str = "") -> Html:
    train, validation, test, left_out = counts
    return draw(
        "class_row",
        look=look,
        name=name,
        bar=bar,
        train=train,
        validation=validation,
        test=test,
        left_out=left_out,
        alert="alert" if left_out else "",
        files=sum(counts),
    )


def _bar(counts: list[int], largest: int) -> Html:
    parts = [
        draw("bar_part", place=place, share=str(count))
        for place, count in enumerate(counts)
        if count
    ]
    return draw("class_bar", width=round(100 * sum(counts) / largest, 2), parts=parts)


def _range(used: dict[str, int]) -> str:
    """The classes with fewest and most pictures, in words."""
    few, many = min(used, key=used.__getitem__), max(used, key=used.__getitem__)
    if used[few] == used[many]:
        return f"{counted(used[few], 'used picture', 'used pictures')} in each class."
    return f"From {used[few]:,} used pictures ({few}) to {used[many]:,} ({many}) in a class."


def sizes_section(usable: list[FileRecord], image_size: int, resize: str) -> Html:
    """Draw charts and tables of the pictures' sizes, formats and the like.

    Args:
        usable: The records of all that can be seen as a picture.
        image_size: Side of the square pictures in pixels.
        resize: How they become square.
    """
    seen = [record for record in usable if record.width and record.height]
    if not seen:
        return draw("no_sizes")
    wide = np.array([record.width for record in seen], dtype=np.float64)
    high = np.array([record.height for record in seen], dtype=np.float64)
    lying = np.array([(record.orientation or 1) > 4 for record in seen])  # to be turned by 90°
    weights = np.array([record.bytes for record in seen if record.bytes], dtype=np.float64)
    pixels = charts.pixel_text, charts.pixel_bin_text
    weight = charts.byte_text, charts.byte_bin_text
    longer = np.maximum(wide, high)
    drawn = [
        charts.size_histogram("Longer side", longer, *pixels, mark=image_size),
        charts.aspect_histogram("Width : height", np.where(lying, high / wide, wide / high)),
    ]
    if weights.size:
        drawn.append(charts.size_histogram("Size of file", weights, *weight))
    small = int((np.minimum(wide, high) < image_size).sum())
    return draw(
        "sizes",
        remarks=" ".join(_remarks(seen, small, image_size, resize)),
        charts=drawn,
        facts=[
            _facts("Format", (record.format for record in seen)),
            _facts("Mode", (record.mode for record in seen)),
            _facts("Orientation (EXIF)", (_ORIENTATION.get(r.orientation or 1) for r in seen)),
        ],
    )


def _remarks(seen: list[FileRecord], small: int, image_size: int, resize: str) -> Iterable[str]:
    how = _RESIZE.get(resize, resize)
    yield f"The network sees {image_size} × {image_size} pixels: {how}."
    if small:
        yield f"{counted(small, 'picture has', 'pictures have')} a side shorter than that."
    if turned := sum((record.orientation or 1) > 1 for record in seen):
        yield f"{counted(turned, 'picture is', 'pictures are')} brought upright."
    if moving := sum((record.frames or 1) > 1 for record in seen):
        yield f"{counted(moving, 'animation', 'animations')}: the first frame is used."


def _facts(title: str, values: Iterable[str | None]) -> Html:
    counts = Counter(value or "unknown" for value in values)
    total = counts.total()
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if others := sum(count for _, count in ordered[_MOST_ROWS:]):
        ordered = [*ordered[:_MOST_ROWS], ("others", others)]
    rows = [
        draw("fact", name=name, count=count, share=percent(count, total)) for name, count in ordered
    ]
    return draw("facts", title=title, rows=rows)
