"""The audit page: one HTML file that shows what was found in the pictures before training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pawprint.data.audit import KINDS, LEFT_OUT, Audit
from pawprint.data.page.contact_sheets import (
    anchor_of,
    contact_sheets,
    groups_of_copies,
    heading_of,
)
from pawprint.data.page.overview import classes_section, sizes_section
from pawprint.data.page.parts import draw
from pawprint.data.split import SPLITS
from pawprint.pages.markup import Html, breakable, counted, head, notes_card, percent

_LEARNED = {"train": "training", "validation": "validation"}


def audit_page(
    audit: Audit,
    *,
    images: str,
    class_names: list[str],
    image_size: int,
    resize: str,
    thumbnail: Callable[[str], bytes | None],
    notes: Sequence[str] = (),
) -> str:
    """Draw the page; the same input gives the same page.

    It needs no other file, holds no script, and can be written as UTF-8 whatever the names are.

    Args:
        audit: What was found; its lists go together.
        images: The source, as it was given.
        class_names: In the order to show them.
        image_size: Side of the square pictures in pixels.
        resize: How they become square: "squash", "crop" or "pad".
        thumbnail: Makes a small JPEG of a path, or None where it cannot be shown. It is called
            once for each picture on the page, some hundreds at most.
        notes: Sentences about what a person may not expect. Defaults to none.

    Returns:
        The HTML.
    """
    found = audit.counts()
    fine = bool(audit.records) and not any(found.values())
    groups = groups_of_copies(audit)
    usable = [record for record in audit.records if not record.findings or record.usable]
    kinds = [kind for kind in KINDS if found[kind]]
    return draw(
        "page",
        head=head(f"Audit of {images}"),
        heading=breakable(images),
        verdict=_verdict(audit, found, groups, len(usable)),
        fine=draw("fine") if fine else "",
        cards=_cards(audit, found, groups),
        kinds=draw("kinds", links=[_link(kind, found[kind]) for kind in kinds]) if kinds else "",
        notes=notes_card(notes),
        classes=classes_section(audit, class_names),
        sizes=sizes_section(usable, image_size, resize),
        found=contact_sheets(audit, thumbnail) or draw("nothing" if fine else "no_files"),
    )


def _verdict(audit: Audit, found: dict[str, int], groups: dict[int, list[int]], usable: int) -> str:
    files = len(audit.records)
    if not files:
        return "There are no files."
    copies = counted(len(groups), "group of copies", "groups of copies")
    if leaks := found["leak"]:
        learned, held_out = _sides_of_leaks(audit, groups)
        stand = f"picture of {learned} stands" if leaks == 1 else f"pictures of {learned} stand"
        copies = f"{copies}, {leaks:,} {stand} also in the {held_out} folder"
    sentences = [f"{counted(files, 'file', 'files')}, {_used(audit):,} used.", f"{copies}."]
    if conflicts := found["two labels"]:
        stand = counted(conflicts, "picture stands", "pictures stand")
        sentences.append(f"{stand} under two labels.")
    sentences.append(f"{counted(files - usable, 'file', 'files')} cannot be read.")
    return " ".join(sentences)


def _sides_of_leaks(audit: Audit, groups: dict[int, list[int]]) -> tuple[str, str]:
    """What leaking pictures were given for, and the splits that they leak into."""
    leaking, kept = set(), set()
    for places in groups.values():
        leaks = [p for p in places if any(f.kind == "leak" for f in audit.findings[p])]
        if leaks:
            leaking.update(audit.records[place].given_split for place in leaks)
            kept.update(audit.splits[place] for place in places)
    learned = " or ".join(name for split, name in _LEARNED.items() if split in leaking)
    return learned or "training", " or ".join(s for s in SPLITS if s in kept) or "held-out"


def _link(kind: str, files: int) -> Html:
    fate = "out" if kind in LEFT_OUT else "kept"
    return draw("kind", fate=fate, anchor=anchor_of(kind), heading=heading_of(kind), files=files)


def _cards(audit: Audit, found: dict[str, int], groups: dict[int, list[int]]) -> list[Html]:
    files, used = len(audit.records), _used(audit)
    copies = counted(sum(map(len, groups.values())), "file in it", "files in them")
    conflicts = sum(len({audit.records[p].label for p in own}) > 1 for own in groups.values())
    of_groups = f"in {counted(conflicts, 'group', 'groups')}" if conflicts else ""
    return [
        _card("files", files),
        _card("used", used, f"{percent(used, files)} of all" if files else ""),
        _card("left out", files - used, "in no split", alert=True),
        _card("groups of copies", len(groups), copies),
        _card("label conflicts", found["two labels"], of_groups, alert=True),
        _card("leaks", found["leak"], "also held out", alert=True),
    ]


def _card(name: str, figure: int, more: str = "", *, alert: bool = False) -> Html:
    look = "none" if not figure else "alert" if alert else ""
    return draw("card", look=look, name=name, figure=figure, more=more if figure else "")


def _used(audit: Audit) -> int:
    return len(audit.splits) - audit.splits.count(None)
