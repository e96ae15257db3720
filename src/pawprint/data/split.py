"""Which picture is for training, which for validation, which for testing."""

import hashlib
from collections import Counter, defaultdict
from pathlib import Path

from pawprint.data.audit import Audit, FileRecord, conflicts
from pawprint.system.errors import UserError

SPLITS = ("train", "validation", "test")


def assign_splits(
    audit: Audit, images: Path | str, *, seed: int, validation: float, test: float
) -> list[str | None]:
    """Give every picture its split, each class in the same proportions, copies together.

    Pictures that came in a validation or test folder keep that split; what was not given is held
    out of the others. Within a class, groups of copies stand in an order drawn from the seed and
    their content, so that one more picture hardly moves the others; test is taken from the front
    of it, validation from the back. A group that is larger than what is still wanted stays for
    training.

    Args:
        audit: the files with their groups; those that are to be left out get no split.
        images: where they came from, named in an error.
        seed: another seed draws another order.
        validation: part of the pictures to hold out, above 0 and below 1; of the
            training folder's pictures where splits were given. Rounded, at least one a class.
        test: the same for the test split.

    Returns:
        "train", "validation", "test" or None, by file.

    Raises:
        UserError: a class has fewer different pictures than there are splits to fill.
    """
    given = {record.given_split for record in audit.records}
    to_fill = [split for split in SPLITS if split == "train" or split not in given]
    splits: dict[int, str] = {}
    groups: dict[str, dict[tuple[str, int], list[int]]] = defaultdict(lambda: defaultdict(list))
    for row, (record, out) in enumerate(zip(audit.records, audit.left_out, strict=True)):
        if record.given_split in ("validation", "test"):
            if not out:
                splits[row] = record.given_split
            continue
        of_label, group = groups[record.label], audit.groups[row]  # also a label that stays empty
        if not out:
            of_label[("alone", row) if group is None else ("group", group)].append(row)

    fractions = {"test": test, "validation": validation}
    for label, of_label in sorted(groups.items()):
        if len(of_label) < len(to_fill):
            raise _too_few(audit, label, len(of_label), to_fill, images)
        ordered = sorted(of_label.values(), key=lambda rows: _drawn(seed, rows, audit.records))
        _hold_out(ordered, {split: fractions[split] for split in to_fill[1:]}, splits)
    result = [splits.get(row) for row in range(len(audit.records))]
    for split in SPLITS:
        if split not in result:
            raise UserError(
                f'of the {split} split of "{images}" no picture is left'
                f"{_left_out(audit, split=split)}: give it pictures of its own, or take its "
                "folder away"
            )
    return result


def _hold_out(
    ordered: list[list[int]], fractions: dict[str, float], splits: dict[int, str]
) -> None:
    """Split the groups of one class: test from the front, validation from the back."""
    pictures = sum(len(rows) for rows in ordered)
    for split in ("test", "validation"):
        if split in fractions:
            wanted = max(1, int(fractions[split] * pictures + 0.5))
            keep = 2 if split == "test" and "validation" in fractions else 1
            for rows in _take(ordered, wanted, keep):
                splits.update(dict.fromkeys(rows, split))
        ordered.reverse()
    splits.update((row, "train") for rows in ordered for row in rows)


def _take(ordered: list[list[int]], wanted: int, keep: int) -> list[list[int]]:
    """Take groups out of ``ordered``, from the front: as many as fit, but ``keep`` are left."""
    taken: list[list[int]] = []
    for group in ordered:
        if len(group) <= wanted and len(ordered) - len(taken) > keep:
            taken.append(group)
            wanted -= len(group)
    taken = taken or [min(ordered, key=len)]  # each is larger than what is wanted
    rows = {group[0] for group in taken}
    ordered[:] = [group for group in ordered if group[0] not in rows]
    return taken


def _drawn(seed: int, rows: list[int], records: list[FileRecord]) -> tuple[bytes, str]:
    """A place in the order for a group: it depends on the seed and on its content."""
    first = min((records[row].sha256 or "", records[row].path) for row in rows)
    return hashlib.sha256(f"{seed} {first[0]}".encode()).digest(), first[1]


def _left_out(audit: Audit, *, label: str | None = None, split: str | None = None) -> str:
    """How many files of a class or a given split are left out, and why, in words."""
    why = Counter(
        own[0].kind
        for own, record, out in zip(audit.findings, audit.records, audit.left_out, strict=True)
        if out and label in (None, record.label) and split in (None, record.given_split)
    )
    told = ", ".join(f"{count} {kind}" for kind, count in why.items())
    return f"; left out: {told}" if told else ""


def _too_few(
    audit: Audit, label: str, pictures: int, to_fill: list[str], images: Path | str
) -> UserError:
    some = "1 usable picture" if pictures == 1 else f"{pictures} different usable pictures"
    needed = " and ".join(f"one for {split}" for split in to_fill)
    left_out = _left_out(audit, label=label)
    cure = "take its folder away"
    if "two labels" in left_out:
        _, cure = conflicts(audit)
    used = [r for r, out in zip(audit.records, audit.left_out, strict=True) if not out]
    files = {record.sha256 for record in used if record.label == label}
    if len(files) > pictures:
        some += f" among {len(files)} files, of which some look the same,"
        cure = "set near_duplicates: false if they are different pictures"
    return UserError(
        f'the class "{label}" in "{images}" has {some} but needs at least {len(to_fill)} '
        f"({needed}{left_out}): add pictures to it, or {cure}"
    )
