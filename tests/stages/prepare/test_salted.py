"""A folder as people have it: pictures, bad files of many kinds, copies, leaks, other labels."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PIL import Image, ImageEnhance
from pyarrow import parquet

from pawprint.data.audit import UNUSABLE
from pawprint.stages.prepare import prepare

SIZE = (160, 120)
TRAIN, TEST = 150, 40  # pictures of each class


def cut(part):
    def spoil(path, image):
        image.save(path)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * part)])

    return spoil


def wrote(content):
    return lambda path, _: path.write_bytes(content)


def painted(change):
    return lambda path, image: change(image).save(path)


def zeroed(path, image):
    """A tenth of the content becomes zeros, as on a failing disk."""
    image.save(path)
    content = path.read_bytes()
    start, length = len(content) * 6 // 10, len(content) // 10
    path.write_bytes(content[:start] + bytes(length) + content[start + length :])


def png_of_claimed_size(width, height=None):
    def chunk(name, data):
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height or width, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


HTML = b"<!DOCTYPE html><html><head><title>404 Not Found</title></head></html>"
HEIC = b"\0\0\0\x18ftypheic" + bytes(3000)
# By file name: how to make it of a sound picture, and the kind it is to be found as.
BAD = {
    "empty.jpg": (wrote(b""), "unreadable"),
    "text.jpg": (wrote(b"This is a note about a cat."), "not a picture"),
    "page.jpg": (wrote(HTML), "not a picture"),
    "cut.jpg": (cut(0.5), "truncated"),
    "cut late.jpg": (cut(0.95), "truncated"),
    "cut.png": (cut(0.5), "truncated"),
    "zeros.jpg": (wrote(bytes(5000)), "not a picture"),
    "noise.jpg": (wrote(hashlib.shake_128(b"noise").digest(5000)), "not a picture"),
    "header.jpg": (cut(0.02), "truncated"),
    "bomb.png": (wrote(png_of_claimed_size(30_000)), "decompression bomb"),
    "large bomb.png": (wrote(png_of_claimed_size(60_000)), "decompression bomb"),
    "thin bomb.png": (wrote(png_of_claimed_size(1, 50_000_000)), "decompression bomb"),
    "phone.heic": (wrote(HEIC), "unreadable"),
    "gone.jpg": (lambda path, _: path.symlink_to("/nowhere/at/all.jpg"), "unreadable"),
    "zeroed.jpg": (zeroed, "damaged"),
    "white.jpg": (painted(lambda i: Image.new("RGB", i.size, "white")), "blank"),
    "black.jpg": (painted(lambda i: Image.new("RGB", i.size)), "blank"),
    "tiny.png": (painted(lambda i: i.resize((3, 3))), "tiny"),
    "banner.jpg": (painted(lambda i: i.resize((1000, 20))), "extreme aspect"),
}
SEEN = {"damaged", "blank", "tiny", "extreme aspect"}  # pictures all the same

NEAR = {
    "re-encoded": lambda image, path: image.save(path, quality=40),
    "converted": lambda image, path: image.save(path.with_suffix(".png")),
    "halved": lambda image, path: image.resize((80, 60)).save(path),
    "enlarged": lambda image, path: image.resize((250, 190)).save(path),
    "cropped": lambda image, path: image.crop((5, 3, 154, 116)).save(path),
    "brightened": lambda image, path: ImageEnhance.Brightness(image).enhance(1.15).save(path),
    "grey": lambda image, path: image.convert("L").save(path),
}


@dataclass
class Salted:
    """The folder, what was put into it, and what came out."""

    root: Path
    base: Path
    bad: dict[str, str] = field(default_factory=dict)
    copies: list[tuple[str, str]] = field(default_factory=list)
    conflicts: list[tuple[str, str]] = field(default_factory=list)
    leaks: list[tuple[str, str]] = field(default_factory=list)
    before: dict[str, tuple] = field(default_factory=dict)
    rows: dict[str, dict] = field(default_factory=dict)

    def copy_of(self, path: str, new: str, change=None) -> tuple[str, str]:
        """Make ``new`` a copy of a picture, changed or not."""
        target = self.root / new
        if change is None:
            shutil.copy(self.root / path, target)
            return path, new
        with Image.open(self.root / path) as image:
            change(image, target)
        if not target.exists():
            target = target.with_suffix(".png")
        return path, target.relative_to(self.root).as_posix()


def listing(root):
    """All that there is to see of a folder."""
    seen = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        if path.is_symlink():
            content = str(path.readlink())
        else:
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        facts = (status.st_mode, status.st_ino, status.st_size, status.st_mtime_ns)
        seen[str(path.relative_to(root))] = (*facts, status.st_ctime_ns, content)
    return seen


@pytest.fixture(scope="module")
def salted(tmp_path_factory, paint_textures, texture):
    base = tmp_path_factory.mktemp("salted")
    root = base / "pictures"
    for seed, (split, count) in enumerate({"train": TRAIN, "test": TEST}.items()):
        paint_textures(root / split, {"cats": count, "dogs": count}, size=SIZE, seed=seed)
    made = Salted(root, base)
    for place, (name, (spoil, kind)) in enumerate(BAD.items()):
        spoil(root / "train" / "cats" / name, texture((9, place), SIZE))
        made.bad[f"train/cats/{name}"] = kind
    (root / "train" / "dogs" / "folder.jpg").mkdir()
    number = iter(range(TRAIN))  # each original is used once
    for turn in range(3):
        for label in ("cats", "dogs"):
            for name, change in {"exact": None, **NEAR}.items():
                original = f"train/{label}/{next(number):03}.jpg"
                copy = f"train/{label}/{name} {turn}.jpg"
                made.copies.append(made.copy_of(original, copy, change))
    for name, change in {"exact": None, **NEAR}.items():
        original = f"train/cats/{next(number):03}.jpg"
        made.conflicts.append(made.copy_of(original, f"train/dogs/conflict {name}.jpg", change))
    for label in ("cats", "dogs"):
        for name, change in {"exact": None, **NEAR}.items():
            original = f"train/{label}/{next(number):03}.jpg"
            copy = f"test/{label}/leak {name}.jpg"
            made.leaks.append(made.copy_of(original, copy, change))
    made.before = listing(root)
    prepare(
        root,
        base / "data" / "prepared",
        image_size=32,
        seed=0,
        validation_fraction=0.2,
        test_fraction=0.2,
        report=base / "report",
    )
    manifest = parquet.read_table(base / "data" / "prepared" / "manifest.parquet")
    made.rows = {row["path"]: row for row in manifest.to_pylist()}
    return made


def test_every_file_has_its_row(salted):
    assert len(BAD) >= 15
    files = {path for path in salted.before if not (salted.root / path).is_dir()}
    assert set(salted.rows) == files


@pytest.mark.parametrize("name", BAD)
def test_every_bad_file_is_listed_with_its_kind(salted, name):
    row = salted.rows[f"train/cats/{name}"]
    kind = BAD[name][1]
    assert row["problem_kind"] == kind
    assert row["problem"].startswith(("is ", "has ", "cannot be read: "))
    assert (row["split"] in ("train", "validation")) == (kind in SEEN)
    assert (row["row"] is not None) == (kind in SEEN)


def test_sound_pictures_without_a_copy_have_no_problem(salted):
    touched = {path for pair in salted.copies + salted.conflicts + salted.leaks for path in pair}
    for path, row in salted.rows.items():
        if path not in touched and path not in salted.bad:
            assert (row["problem"], row["group"]) == (None, None), path
            assert row["split"]


def together(salted, pairs):
    rows = salted.rows
    return sum(
        rows[a]["group"] is not None and rows[a]["group"] == rows[b]["group"] for a, b in pairs
    )


@pytest.mark.parametrize("kind", ["copies", "conflicts", "leaks"])
def test_copies_are_in_one_group(salted, kind):
    pairs = getattr(salted, kind)
    assert together(salted, pairs) >= 0.95 * len(pairs)


def test_exact_copies_are_all_in_one_group_and_say_of_what(salted):
    for original, copy in salted.copies:
        if "/exact" in copy:
            assert salted.rows[copy]["problem"] == f"is a duplicate of {original}"
            assert salted.rows[original]["problem"] is None


def test_no_group_is_on_two_sides(salted):
    sides = {}
    for row in salted.rows.values():
        if row["group"] is not None and row["split"]:
            sides.setdefault(row["group"], set()).add(row["split"])
    assert len(sides) > 50
    assert all(len(splits) == 1 for splits in sides.values())


def test_pictures_under_two_labels_are_in_no_split(salted):
    out = [
        salted.rows[path]["split"] is None and salted.rows[path]["problem_kind"] == "two labels"
        for pair in salted.conflicts
        for path in pair
    ]
    assert sum(out) >= 0.95 * len(out)
    _, exact = salted.conflicts[0]
    words = "is the same picture under two labels: also train/cats/"
    assert salted.rows[exact]["problem"].startswith(words)


def test_what_leaks_into_the_test_pictures_is_out_of_training_and_they_stay(salted):
    kept = [salted.rows[test]["split"] == "test" for _, test in salted.leaks]
    assert all(kept)
    out = [
        salted.rows[train]["split"] is None and salted.rows[train]["problem_kind"] == "leak"
        for train, _ in salted.leaks
    ]
    assert sum(out) >= 0.95 * len(out)
    train, test = salted.leaks[0]
    problem = f"leaks into test: the same picture as {test}"
    assert salted.rows[train]["problem"] == problem


def test_all_test_pictures_stay_for_testing(salted):
    splits = [row["split"] for path, row in salted.rows.items() if path.startswith("test/")]
    assert splits == ["test"] * (2 * TEST + len(salted.leaks))


def test_figures_and_summary_count_what_was_found(salted):
    figures = json.loads((salted.base / "report" / "metrics.json").read_text())
    summary = json.loads((salted.base / "data" / "prepared" / "summary.json").read_text())
    kinds = [row["problem_kind"] for row in salted.rows.values()]
    for kind in ("truncated", "not a picture", "unreadable", "leak", "two labels", "duplicate"):
        assert summary["found"][kind] == kinds.count(kind)
    out = sum(row["split"] is None for row in salted.rows.values())
    unusable = sum(kind in UNUSABLE for kind in kinds)
    assert figures == {"refused": unusable, "left_out": out - unusable}
    refused = {refused["path"] for refused in summary["refused"]}
    assert refused == {path for path, row in salted.rows.items() if row["split"] is None}


def test_nothing_in_the_users_folder_was_changed(salted):
    assert listing(salted.root) == salted.before
