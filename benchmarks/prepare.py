"""How fast pictures are prepared, beside a plain Pillow loop and Keras's own reader.

    python benchmarks/prepare.py FOLDER --keras
    python benchmarks/prepare.py FOLDER --against OTHER/src

FOLDER is of class folders, or split. It is copied first, so that pictures can be added. Each figure
is the median over rounds; in a round everything runs once, in processes of their own, one after the
other. "work" is without the start of Python and its imports; ours is all of prepare: reading,
hashes, copies, splits, manifest, audit page. The Pillow loop resizes with Pillow's default filter;
ours is as the bilinear one. "killed, then again" is the run after one that was killed when half of
the time of a first one had passed. With --against the code in another folder runs in turn with this
one, and both must write the same pixels and the same manifest. Expected for 10,000
JPEG of 200×200 on 2 cores: 2.3 to 2.6 times as fast as the Pillow loop, 1.7 times the bilinear one;
a second time with one picture more takes an eighth of the first.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from PIL import Image

SIZE = 64
ADDED = 100


def main() -> None:
    """Run the rounds and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keras", action="store_true", help="read once through Keras as well")
    parser.add_argument("--against", type=Path, help="another folder with pawprint in it")
    given = parser.parse_args()
    results: dict[str, list[dict]] = defaultdict(list)
    with tempfile.TemporaryDirectory(dir=".") as name:
        place = Path(name).resolve()
        pictures = place / "pictures"
        shutil.copytree(given.folder, pictures)
        files = _files(pictures)
        few = _some_of(files, pictures, place / "few", len(files) // 5)
        for turn in range(given.rounds):
            if given.against:
                _compare(results, pictures, place, given.against.resolve())
                continue
            shutil.rmtree(place / "out", ignore_errors=True)
            results["Pillow loop"].append(_run("pillow", pictures))
            results["Pillow loop, bilinear"].append(_run("bilinear", pictures))
            results["first time"].append(_run("ours", pictures, place / "out"))
            results["again, nothing new"].append(_run("ours", pictures, place / "out"))
            _add(files[: 1 + ADDED], f"new-{turn}-", 1)
            time.sleep(0.2)  # else it is too new to be trusted by its time
            results["again, 1 picture more"].append(_run("ours", pictures, place / "out"))
            _add(files[: 1 + ADDED], f"new-{turn}-", ADDED)
            time.sleep(0.2)
            results[f"again, {ADDED} pictures more"].append(_run("ours", pictures, place / "out"))
            for new in pictures.rglob(f"new-{turn}-*"):
                new.unlink()
            shutil.rmtree(place / "few-out", ignore_errors=True)
            results[f"first time, {len(files) // 5:,} pictures"].append(
                _run("ours", few, place / "few-out")
            )
            if given.keras:
                results["Keras, read once"].append(_run("keras", pictures))
    _print(results, len(files))


def _compare(results: dict[str, list[dict]], pictures: Path, place: Path, other: Path) -> None:
    """Run this code and the other in turn: a first time, again, and after a kill."""
    written = []
    for name, source in (("this", None), ("other", other)):
        out = place / f"out-{name}"
        shutil.rmtree(out, ignore_errors=True)
        first = _run("ours", pictures, out, source=source)
        results[f"first time, {name}"].append(first)
        results[f"again, nothing new, {name}"].append(_run("ours", pictures, out, source=source))
        written.append(_written(out))
        shutil.rmtree(out)
        _run("ours", pictures, out, source=source, kill_after=first["whole"] / 2)
        results[f"killed, then again, {name}"].append(_run("ours", pictures, out, source=source))
        written.append(_written(out))
    if any(content != written[0] for content in written):
        sys.exit("not all runs wrote the same")


def _written(out: Path) -> dict[str, str]:
    """Digests of the pixels and the manifest; the summary names the code that made them."""
    files = [file for file in sorted((out / "prepared").iterdir()) if file.suffix != ".json"]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _print(results: dict[str, list[dict]], pictures: int) -> None:
    medians = {
        name: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        for name, runs in results.items()
    }
    print(f"{pictures:,} pictures, {os.cpu_count()} cores")
    print("| what | work, s | whole process, s | decoded | peak memory, MB |")
    print("| --- | --- | --- | --- | --- |")
    for name, figures in medians.items():
        print(
            f"| {name} | {figures['work']:.2f} | {figures['whole']:.2f} | "
            f"{figures['decoded']:.0f} | {figures['memory']:.0f} |"
        )
    for name, other, key in (
        ("Pillow loop", "first time", "work"),
        ("Pillow loop, bilinear", "first time", "work"),
        ("Pillow loop", "first time", "whole"),
        ("again, 1 picture more", "first time", "work"),
        ("again, 1 picture more", "first time", "whole"),
        ("first time", f"first time, {pictures // 5:,} pictures", "memory"),
        ("first time, this", "first time, other", "work"),
        ("again, nothing new, this", "again, nothing new, other", "work"),
        ("killed, then again, this", "killed, then again, other", "work"),
    ):
        if name not in results:
            continue
        pairs = [a[key] / b[key] for a, b in zip(results[name], results[other], strict=True)]
        low, middle, high = min(pairs), statistics.median(pairs), max(pairs)
        print(f"{key}: {name} ÷ {other}: {middle:.3f} ({low:.3f} to {high:.3f})")


def _run(
    what: str, *arguments: Path, source: Path | None = None, kill_after: float | None = None
) -> dict[str, float]:
    """Run one thing in a process of its own; its figures, and those of the process.

    Args:
        what: its name.
        arguments: what it is given.
        source: the folder with the code that runs. Defaults to what this Python finds.
        kill_after: seconds after which it is killed; there are no figures then.
    """
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as told:
        begin = time.monotonic()
        command = [sys.executable, __file__, "--one", what, told.name, *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": str(source)} if source else None
        child = subprocess.Popen(command, env=environment)
        if kill_after is not None:
            time.sleep(kill_after)
            child.kill()
            child.wait()
            return {}
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = status
        whole = time.monotonic() - begin
        if status:
            sys.exit(f"{what} failed")
        return {**json.load(told), "whole": whole, "memory": usage.ru_maxrss / 1024}


def _one(what: str, told: str, *arguments: str) -> None:
    work = {"pillow": _pillow, "bilinear": _bilinear, "ours": _ours, "keras": _keras}[what]
    Path(told).write_text(json.dumps(work(*map(Path, arguments))), encoding="utf-8")


def _bilinear(folder: Path) -> dict[str, float]:
    return _pillow(folder, Image.Resampling.BILINEAR)


def _pillow(folder: Path, resample: Image.Resampling | None = None) -> dict[str, float]:
    import numpy as np

    files = _files(folder)
    out = np.empty((len(files), SIZE, SIZE, 3), np.uint8)
    begin = time.monotonic()
    for place, file in enumerate(files):
        with Image.open(file) as image:
            out[place] = image.convert("RGB").resize((SIZE, SIZE), resample)
    return {"work": time.monotonic() - begin, "decoded": len(files)}


def _ours(folder: Path, out: Path) -> dict[str, float]:
    try:
        from pawprint.stages.prepare import prepare
    except ModuleNotFoundError:  # an earlier version
        from pawprint.prepare import prepare

    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    begin = time.monotonic()
    prepare(
        folder,
        out / "prepared",
        image_size=SIZE,
        seed=0,
        validation_fraction=0.2,
        test_fraction=0.2,
        report=out / "report",
    )
    work = time.monotonic() - begin
    decoded = int(lines[-1].rsplit("; ", 1)[1].split()[0].replace(",", ""))
    return {"work": work, "decoded": decoded}


def _keras(folder: Path) -> dict[str, float]:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras

    folders = [f for f in sorted(folder.iterdir()) if any(inner.is_dir() for inner in f.iterdir())]
    begin, seen = time.monotonic(), 0
    for inside in folders or [folder]:
        data = keras.utils.image_dataset_from_directory(
            inside, image_size=(SIZE, SIZE), batch_size=256, shuffle=False, verbose=False
        )
        seen += sum(len(labels) for _, labels in data)
    return {"work": time.monotonic() - begin, "decoded": seen}


def _files(folder: Path) -> list[Path]:
    """The pictures in class folders, not those that lie beside splits."""
    found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    depth = max(len(path.parts) for path in found)
    return [path for path in found if len(path.parts) == depth]


def _some_of(files: list[Path], root: Path, target: Path, count: int) -> Path:
    for file in files[:: len(files) // count][:count]:
        place = target / file.relative_to(root)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    return target


def _add(files: list[Path], prefix: str, count: int) -> None:
    """Put pictures that were not there: known ones, turned over."""
    for file in files[:count]:
        with Image.open(file) as image:
            turned = image.transpose(Image.Transpose.ROTATE_180)
        turned.save(file.with_name(prefix + file.name), quality=90)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        _one(*sys.argv[2:])
    else:
        main()
