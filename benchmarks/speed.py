"""How fast the article's network learns: the article's way, ours, and the same in PyTorch.

    python benchmarks/speed.py FOLDER --torch PYTHON

FOLDER holds `training_set` with `cats` and `dogs`; PYTHON is an interpreter with torch, numpy and
OpenCV. Everywhere the network, the optimizer (Adadelta, rate 1), batches of 32 and pictures of
64×64 that are sheared, zoomed and mirrored are the same. The article's way is Keras's
`ImageDataGenerator`, which reads JPEG files, and float32; ours and PyTorch's learn from prepared
pixels. PyTorch is in channels-last, in float32 and bfloat16, its pictures warped by `grid_sample`,
or by our own warp in threads ahead: the fastest of the four counts.

Each figure is of pictures per second in `fit` without validation, the median over rounds; in a
round each runs once, in a process of its own, one after the other, and its first epoch (for the
article's way: its first steps) does not count.

EXPECTED on 2 cores with bfloat16, medians of three rounds: ours 4.3 times as fast as the article's
way (2.9 to 4.3) and 1.79 times as fast as PyTorch at its best (1.79 to 1.91); batches alone 8.6
times as fast as they are learned from, 0.7 % of the time waiting for them; without determinism it
is not faster (0.93 to 1.01).
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import apart
import numpy as np
import tables

WIDTH, DEPTH, UNITS, DROPOUT = 32, 2, 128, 0.2
VARIATION = {"horizontal_flip": True, "zoom": 0.2, "shear": 0.2}
SIDE, BATCH_SIZE = 64, 32
WARM_UP = 50  # steps of the article's way
EPOCHS = {"article": 2, "ours": 5, "torch": 4, "batches": 10}  # each for 20 seconds and more
TORCH = [(p, w) for p in ("float32", "bfloat16") for w in ("grid_sample", "opencv")]
ARTICLE, OURS, FREE, BATCHES = "article", "ours", "ours, not deterministic", "our batches alone"


def main() -> None:
    """Run the rounds and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--torch", metavar="PYTHON", help="also measure PyTorch with it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pictures", type=int, help="of an epoch; all where not given")
    given = parser.parse_args()
    results: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        pixels = _prepared(given.folder, Path(name), given.pictures)
        for _ in range(given.rounds):
            for side, figures in _round(given, pixels).items():
                results[side].append(figures)
    _print(results)


def _prepared(folder: Path, place: Path, pictures: int | None) -> dict[str, str | int | None]:
    """Prepare the pictures; for PyTorch they are also left as plain arrays."""
    from pawprint.stages.prepare import prepare

    fractions = {"validation_fraction": 0.1, "test_fraction": 0.1}
    prepare(folder, place / "prepared", image_size=SIDE, seed=0, **fractions)
    ours = {"prepared": str(place / "prepared"), "pictures": pictures}
    for name, array in zip(("pixels", "labels"), _split(**ours), strict=True):
        np.save(place / f"{name}.npy", array)
    return ours | {name: str(place / f"{name}.npy") for name in ("pixels", "labels")}


def _split(prepared: str, pictures: int | None) -> tuple[Any, np.ndarray]:
    from pawprint.data.store import load_split

    split = load_split(Path(prepared), "train")
    count = len(split.labels)
    if pictures is None or pictures >= count:
        return split.pictures, split.labels
    rows = np.arange(pictures) * count // pictures
    return split.pictures[rows], split.labels[rows]


def _round(given: argparse.Namespace, pixels: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The figures of each side, measured one after the other."""
    ours = {name: pixels[name] for name in ("prepared", "pictures")}
    folder = str(given.folder.resolve())
    done = {
        ARTICLE: apart.run(__file__, "article", folder=folder, pictures=given.pictures),
        OURS: apart.run(__file__, "ours", deterministic=True, **ours),
        FREE: apart.run(__file__, "ours", deterministic=False, **ours),
        BATCHES: apart.run(__file__, "batches", **ours),
    }
    script = Path(__file__).with_name("speed_torch.py")
    for precision, warp in TORCH if given.torch else ():
        done[f"PyTorch, {precision}, {warp}"] = apart.run(
            script,
            "fit",
            python=given.torch,
            pixels=pixels["pixels"],
            labels=pixels["labels"],
            epochs=EPOCHS["torch"],
            precision=precision,
            warp=warp,
        )
    return done


def _print(results: dict[str, list[dict[str, Any]]]) -> None:
    speeds = {side: [run["speed"] for run in runs] for side, runs in results.items()}
    middle = {side: statistics.median(values) for side, values in speeds.items()}
    print(f"{len(speeds[OURS])} rounds, {os.cpu_count()} cores, {results[OURS][0]['policy']}\n")
    tables.head("what", "pictures/s", "from", "to", "÷ the article's way")
    for side, values in speeds.items():
        learns = side != BATCHES
        shown = tables.ratio(values, speeds[ARTICLE]) if learns else ""
        tables.row(side, *tables.spread(values), shown)
    waited = statistics.median(run["waited"] for run in results[OURS])
    print(f"\nours ÷ the article's way: {tables.ratio(speeds[OURS], speeds[ARTICLE])}")
    peers = {side: value for side, value in middle.items() if side.startswith("PyTorch")}
    if peers:
        best = max(peers, key=peers.get)
        print(f"ours ÷ {best}: {tables.ratio(speeds[OURS], speeds[best])}")
    print(
        f"our batches alone: {middle[BATCHES] / BATCH_SIZE:,.0f} a second, "
        f"{tables.ratio(speeds[BATCHES], speeds[OURS])} times what fit consumes; "
        f"{waited:.1%} of the time is spent waiting for them"
    )
    print(f"not deterministic ÷ deterministic: {tables.ratio(speeds[FREE], speeds[OURS])}")


def _article(folder: str, pictures: int | None) -> dict[str, float]:
    from article_keras import network, training_pictures

    model, batches = network(), training_pictures(folder)
    count = min(batches.samples, pictures or batches.samples)
    steps = -(-count // BATCH_SIZE)
    model.fit(batches, steps_per_epoch=min(WARM_UP, steps), verbose=0)
    begin = time.perf_counter()
    model.fit(batches, steps_per_epoch=steps, epochs=EPOCHS["article"], verbose=0)
    seconds = time.perf_counter() - begin
    return {"speed": EPOCHS["article"] * min(steps * BATCH_SIZE, batches.samples) / seconds}


def _batches(prepared: str, pictures: int | None) -> Any:
    import ours

    from pawprint.training.augmentation import Augmentation

    return ours.batches_of(*_split(prepared, pictures), Augmentation(**VARIATION), BATCH_SIZE)


def _ours(prepared: str, pictures: int | None, deterministic: bool) -> dict[str, Any]:
    import ours

    from pawprint.models.convolutional import article

    return ours.timed_fit(
        lambda: article(SIDE, 2, depth=DEPTH, width=WIDTH, dense_units=UNITS, dropout=DROPOUT),
        "adadelta",
        1.0,
        _batches(prepared, pictures),
        epochs=EPOCHS["ours"],
        deterministic=deterministic,
    )


def _batches_alone(prepared: str, pictures: int | None) -> dict[str, float]:
    import ours

    return ours.timed_batches(_batches(prepared, pictures), epochs=EPOCHS["batches"])


if __name__ == "__main__" and not apart.answered(
    {"article": _article, "ours": _ours, "batches": _batches_alone}
):
    main()
