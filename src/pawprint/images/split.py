"""Which picture is for training, which for validation, which for testing."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from pawprint.errors import UserError
from pawprint.images.audit import FileRecord

SPLITS = ("train", "validation", "test")


def assign_splits(
    records: Iterable[FileRecord],
    images: Path,
    *,
    seed: int,
    validation_fraction: float,
    test_fraction: float,
) -> dict[str, str]:
    """Give every readable picture its split, each class in the same proportions.

    Pictures that came in a validation or test folder keep that split; what was not given is held
    out of the others. Within a class, pictures stand in an order drawn from the seed and their
    content, so that one more picture hardly moves the others; test is taken from the front of
    it, validation from the back.

    Args:
        records: The files read; those with a problem are passed over.
        images: Where they came from, named in an error.
        seed: Another seed draws another order.
        validation_fraction: Part of the pictures to hold out, above 0 and below 1; of the
            training folder's pictures where splits were given. Rounded, at least one a class.
        test_fraction: The same for the test split.

    Returns:
        "train", "validation" or "test" by path.

    Raises:
        UserError: A class has fewer readable pictures than there are splits to fill.
    """
    readable = [record for record in records if record.problem is None]
    given = {record.given_split for record in readable}
    splits = {r.path: r.given_split for r in readable if r.given_split in ("validation", "test")}
    pools = defaultdict(list)
    for record in readable:
        if record.path not in splits:
            pools[record.label].append(record)

    for label, pool in sorted(pools.items()):
        to_fill = [split for split in SPLITS if split == "train" or split not in given]
        if len(pool) < len(to_fill):
            raise _too_few(label, len(pool), to_fill, images)
        ordered = [r.path for r in sorted(pool, key=lambda r: (_drawn(seed, r), r.path))]
        test = _held_out(test_fraction, len(pool), "test" in to_fill, keep=len(to_fill) - 1)
        keep = test + 1
        validation = _held_out(validation_fraction, len(pool), "validation" in to_fill, keep=keep)
        middle = len(pool) - validation
        splits |= dict.fromkeys(ordered[:test], "test")
        splits |= dict.fromkeys(ordered[test:middle], "train")
        splits |= dict.fromkeys(ordered[middle:], "validation")
    return splits


def _held_out(fraction: float, pictures: int, wanted: bool, keep: int) -> int:
    """How many pictures to hold out: at least one, and ``keep`` are left for the others."""
    if not wanted:
        return 0
    return min(max(1, int(fraction * pictures + 0.5)), pictures - keep)


def _drawn(seed: int, record: FileRecord) -> bytes:
    return hashlib.sha256(f"{seed} {record.sha256}".encode()).digest()


def _too_few(label: str, pictures: int, to_fill: list[str], images: Path) -> UserError:
    some = "1 readable picture" if pictures == 1 else f"{pictures} readable pictures"
    needed = " and ".join(f"one for {split}" for split in to_fill)
    return UserError(
        f'The class "{label}" in "{images}" has {some} but needs at least {len(to_fill)} '
        f"({needed}): add pictures to it, or take its folder away."
    )
