"""The audit page: one HTML file that shows what was found in the pictures before training."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from pawprint.data.audit import LEFT_OUT, Audit, FileRecord
from pawprint.data.decode import PictureError, open_picture
from pawprint.data.layout import PictureFile
from pawprint.data.page import charts
from pawprint.data.page.sheets import Sheets, groups_of_copies
from pawprint.data.page.tables import COPIES, PROBLEMS
from pawprint.data.split import SPLITS
from pawprint.pages.render import counted, jpeg_of, render

_LEARNED = {"train": "training", "validation": "validation"}
_MOST_ROWS = 12  # of a table of facts
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
_MOST_PATHS = 500  # of one kind, below its tiles


def thumbnails_of(files: Iterable[PictureFile]) -> Callable[[str, int], bytes | None]:
    """Make a JPEG of each file, by its path and its longer side in pixels.

    It is never larger than the file's own picture, and None where that cannot be shown.

    Args:
        files: that can be shown.
    """
    locations = {file.path: file.location for file in files}

    def thumbnail(path: str, side: int) -> bytes | None:
        try:
            return jpeg_of(open_picture(locations[path], side).image, side)
        except PictureError:
            return None

    return thumbnail


def audit_page(
    audit: Audit,
    *,
    images: str,
    class_names: list[str],
    image_size: int,
    resize: str,
    thumbnail: Callable[[str, int], bytes | None],
    link: Callable[[str], str | None] = lambda _: None,
    notes: Sequence[str] = (),
) -> str:
    """Draw the page; the same input gives the same page.

    It needs no other file, holds no script, and can be written as UTF-8 whatever the names are.
    It links to the tables that ``write_tables`` writes beside it.

    Args:
        audit: what was found; its lists go together.
        images: the source, as it was given.
        class_names: in the order to show them.
        image_size: side of the square pictures in pixels.
        resize: how they become square: "squash", "crop" or "pad".
        thumbnail: makes a JPEG of a path and its longer side, or None where it cannot be shown.
            It is called once for each picture on the page, some hundreds at most.
        link: tells the address of a path's file, as it is to stand in the page. Defaults to none.
        notes: sentences about what a person may not expect. Defaults to none.

    Returns:
        The HTML.
    """
    found, used = audit.counts(), len(audit.splits) - audit.splits.count(None)
    groups = groups_of_copies(audit)
    usable = [record for record in audit.records if record.usable]
    labels = (record.label for record in audit.records)
    in_split = Counter(zip(labels, audit.splits, strict=True))
    # By class, how many files are in train, validation and test, and how many are left out.
    counts = {name: [in_split[name, split] for split in (*SPLITS, None)] for name in class_names}
    sheets = Sheets(audit, groups, thumbnail, link)
    mixed = [len({audit.records[place].label for place in own}) > 1 for own in groups.values()]
    return render(
        "data/page/audit_page.html",
        images=images,
        fine=bool(audit.records) and not any(found.values()),
        files=len(audit.records),
        used=used,
        found=found,
        unreadable=len(audit.records) - len(usable),
        groups=list(groups.values()),
        leak_sides=_sides_of_leaks(audit, groups),
        conflicts=sum(mixed),
        notes=notes,
        class_counts=counts,
        class_total=[sum(column) for column in zip(*counts.values(), strict=True)],
        used_of_classes=_range(counts) if counts else "",
        sizes=_sizes(usable, image_size),
        image_size=image_size,
        resize=resize,
        sheets=sheets.drawn(),
        samples=sheets.samples(class_names),
        kinds_left_out=LEFT_OUT,
        most_paths=_MOST_PATHS,
        link=link,
        problem_table=PROBLEMS,
        copy_table=COPIES,
    )


def _sides_of_leaks(audit: Audit, groups: dict[int, list[int]]) -> tuple[str, str]:
    """What leaking pictures were given for, and the splits that they leak into."""
    leaking: set[str | None] = set()
    kept: set[str | None] = set()
    for places in groups.values():
        leaks = [p for p in places if any(f.kind == "leak" for f in audit.findings[p])]
        if leaks:
            leaking.update(audit.records[place].given_split for place in leaks)
            kept.update(audit.splits[place] for place in places)
    learned = " or ".join(name for split, name in _LEARNED.items() if split in leaking)
    return learned or "training", " or ".join(s for s in SPLITS if s in kept) or "held-out"


def _range(counts: dict[str, list[int]]) -> str:
    """The classes with fewest and most pictures, in words."""
    used = {name: sum(own[:-1]) for name, own in counts.items()}
    few, many = min(used, key=used.__getitem__), max(used, key=used.__getitem__)
    if used[few] == used[many]:
        return f"{counted(used[few], 'used picture', 'used pictures')} in each class."
    return f"From {used[few]:,} used pictures ({few}) to {used[many]:,} ({many}) in a class."


def _sizes(usable: list[FileRecord], image_size: int) -> dict[str, Any] | None:
    """What audit_page.html says of all pictures that can be measured."""
    measured = [record for record in usable if record.width and record.height]
    if not measured:
        return None
    wide = np.array([record.width for record in measured], dtype=np.float64)
    high = np.array([record.height for record in measured], dtype=np.float64)
    lying = np.array([(record.orientation or 1) > 4 for record in measured])  # to be turned by 90°
    weights = np.array([record.bytes for record in measured if record.bytes], dtype=np.float64)
    longer = np.maximum(wide, high)
    drawn = [
        charts.size_histogram(
            "Longer side", longer, charts.pixel_text, charts.pixel_bin_text, mark=image_size
        ),
        charts.aspect_histogram("Width : height", np.where(lying, high / wide, wide / high)),
    ]
    if weights.size:
        drawn.append(charts.size_histogram("Size of file", weights, charts.byte_text))
    orientations = (_ORIENTATION.get(record.orientation or 1) for record in measured)
    return {
        "pictures": len(measured),
        "small": int((np.minimum(wide, high) < image_size).sum()),
        "turned": sum((record.orientation or 1) > 1 for record in measured),
        "animated": sum((record.frames or 1) > 1 for record in measured),
        "charts": drawn,
        "facts": {
            "Format": _most_frequent(record.format for record in measured),
            "Mode": _most_frequent(record.mode for record in measured),
            "Orientation (EXIF)": _most_frequent(orientations),
        },
    }


def _most_frequent(values: Iterable[str | None]) -> list[tuple[str, int]]:
    """Each value and how many pictures have it."""
    counts = Counter(value or "unknown" for value in values)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if others := sum(count for _, count in ordered[_MOST_ROWS:]):
        ordered = [*ordered[:_MOST_ROWS], ("others", others)]
    return ordered
