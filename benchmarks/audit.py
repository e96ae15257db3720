"""What the audit finds in a folder that was salted with bad files and copies.

    python benchmarks/audit.py FOLDER

FOLDER is of the article's kind: training_set and test_set with class folders of photographs. Some
of its pictures are copied into a new folder and salted: 60 bad files of 15 kinds, 40 exact copies,
40 near copies, 20 label conflicts, 20 training pictures repeated in the test folder. Then FOLDER as
it is. Expected: every bad file listed with its kind, 95 % or more of the copies grouped, no group
on two sides; groups on FOLDER are printed by name, to be looked at in the page that is named.
"""

from __future__ import annotations

import argparse
import io
import random
import shutil
import struct
import tempfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageEnhance
from pyarrow import parquet

from pawprint.stages.prepare import prepare

Painter = Callable[[Path, Image.Image], None]


def main() -> None:
    """Salt, prepare, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--keep", type=Path, help="folder for the audit pages")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    keep = (given.keep or Path(tempfile.mkdtemp(prefix="audit-"))).resolve()
    with tempfile.TemporaryDirectory() as name:
        salted = _salt(given.folder, Path(name) / "salted", random.Random(given.seed))
        _report_salted(salted, _prepare(Path(name) / "salted", Path(name), keep / "salted"))
        _report_real(_prepare(given.folder, Path(name), keep / "as_it_is"))
    print(f"\npages: {keep}")


def _prepare(folder: Path, place: Path, report: Path) -> list[dict]:
    out = place / f"{report.name}-prepared"
    prepare(
        folder,
        out,
        image_size=64,
        seed=0,
        validation_fraction=0.2,
        test_fraction=0.2,
        report=report,
    )
    return parquet.read_table(out / "manifest.parquet").to_pylist()


def _salt(source: Path, target: Path, rng: random.Random) -> dict[str, list[tuple]]:
    """Copy 2,000 training and 500 test pictures, and salt them; what was done, by kind."""
    used: dict[str, list[Path]] = {}
    for split, count in (("training_set", 1000), ("test_set", 250)):
        for folder in sorted((source / split).iterdir()):
            files = rng.sample(sorted(folder.iterdir()), count)
            inside = target / split / folder.name
            inside.mkdir(parents=True)
            used[f"{split}/{folder.name}"] = [Path(shutil.copy(f, inside)) for f in files]
    training = used["training_set/cats"] + used["training_set/dogs"]
    rng.shuffle(training)
    take = iter(training)
    done: dict[str, list[tuple]] = defaultdict(list)
    for kind, spoil in BAD.items():
        for number in range(4):
            original = next(take)
            path = original.with_name(f"bad {kind} {number}{SUFFIX.get(kind, '.jpg')}")
            with Image.open(original) as image:
                spoil(path, image.convert("RGB"))
            done["bad"].append((path, kind))
    for number in range(40):
        original = next(take)
        done["exact"].append(
            (original, shutil.copy(original, original.with_name(f"e{number}.jpg")))
        )
    for number in range(40):
        original, kind = next(take), list(NEAR)[number % len(NEAR)]
        path = original.with_name(f"n{number}.jpg")
        with Image.open(original) as image:
            NEAR[kind](image.convert("RGB")).save(path, quality=85)
        done[f"near: {kind}"].append((original, path))
    for number in range(20):
        original = next(take)
        other = "dogs" if original.parent.name == "cats" else "cats"
        path = original.parent.parent / other / f"c{number}.jpg"
        done["conflict"].append((original, shutil.copy(original, path)))
    for number in range(20):
        original = next(take)
        path = target / "test_set" / original.parent.name / f"t{number}.jpg"
        done["leak"].append((original, shutil.copy(original, path)))
    return done


def _report_salted(done: dict[str, list[tuple]], rows: list[dict]) -> None:
    by_path = {row["path"]: row for row in rows}

    def row_of(path: Path | str) -> dict:
        return by_path["/".join(Path(path).parts[-3:])]

    found = Counter()
    for path, kind in done["bad"]:
        said = row_of(path)["problem"] or "nothing"
        found[kind, EXPECTED[kind] in said] += 1
        if EXPECTED[kind] not in said:
            print(f"MISSED {path.name}: {said}")
    print("| bad file | listed with its kind |\n| --- | --- |")
    for kind in BAD:
        print(f"| {kind} | {found[kind, True]} of 4 |")
    print("\n| copies | grouped | |\n| --- | --- | --- |")
    together = 0
    copies = [kind for kind in done if kind != "bad"]
    for kind in copies:
        pairs = [(row_of(a), row_of(b)) for a, b in done[kind]]
        same = [a["group"] is not None and a["group"] == b["group"] for a, b in pairs]
        together += sum(same)
        note = ""
        if kind == "conflict":
            note = f"in no split: {sum(a['split'] is b['split'] is None for a, b in pairs)}"
        if kind == "leak":
            left = sum(a["split"] is None and b["split"] == "test" for a, b in pairs)
            note = f"out of training, still in test: {left}"
        print(f"| {kind} | {sum(same)} of {len(pairs)} | {note} |")
    number = sum(len(done[kind]) for kind in copies)
    print(f"\ngrouped: {together} of {number} ({together / number:.1%})")
    sides = defaultdict(set)
    for row in rows:
        if row["group"] is not None and row["split"]:
            sides[row["group"]].add(row["split"])
    print(f"groups on two sides: {sum(len(splits) > 1 for splits in sides.values())}")


def _report_real(rows: list[dict]) -> None:
    groups = defaultdict(list)
    for row in rows:
        if row["group"] is not None:
            groups[row["group"]].append(row)
    print(f"\nas it is: {len(rows):,} files, {len(groups)} groups of copies")
    for members in groups.values():
        exact = len({row["sha256"] for row in members}) == 1
        print(f"- {'exact' if exact else 'near'}: " + ", ".join(row["path"] for row in members))
    others = [row for row in rows if row["problem"] and row["group"] is None]
    for row in others:
        print(f"- {row['path']} {row['problem']}")


# Bad files


def _content(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _write(content: bytes) -> Painter:
    return lambda path, _: path.write_bytes(content)


def _cut(kind: str, part: float) -> Painter:
    def paint(path: Path, image: Image.Image) -> None:
        content = _content(image, kind)
        path.write_bytes(content[: int(part * len(content))])

    return paint


def _save(make: Callable[[Image.Image], Image.Image], kind: str = "JPEG") -> Painter:
    return lambda path, image: path.write_bytes(_content(make(image), kind))


def _damaged(path: Path, image: Image.Image) -> None:
    content = bytearray(_content(image, "PNG"))
    content[content.index(b"IDAT") + 6] ^= 0xFF
    path.write_bytes(content)


def _bomb(path: Path, _: Image.Image) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b""))


def _broken_link(path: Path, _: Image.Image) -> None:
    path.symlink_to("nowhere.jpg")


BAD: dict[str, Painter] = {
    "empty": _write(b""),
    "text": _write(b"a note about these pictures\n" * 20),
    "html": _write(b"<!DOCTYPE html><html><body>404 Not Found</body></html>"),
    "zeros": _write(bytes(5000)),
    "noise": _write(random.Random(1).randbytes(5000)),
    "cut JPEG": _cut("JPEG", 0.6),
    "cut PNG": _cut("PNG", 0.5),
    "damaged PNG": _damaged,
    "bomb": _bomb,
    "HEIC": _write(b"\0\0\0\x18ftypheic" + bytes(200)),
    "broken link": _broken_link,
    "white": _save(lambda image: Image.new("RGB", image.size, "white")),
    "black": _save(lambda image: Image.new("RGB", image.size, "black"), "PNG"),
    "tiny": _save(lambda image: image.resize((5, 4))),
    "banner": _save(lambda image: image.resize((900, 40))),
}
SUFFIX = {"cut PNG": ".png", "damaged PNG": ".png", "bomb": ".png", "black": ".png"}
EXPECTED = {
    "empty": "is empty",
    "text": "not a picture",
    "html": "not a picture",
    "zeros": "not a picture",
    "noise": "not a picture",
    "cut JPEG": "truncated",
    "cut PNG": "truncated",
    "damaged PNG": "cannot be read",
    "bomb": "decompression bomb",
    "HEIC": "cannot be read",
    "broken link": "cannot be read",
    "white": "blank",
    "black": "blank",
    "tiny": "tiny",
    "banner": "extreme aspect",
}


def _crop(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = image.size
    return image.crop(
        (int(left * width), int(top * height), int((1 - right) * width), int((1 - bottom) * height))
    )


NEAR: dict[str, Callable[[Image.Image], Image.Image]] = {
    "re-encoded": lambda image: Image.open(io.BytesIO(_content(image, quality=35))),
    "halved": lambda image: image.resize((image.width // 2, image.height // 2)),
    "enlarged": lambda image: image.resize((image.width * 2, image.height * 2)),
    "cropped 2 % a side": lambda image: _crop(image, 0.02, 0.02, 0.02, 0.02),
    "cropped 5 % a side": lambda image: _crop(image, 0.05, 0.05, 0.05, 0.05),
    "5 % cut off below": lambda image: _crop(image, 0, 0, 0, 0.05),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.7),
}


if __name__ == "__main__":
    main()
