"""Whether many pictures cost more: time per picture and peak memory of training.

    python benchmarks/scale.py FOLDER

FOLDER holds two class folders, or `training_set` and `test_set` with two. Its prepared pictures are
repeated on disk until they are as many as wanted (80,000 take 1 GB) and read from there as a
training reads them. Trained is a small residual network with the default augmentation: an epoch in
which all is traced, then one that counts, or as many as see 8,000 pictures. Each in a process of
its own, one after the other, medians over rounds.

EXPECTED on 2 cores, medians of three rounds: 8,000 and 80,000 pictures take 0.92 times as long each
as 2,000; peak memory is 1.02 and 1.05 times as much.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import apart
import numpy as np
import tables

SIDE, BATCH_SIZE = 64, 64
WIDTH, DEPTH, DROPOUT = 8, 3, 0.2
COUNTED = 8_000  # pictures, at least
CHUNK = 1_000  # pictures in memory while they are repeated


def main() -> None:
    """Repeat the pictures, run the rounds and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--pictures", type=int, nargs="+", default=[2_000, 8_000, 80_000])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    results: dict[int, list[dict[str, Any]]] = defaultdict(list)
    with tempfile.TemporaryDirectory(dir=".") as name:
        _repeat(given.folder, Path(name), given.pictures)
        for _ in range(given.rounds):
            for count in given.pictures:
                folder = str(Path(name, str(count)).resolve())
                results[count].append(apart.run(__file__, "train", folder=folder, count=count))
    first, *_ = given.pictures
    tables.head("pictures", "µs a picture", "from", "to", "÷ first", "peak memory, MB", "÷ first")
    for count, runs in results.items():
        times, memories = _figures(runs, "microseconds"), _figures(runs, "memory")
        tables.row(
            f"{count:,}",
            *tables.spread(times),
            tables.ratio(times, _figures(results[first], "microseconds")),
            f"{statistics.median(memories):,.0f}",
            tables.ratio(memories, _figures(results[first], "memory")),
        )


def _figures(runs: list[dict[str, Any]], name: str) -> list[float]:
    return [run[name] for run in runs]


def _repeat(folder: Path, place: Path, counts: list[int]) -> None:
    """Folders of pictures as prepare leaves them, each of so many, and the labels beside them."""
    from pawprint.data.image_array import HEADER, complete, pictures_file
    from pawprint.data.store import load_split
    from pawprint.stages.prepare import prepare

    fractions = {"validation_fraction": 0.1, "test_fraction": 0.1}
    prepare(folder, place / "prepared", image_size=SIDE, seed=0, **fractions)
    split = load_split(place / "prepared", "train")
    for count in counts:
        out = place / str(count)
        out.mkdir()
        rows = np.arange(count) % len(split.labels)
        if count < len(split.labels):  # some of all classes
            rows = np.arange(count) * len(split.labels) // count
        with pictures_file(out, SIDE).open("wb") as file:
            file.write(bytes(HEADER))
            for start in range(0, count, CHUNK):
                file.write(split.pictures[rows[start : start + CHUNK]].tobytes())
        complete(out, SIDE, np.arange(count))
        np.save(out / "labels.npy", split.labels[rows])


def _train(folder: str, count: int) -> dict[str, float]:
    import ours

    from pawprint.config.compose import compose
    from pawprint.data.image_array import Pictures
    from pawprint.models.convolutional import resnet
    from pawprint.training.augmentation import augmentation_of

    pictures = Pictures(Path(folder), SIDE, np.arange(count))
    labels = np.load(Path(folder) / "labels.npy")
    figures = ours.timed_fit(
        lambda: resnet(SIDE, 2, depth=DEPTH, width=WIDTH, dropout=DROPOUT),
        "adamw",
        0.002,
        ours.batches_of(pictures, labels, augmentation_of(compose()), BATCH_SIZE),
        epochs=max(1, COUNTED // count),
    )
    return {"microseconds": 1e6 / figures["speed"], "memory": figures["memory"]}


if __name__ == "__main__" and not apart.answered({"train": _train}):
    main()
