"""What is known of each file, and what is wrong with it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pawprint.data.sources.address import escaped
from pawprint.system.errors import UserError

# The kinds of problem, the gravest first. Files with one of LEFT_OUT are in no split; the others
# are pictures that a person should look at.
UNUSABLE = ("unreadable", "truncated", "not a picture", "decompression bomb")
LEFT_OUT = (*UNUSABLE, "two labels", "leak")
DAMAGED = "damaged"
KINDS = (*LEFT_OUT, DAMAGED, "duplicate", "near-duplicate", "blank", "tiny", "extreme aspect")

_RANK = {None: 0, "train": 0, "validation": 1, "test": 2}  # who keeps a picture of two splits
_NAMED = 3  # how many refused files, or pairs of them, a sentence names
_MANY = 2  # files that are in two folders as the same, so that the folders are


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with a file."""

    kind: str  # one of ``KINDS``
    text: str  # to stand after the file's name: "is truncated", "duplicate of cats/1.jpg"


@dataclass(slots=True)
class FileRecord:
    """What one file is; the fields after ``findings`` are None where it cannot be used."""

    path: str  # relative to the images, with forward slashes
    label: str
    given_split: str | None  # whose folder it came in
    sha256: str | None = None  # of the content, in hex; None where the file cannot be opened
    bytes: int | None = None  # None where the file cannot be opened
    findings: tuple[Finding, ...] = ()  # what is wrong with the file by itself
    format: str | None = None  # as "JPEG"
    mode: str | None = None  # pixel format in the file, as "RGB"
    width: int | None = None  # in pixels, before any turning
    height: int | None = None  # the same
    orientation: int | None = None  # by EXIF, 1 (upright) to 8
    frames: int | None = None  # 1, or more for an animation
    perceptual_hash: str | None = None  # 64 bits in hex, close for pictures that look the same

    @property
    def usable(self) -> bool:
        """Whether it can be decoded as a picture."""
        return not any(finding.kind in UNUSABLE for finding in self.findings)


@dataclass(slots=True)
class Audit:
    """Every file with what was found; the lists go together, in the order of the paths."""

    records: list[FileRecord]
    findings: list[tuple[Finding, ...]] = field(default_factory=list)  # the gravest first
    groups: list[int | None] = field(default_factory=list)  # of copies, by number from 0
    splits: list[str | None] = field(default_factory=list)  # None where it is left out

    def counts(self) -> dict[str, int]:
        """How many files have each kind of problem; every kind is there."""
        found = Counter(finding.kind for own in self.findings for finding in own)
        return {kind: found[kind] for kind in KINDS}

    def figures(self) -> dict[str, int]:
        """The few that a person compares: files that cannot be used, and others in no split."""
        kinds = [own[0].kind for own in self.findings if own]  # gravest first
        return {
            "refused": sum(kind in UNUSABLE for kind in kinds),
            "left_out": sum(kind in LEFT_OUT and kind not in UNUSABLE for kind in kinds),
        }

    def problem(self, row: int) -> str | None:
        """All that is wrong with a file, in words, or None."""
        found = self.findings[row]
        return "; ".join(finding.text for finding in found) if found else None

    @property
    def left_out(self) -> list[bool]:
        """Whether each file may be in no split."""
        return [bool(own) and own[0].kind in LEFT_OUT for own in self.findings]  # gravest first


def audit_files(records: list[FileRecord], groups: Sequence[int], equals: Sequence[int]) -> Audit:
    """Judge what copies mean: two labels, leaks into held-out pictures, or just more of the same.

    Args:
        records: the files, in the order of their paths.
        groups: for each the number of its group of copies, or -1.
        equals: for each the index of the first file with the same content, or -1 if it is the
            first or the only one.
    """
    found = {row: list(record.findings) for row, record in enumerate(records) if record.findings}
    members: dict[int, list[int]] = {}
    for row, group in enumerate(groups):
        if group >= 0:
            members.setdefault(int(group), []).append(row)
    for rows in members.values():
        for row, finding in _of_group(rows, records, equals):
            found.setdefault(row, []).append(finding)
    for own in found.values():
        own.sort(key=lambda finding: KINDS.index(finding.kind))
    return Audit(  # without splits
        records,
        findings=[tuple(found.get(row, ())) for row in range(len(records))],
        groups=[None if group < 0 else int(group) for group in groups],
    )


def _of_group(
    rows: list[int], records: list[FileRecord], equals: Sequence[int]
) -> Iterator[tuple[int, Finding]]:
    """What each file of a group of copies is: ``rows`` in the order of their paths."""
    if len({records[row].label for row in rows}) > 1:
        for row in rows:
            other = next(r for r in rows if records[r].label != records[row].label)
            text = f"is the same picture under two labels: also {records[other].path}"
            yield row, Finding("two labels", text)
        return
    held_out = [_RANK[records[row].given_split] for row in rows]
    keeps = max(held_out)
    kept = {row for row, rank in zip(rows, held_out, strict=True) if rank == keeps}
    first_row = min(kept)
    first = records[first_row]
    original: dict[int, int] = {}  # by content, the first that is kept
    for row in rows:
        content = row if equals[row] < 0 else equals[row]
        if row not in kept:
            text = f"leaks into {first.given_split}: the same picture as {first.path}"
            yield row, Finding("leak", text)
        elif original.setdefault(content, row) != row:
            text = f"is a duplicate of {records[original[content]].path}"
            yield row, Finding("duplicate", text)
        elif row != first_row:
            yield row, Finding("near-duplicate", f"is a near-duplicate of {first.path}")


