"""What the audit page shows of each kind of problem, and of each class."""

import functools
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pawprint.data.audit import KINDS, Audit, FileRecord, Finding
from pawprint.data.page import charts
from pawprint.data.split import SPLITS

_MOST_TILES = 48  # of one kind, beside those in groups
_MOST_GROUPS = 40  # on the page
_MOST_IN_GROUP = 6
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


def groups_of_copies(audit: Audit) -> dict[int, list[int]]:
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


class Sheets:
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
