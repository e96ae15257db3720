"""The audit page: one HTML file that shows what was found in the pictures before training."""

import functools
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pawprint.data.audit import KINDS, LEFT_OUT, Audit, FileRecord, Finding
from pawprint.data.decode import PictureError, open_picture
from pawprint.data.layout import PictureFile
from pawprint.data.page import charts
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
_MOST_TILES = 48  # of one kind, beside those in groups
_MOST_GROUPS = 40  # on the page
_MOST_IN_GROUP = 6
_MOST_PATHS = 500  # of one kind, below its tiles
_LEAST_GROUPS = 5  # of each kind, however many a graver one has
_MOST_BYTES = 6_000_000  # of all thumbnails as text
_OF_CLASSES = 300  # pictures that show what the classes look like, in all
_OF_CLASS = (2, 12)  # of one class: least and most
_SIDE, _SMALL_SIDE = 344, 176  # of thumbnails in pixels: sharp on screens of two for one
_MOST_LABELS = 4  # named above a group
_OF_COPIES = ("two labels", "leak", "duplicate", "near-duplicate")  # make sense only side by side


@dataclass(frozen=True)
class Tile:
    """A picture on the page."""

    record: FileRecord
    findings: tuple[Finding, ...]
    split: str | None  # None where it is left out
    size: str  # in pixels and bytes
    jpeg: bytes | None  # None where it cannot be shown, or there is no more room on the page
    link: str | None  # address of the file; None where it lies nowhere, as in an archive


@dataclass(frozen=True)
class Sample:
    """Some pictures of a class, spread over all that are in a split."""

    label: str
    of: int  # pictures of the class
    tiles: list[Tile]


@dataclass(frozen=True)
class Group:
    """Copies of one another."""

    number: int  # in the audit
    files: int
    flags: list[str]  # why the group matters, in a few words each
    tiles: list[Tile]  # of the first files


@dataclass(frozen=True)
class Sheet:
    """All that is shown of one kind of problem."""

    kind: str
    files: int  # that have it
    above: int  # of them, with a graver kind
    groups: list[Group]  # to look at side by side
    tiles: list[Tile]  # of files that are in none
    hidden: list[str]  # paths of all that is not shown


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
    groups = _groups_of_copies(audit)
    usable = [record for record in audit.records if record.usable]
    labels = (record.label for record in audit.records)
    in_split = Counter(zip(labels, audit.splits, strict=True))
    # By class, how many files are in train, validation and test, and how many are left out.
    counts = {name: [in_split[name, split] for split in (*SPLITS, None)] for name in class_names}
    sheets = _Sheets(audit, groups, thumbnail, link)
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


def _groups_of_copies(audit: Audit) -> dict[int, list[int]]:
    """The places in ``audit.records`` of the members of each group of two or more."""
    members = defaultdict(list)
    for place, group in enumerate(audit.groups):
        if group is not None:
            members[group].append(place)
    return {group: places for group, places in members.items() if len(places) > 1}


def _unlikeness(records: Sequence[FileRecord]) -> int:
    """In how many bits of 64 the copies of the first differ from it at most."""
    first, *others = (int(record.perceptual_hash or "0", 16) for record in records)
    return max((first ^ other).bit_count() for other in others)