def refuse_unusable(
    records: list[FileRecord], images: Path | str, *, max_refused_fraction: float
) -> None:
    """Stop where so much cannot be read that the rest is not what the person meant.

    Raises:
        UserError: a class folder, of any split, has no readable picture; or more than
            ``max_refused_fraction`` (0 to 1) of all files are refused.
    """
    folders: dict[tuple[str, str], list[FileRecord]] = {}
    for record in records:
        folders.setdefault((record.given_split or "", record.label), []).append(record)
    for (split, label), inside in sorted(folders.items()):
        if not any(record.usable for record in inside):
            where = f" of the {split} split" if split else ""
            raise UserError(
                f'the class "{label}"{where} in "{images}" has no readable pictures '
                f"({_first(inside)}): put pictures into its folder, or take it away"
            )
    refused = [record for record in records if not record.usable]
    if len(refused) > max_refused_fraction * len(records):
        raise UserError(
            f'{len(refused)} of {len(records)} files in "{images}" cannot be read '
            f"({_first(refused)}), more than max_refused_fraction: {max_refused_fraction:g} "
            "allows: mend or remove them, or raise max_refused_fraction"
        )


def refuse_left_out(audit: Audit, images: Path | str, *, max_refused_fraction: float) -> None:
    """Stop where so much would be in no split that the rest is not what the person meant.

    Raises:
        UserError: it is more than ``max_refused_fraction`` (0 to 1) of all files.
    """
    why = Counter(own[0].kind for own in audit.findings if own and own[0].kind in LEFT_OUT)
    if why.total() <= max_refused_fraction * len(audit.records):
        return
    kinds = ", ".join(f"{count} {kind}" for kind, count in why.most_common())
    what, cure = conflicts(audit)
    raise UserError(
        f'{why.total()} of {len(audit.records)} files in "{images}" would be left out ({kinds}), '
        f"more than max_refused_fraction: {max_refused_fraction:g} allows"
        f"{f'; {what}' if what else ''}: {cure or 'take them away'}, or raise max_refused_fraction"
    )


def conflicts(audit: Audit) -> tuple[str, str]:
    """What is under two labels, and what to do about it; both empty where nothing is."""
    groups: dict[int, list[FileRecord]] = {}
    for record, own, group in zip(audit.records, audit.findings, audit.groups, strict=True):
        if group is not None and own and own[0].kind == "two labels":
            groups.setdefault(group, []).append(record)
    if not groups:
        return "", ""
    first_pairs, only_alike = [], False
    repeated: Counter[tuple[str, str]] = Counter()  # folders that hold the same file
    for records in groups.values():
        first = records[0]
        other = next(record for record in records if record.label != first.label)
        first_pairs.append(f'"{escaped(first.path)}" and "{escaped(other.path)}"')
        contents: dict[str | None, FileRecord] = {}
        equal = [(contents.setdefault(record.sha256, record), record) for record in records]
        unlike = [(a.path, b.path) for a, b in equal if a.label != b.label]
        only_alike = only_alike or not unlike
        repeated.update(_apart(*paths) for paths in unlike)
    more = "; …" if len(first_pairs) > _NAMED else ""
    count = sum(map(len, groups.values()))
    what = f"{count} pictures are under two labels: {'; '.join(first_pairs[:_NAMED])}{more}"
    (outer, inner), files = max(repeated.items(), key=lambda item: item[1], default=(("", ""), 0))
    if files < _MANY:
        cure = "keep each in the folder of its class only"
    elif not outer or inner.startswith(f"{outer}/"):
        cure = f'take away "{escaped(inner)}", a folder or link with {files} files that are twice'
    else:
        same = f'"{escaped(outer)}" and "{escaped(inner)}"'
        cure = f"take away one of {same}, folders or links with the same {files} files"
    if only_alike:
        cure += ", or set near_duplicates to false if pictures of two classes look alike"
    return what, cure


def _apart(one: str, other: str) -> tuple[str, str]:
    """What paths begin with before they are the same, the shorter first."""
    a, b = one.split("/"), other.split("/")
    while a and b and a[-1] == b[-1]:
        a.pop()
        b.pop()
    a, b = sorted((a, b), key=len)
    return "/".join(a), "/".join(b)


def _first(refused: list[FileRecord]) -> str:
    named = [f"{escaped(file.path)} {file.findings[0].text}" for file in refused[:_NAMED]]
    return "; ".join([*named, "…"] if len(refused) > _NAMED else named)
