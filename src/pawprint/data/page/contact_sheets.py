"""The pictures that the audit page shows for each kind of problem."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Callable

from pawprint.data.audit import KINDS, LEFT_OUT, Audit, FileRecord, Finding
from pawprint.data.page.charts import byte_text
from pawprint.data.page.parts import draw
from pawprint.data.split import SPLITS
from pawprint.pages.markup import Html, breakable

MOST_TILES = 48  # of one kind, beside those in groups
MOST_GROUPS = 40  # on the page
MOST_IN_GROUP = 6
MOST_PATHS = 500  # of one kind, below its tiles
_LEAST_GROUPS = 5  # of each kind, however many a graver one has
_MOST_BYTES = 4_000_000  # of all thumbnails as text
_MOST_CHARACTERS = 600  # of a path
_MOST_LABELS = 4  # named above a group
_OF_COPIES = ("two labels", "leak", "duplicate", "near-duplicate")  # make sense only side by side

# The heading of each kind, and what it means and becomes of it in a sentence or two.
_MEANING = {
    "unreadable": (
        "Unreadable",
        "The file could not be opened, or its content is damaged. It is in no split.",
    ),
    "truncated": (
        "Truncated",
        "The file ends before its picture does, as after an interrupted copy or download. It is in "
        "no split.",
    ),
    "not a picture": (
        "Not a picture",
        "Whatever the name says, the content is in no picture format that pawprint reads. It is in "
        "no split.",
    ),
    "decompression bomb": (
        "Too large to open",
        "The file claims so many pixels that opening it could exhaust the memory. It is in no "
        "split.",
    ),
    "two labels": (
        "Two labels",
        "The same picture, or a near copy, stands under more than one label, so at least one label "
        "is wrong. None of the copies is in a split: keep the right one and delete the others.",
    ),
    "leak": (
        "Leaks",
        "The picture also stands in a folder given for testing or validation, where a network that "
        "knows it by heart would look better than it is. Only the held-out copy stays.",
    ),
    "duplicate": (
        "Duplicates",
        "The same picture is there more than once. All copies are kept and lie in one split, so "
        "that none is tested on what another one taught.",
    ),
    "near-duplicate": (
        "Near-duplicates",
        "Pictures that look the same though their files differ: scaled, saved again, or taken a "
        "moment later. All are kept and lie in one split.",
    ),
    "blank": (
        "Blank",
        "The whole picture has one colour, so there is nothing to learn from. It is kept.",
    ),
    "tiny": (
        "Tiny",
        "A side is shorter than 8 pixels, so hardly anything can be seen. It is kept.",
    ),
    "extreme aspect": (
        "Extreme aspect",
        "One side is more than 8 times as long as the other, so little is left of the picture in a "
        "square. It is kept.",
    ),
}


def heading_of(kind: str) -> str:
    """What a person calls a kind."""
    return _MEANING[kind][0]


def anchor_of(kind: str) -> str:
    """The id of a kind's section on the page."""
    return f"found-{kind.replace(' ', '-')}"


def groups_of_copies(audit: Audit) -> dict[int, list[int]]:
    """The places in ``audit.records`` of the members of each group of two or more."""
    members = defaultdict(list)
    for place, group in enumerate(audit.groups):
        if group is not None:
            members[group].append(place)
    return {group: places for group, places in members.items() if len(places) > 1}


def contact_sheets(audit: Audit, thumbnail: Callable[[str], bytes | None]) -> list[Html]:
    """Draw a section for each kind that was found, the gravest first.

    Copies stand side by side, each group once, with the gravest kind in it.

    Args:
        audit: What was found.
        thumbnail: Makes a small JPEG of a path, or None; it is called once for each file that is
            shown.
    """
    return _Sheets(audit, thumbnail).draw()