class _Sheets:
    """Chooses what to show of each kind that was found.

    Copies stand side by side, each group once, with the gravest kind in it; large groups go first,
    and of those of one size the ones whose pictures are most alike.
    """

    def __init__(
        self,
        audit: Audit,
        groups: dict[int, list[int]],
        thumbnail: Callable[[str, int], bytes | None],
        link: Callable[[str], str | None],
    ) -> None:
        self._audit, self._members, self._link = audit, groups, link
        self._places: dict[str, list[int]] = defaultdict(list)
        for place, findings in enumerate(audit.findings):
            for kind in {finding.kind for finding in findings}:
                self._places[kind].append(place)
        self._side_by_side: set[int] = set()  # places of the copies shown so far
        self._thumbnail = functools.cache(thumbnail)
        self._room = _MOST_BYTES

    def drawn(self) -> list[Sheet]:
        """The sheets, the gravest kind first."""
        groups = self._groups_by_kind()
        return [self._sheet(kind, groups[kind]) for kind in KINDS if self._places[kind]]

    def _groups_by_kind(self) -> dict[str, list[int]]:
        """The groups to show with each kind."""
        groups: dict[str, list[int]] = {kind: [] for kind in KINDS}
        placed = set()
        for kind in _OF_COPIES:
            for place in self._places[kind]:
                group = self._audit.groups[place]
                if group in self._members and group not in placed:
                    placed.add(group)
                    groups[kind].append(group)
        for own in groups.values():
            own.sort(key=self._order)
        room = _MOST_GROUPS - sum(min(_LEAST_GROUPS, len(own)) for own in groups.values())
        for kind, own in groups.items():
            more = min(room, max(0, len(own) - _LEAST_GROUPS))
            groups[kind] = own[: _LEAST_GROUPS + more]
            room -= more
        return groups

    def _order(self, group: int) -> tuple[int, int, int]:
        places = self._members[group]
        return -len(places), _unlikeness([self._audit.records[p] for p in places]), group

    def samples(self, class_names: Sequence[str]) -> list[Sample]:
        """What the pictures of each class look like: some that are in a split, spread over all."""
        places: dict[str, list[int]] = {name: [] for name in class_names}
        for place, record in enumerate(self._audit.records):
            if self._audit.splits[place] is not None and record.label in places:
                places[record.label].append(place)
        least, most = _OF_CLASS
        each = min(most, max(least, _OF_CLASSES // max(1, len(places))))
        found = []
        for label, own in list(places.items())[: _OF_CLASSES // each]:
            count = min(each, len(own))
            chosen = [own[number * len(own) // count] for number in range(count)]
            tiles = [self._tile(place, _SMALL_SIDE) for place in chosen]
            found.append(Sample(label, len(own), tiles))
        return found

    def _sheet(self, kind: str, numbers: list[int]) -> Sheet:
        places = self._places[kind]
        above = sum(place in self._side_by_side for place in places) if kind in _OF_COPIES else 0
        groups = [self._group(number) for number in numbers]
        rest = alone = places
        if kind in _OF_COPIES:
            rest = [place for place in places if place not in self._side_by_side]
            # Copies of a group that found no room are only listed: alone they tell nothing.
            alone = [place for place in rest if self._audit.groups[place] not in self._members]
        alone = alone[:_MOST_TILES]
        hidden = sorted(set(rest).difference(alone))
        return Sheet(
            kind=kind,
            files=len(places),
            above=above,
            groups=groups,
            tiles=[self._tile(place) for place in alone],
            hidden=[self._audit.records[place].path for place in hidden],
        )

    def _group(self, number: int) -> Group:
        records, splits = self._audit.records, self._audit.splits
        places = self._members[number]
        sides = {place: splits[place] or records[place].given_split for place in places}
        # One of each label and side goes first, so that what differs can be seen.
        differing = {(records[p].label, sides[p]): p for p in reversed(places)}.values()
        chosen = sorted([*dict.fromkeys([*sorted(differing), *places])][:_MOST_IN_GROUP])
        self._side_by_side.update(chosen)
        flags = []
        if len(labels := sorted({records[place].label for place in places})) > 1:
            named = ", ".join(labels[:_MOST_LABELS]) + ", …" * (len(labels) > _MOST_LABELS)
            flags.append(f"{len(labels)} labels: {named}")
        if len(stand := [split for split in SPLITS if split in sides.values()]) > 1:
            flags.append(f"in {' and '.join(stand)}")
        return Group(number, len(places), flags, [self._tile(place) for place in chosen])

    def _tile(self, place: int, side: int = _SIDE) -> Tile:
        record = self._audit.records[place]
        sides = f"{record.width:,} × {record.height:,} px" if record.width and record.height else ""
        weight = charts.byte_text(record.bytes) if record.bytes is not None else ""
        jpeg: bytes | None = self._thumbnail(record.path, side) or b""
        encoded = 4 * math.ceil(len(jpeg or b"") / 3)  # as Base64
        if encoded > self._room:
            jpeg, encoded = None, 0
        self._room -= encoded
        return Tile(
            record=record,
            findings=self._audit.findings[place],
            split=self._audit.splits[place],
            size=", ".join(filter(None, (sides, weight))),
            jpeg=jpeg,
            link=self._link(record.path),
        )
