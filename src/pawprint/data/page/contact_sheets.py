"""The pictures that the audit page shows for each kind of problem."""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pawprint.data.audit import KINDS, Audit, FileRecord, Finding
from pawprint.data.decode import PictureError, open_picture
from pawprint.data.layout import PictureFile
from pawprint.data.page.charts import byte_text
from pawprint.data.split import SPLITS
from pawprint.pages.thumbnail import jpeg_of

MOST_TILES = 48  # of one kind, beside those in groups
MOST_GROUPS = 40  # on the page
MOST_IN_GROUP = 6
MOST_PATHS = 500  # of one kind, below its tiles
_LEAST_GROUPS = 5  # of each kind, however many a graver one has
_MOST_BYTES = 4_000_000  # of all thumbnails as text
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


def thumbnails_of(files: Iterable[PictureFile], side: int = 160) -> Callable[[str], bytes | None]:
    """Make thumbnails of files, by their paths in the manifest; None where one cannot be shown.

    Args:
        files: that can be asked for.
        side: the longer one in pixels. Defaults to 160.
    """
    locations = {file.path: file.location for file in files}

    def thumbnail(path: str) -> bytes | None:
        try:
            return jpeg_of(open_picture(locations[path], side).image, side)
        except PictureError:
            return None

    return thumbnail


def groups_of_copies(audit: Audit) -> dict[int, list[int]]:
    """The places in ``audit.records`` of the members of each group of two or more."""
    members = defaultdict(list)
    for place, group in enumerate(audit.groups):
        if group is not None:
            members[group].append(place)
    return {group: places for group, places in members.items() if len(places) > 1}


def contact_sheets(audit: Audit, thumbnail: Callable[[str], bytes | None]) -> list[Sheet]:
    """Choose what to show of each kind that was found, the gravest first.

    Copies stand side by side, each group once, with the gravest kind in it.

    Args:
        audit: what was found.
        thumbnail: makes a small JPEG of a path, or None; it is called once for each file that is
            shown.
    """
    sheets = _Sheets(audit, thumbnail)
    groups = sheets.groups_by_kind()
    return [sheets.of(kind, groups[kind]) for kind in KINDS if sheets.places[kind]]


class _Sheets:
    """What each sheet shows depends on what those before it showed."""

    def __init__(self, audit: Audit, thumbnail: Callable[[str], bytes | None]) -> None:
        self._audit = audit
        self._members = groups_of_copies(audit)
        self.places: dict[str, list[int]] = defaultdict(list)
        for place, findings in enumerate(audit.findings):
            for kind in {finding.kind for finding in findings}:
                self.places[kind].append(place)
        self._side_by_side: set[int] = set()  # places of the copies shown so far
        self._thumbnail = functools.cache(thumbnail)
        self._room = _MOST_BYTES

    def groups_by_kind(self) -> dict[str, list[int]]:
        """The groups to show with each kind."""
        groups: dict[str, list[int]] = {kind: [] for kind in KINDS}
        placed = set()
        for kind in _OF_COPIES:
            for place in self.places[kind]:
                group = self._audit.groups[place]
                if group in self._members and group not in placed:
                    placed.add(group)
                    groups[kind].append(group)
        room = MOST_GROUPS - sum(min(_LEAST_GROUPS, len(own)) for own in groups.values())
        for kind, own in groups.items():
            more = min(room, max(0, len(own) - _LEAST_GROUPS))
            groups[kind] = own[: _LEAST_GROUPS + more]
            room -= more
        return groups

    def of(self, kind: str, numbers: list[int]) -> Sheet:
        places = self.places[kind]
        above = sum(place in self._side_by_side for place in places) if kind in _OF_COPIES else 0
        groups = [self._group(number) for number in numbers]
        rest = alone = places
        if kind in _OF_COPIES:
            rest = [place for place in places if place not in self._side_by_side]
            # Copies of a group that found no room are only listed: alone they tell nothing.
            alone = [place for place in rest if self._audit.groups[place] not in self._members]
        alone = alone[:MOST_TILES]
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
        chosen = sorted([*dict.fromkeys([*sorted(differing), *places])][:MOST_IN_GROUP])
        self._side_by_side.update(chosen)
        flags = []
        if len(labels := sorted({records[place].label for place in places})) > 1:
            named = ", ".join(labels[:_MOST_LABELS]) + ", …" * (len(labels) > _MOST_LABELS)
            flags.append(f"{len(labels)} labels: {named}")
        if len(stand := [split for split in SPLITS if split in sides.values()]) > 1:
            flags.append(f"in {' and '.join(stand)}")
        return Group(number, len(places), flags, [self._tile(place) for place in chosen])

    def _tile(self, place: int) -> Tile:
        record = self._audit.records[place]
        sides = f"{record.width:,} × {record.height:,} px" if record.width and record.height else ""
        weight = byte_text(record.bytes) if record.bytes is not None else ""
        jpeg: bytes | None = self._thumbnail(record.path) or b""
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
        )