class _Sheets:
    def __init__(self, audit: Audit, thumbnail: Callable[[str], bytes | None]) -> None:
        self.audit = audit
        self.members = groups_of_copies(audit)
        self.places = defaultdict(list)
        for place, findings in enumerate(audit.findings):
            for kind in {finding.kind for finding in findings}:
                self.places[kind].append(place)
        self.side_by_side: set[int] = set()  # places of the copies drawn so far
        self.thumbnail = thumbnail
        self.images: dict[str, bytes | None] = {}
        self.room = _MOST_BYTES

    def draw(self) -> list[Html]:
        groups = self.groups()
        return [self.sheet(kind, groups[kind]) for kind in KINDS if self.places[kind]]

    def groups(self) -> dict[str, list[int]]:
        """The groups to draw with each kind."""
        groups, placed = {kind: [] for kind in KINDS}, set()
        for kind in _OF_COPIES:
            for place in self.places[kind]:
                group = self.audit.groups[place]
                if group in self.members and group not in placed:
                    placed.add(group)
                    groups[kind].append(group)
        room = MOST_GROUPS - sum(min(_LEAST_GROUPS, len(own)) for own in groups.values())
        for kind, own in groups.items():
            more = min(room, max(0, len(own) - _LEAST_GROUPS))
            groups[kind] = own[: _LEAST_GROUPS + more]
            room -= more
        return groups

    def sheet(self, kind: str, numbers: list[int]) -> Html:
        places = self.places[kind]
        above = sum(place in self.side_by_side for place in places) if kind in _OF_COPIES else 0
        groups = [self.group(number) for number in numbers]
        rest = alone = places
        if kind in _OF_COPIES:
            rest = [place for place in places if place not in self.side_by_side]
            # Copies of a group that found no room are only listed: alone they tell nothing.
            alone = [place for place in rest if self.audit.groups[place] not in self.members]
        alone = alone[:MOST_TILES]
        hidden = set(rest).difference(alone)
        return draw(
            "sheet",
            anchor=anchor_of(kind),
            heading=heading_of(kind),
            files=len(places),
            fate=draw("left_out" if kind in LEFT_OUT else "kept"),
            meaning=_MEANING[kind][1],
            above=draw("above", files=above) if above else "",
            groups=draw("groups", groups=groups) if groups else "",
            tiles=draw("tiles", tiles=map(self.tile, alone)) if alone else "",
            more=self.more(kind, sorted(hidden)),
        )

    def more(self, kind: str, rest: list[int]) -> Html:
        if not rest:
            return Html()
        paths = [_short(self.audit.records[place].path) for place in rest[:MOST_PATHS]]
        some = f"The first {len(paths)} of them; all" if len(rest) > len(paths) else "They"
        items = [draw("path", path=breakable(path)) for path in paths]
        return draw("more", files=len(rest), some=some, kind=kind, paths=items)

    def group(self, number: int) -> Html:
        records, splits = self.audit.records, self.audit.splits
        places = self.members[number]
        sides = {place: splits[place] or records[place].given_split for place in places}
        # One of each label and side goes first, so that what differs can be seen.
        differing = {(records[p].label, sides[p]): p for p in reversed(places)}.values()
        chosen = sorted([*dict.fromkeys([*sorted(differing), *places])][:MOST_IN_GROUP])
        self.side_by_side.update(chosen)
        flags = []
        if len(labels := sorted({records[place].label for place in places})) > 1:
            named = ", ".join(labels[:_MOST_LABELS]) + ", …" * (len(labels) > _MOST_LABELS)
            flags.append(draw("flag", text=f"{len(labels)} labels: {named}"))
        if len(stand := [split for split in SPLITS if split in sides.values()]) > 1:
            flags.append(draw("flag", text=f"in {' and '.join(stand)}"))
        hidden = len(places) - len(chosen)
        return draw(
            "group",
            alert="alert" if flags else "",
            number=str(number),
            files=len(places),
            shown=len(chosen),
            flags=flags,
            tiles=map(self.tile, chosen),
            more=draw("more_in_group", files=hidden) if hidden else "",
        )

    def tile(self, place: int) -> Html:
        record, split = self.audit.records[place], self.audit.splits[place]
        path = _short(record.path)
        return draw(
            "tile",
            picture=self.picture(record, path),
            path=breakable(path),
            texts=[_text(finding) for finding in self.audit.findings[place]],
            size=_size(record),
            label=record.label,
            split=split or "left out",
            fate="kept" if split else "out",
        )

    def picture(self, record: FileRecord, path: str) -> Html:
        if record.path not in self.images:
            self.images[record.path] = self.thumbnail(record.path)
        content = base64.b64encode(self.images[record.path] or b"")
        if not content or len(content) > self.room:
            return draw("no_picture", path=path)
        self.room -= len(content)
        return draw("picture", content=Html(content.decode()), label=record.label, path=path)


def _text(finding: Finding) -> Html:
    fate = "out" if finding.kind in LEFT_OUT else "kept"
    return draw("text", fate=fate, text=breakable(_short(finding.text)))


def _size(record: FileRecord) -> str:
    sides = f"{record.width:,} × {record.height:,} px" if record.width and record.height else ""
    weight = byte_text(record.bytes) if record.bytes is not None else ""
    return ", ".join(filter(None, (sides, weight)))


def _short(text: str) -> str:
    half = _MOST_CHARACTERS // 2
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:half]} … {text[-half:]}"
