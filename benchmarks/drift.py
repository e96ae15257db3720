"""False alarms and power of `pawprint drift` on real pictures, and what its log costs.

    python benchmarks/drift.py FOLDER

FOLDER has the training and test pictures. They are prepared, and `fast` is trained and evaluated on
them, in a copy of this project. In each of 1,000 draws the test pictures are halved: answers to one
half are what confidence and labels are compared with, "seen" are some of the other half, as they
are or changed. Sizes and brightness are compared with the training pictures.

EXPECTED: false alarms in 3.1 % of the draws of 100 unchanged pictures, 1.7 % of 300, none of 1,000;
pictures 10 % darker told in 98 % of the draws of 100 and all of 300; 800,000 rows logged and
130,000 read per second; 4 minutes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tables
from project import Copy, copied

from pawprint.comparison.answers import parse_answers
from pawprint.data.brightness import brightness, mean_brightness
from pawprint.data.store import load_sizes, load_split
from pawprint.drift.compare import Facts, compare
from pawprint.drift.find import learned_facts, logged_facts
from pawprint.drift.log import read_log
from pawprint.inference.prediction_log import LoggedPrediction, PredictionLog, utc

COUNTS = (100, 300, 1000)


@dataclass(frozen=True)
class Pictures:
    """Facts of n test pictures, an array (n,) each."""

    widths: np.ndarray
    heights: np.ndarray
    brightness: np.ndarray
    probabilities: np.ndarray
    answers: np.ndarray

    def at(self, places: np.ndarray) -> Pictures:
        """Some of them."""
        return Pictures(*(values[places] for values in vars(self).values()))

    def facts(self) -> Facts:
        """What is compared of them."""
        return Facts(
            size=np.maximum(self.widths, self.heights),
            aspect=self.widths / self.heights,
            brightness=np.round(self.brightness, 1),
            confidence=np.round(self.probabilities, 6),
            labels=dict(Counter(self.answers.tolist())),
        )


def main() -> None:
    """Print three tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    given = parser.parse_args()
    with copied() as copy:
        settings = (f"images={given.folder.resolve()}", "recipe=fast")
        for stage in ("prepare", "train", "evaluate"):
            copy.stage(stage, *settings)
        learned, test = read(copy)
        false_alarms(learned, test, given.draws)
        print()
        power(learned, test, given.draws)
        print()
        costs(copy, given.rows)


def read(copy: Copy) -> tuple[Facts, Pictures]:
    """What was learned from, and the test pictures."""
    prepared = copy.root / "data/prepared"
    text = (copy.root / "reports/evaluate/predictions.csv").read_text(encoding="utf-8")
    answers, pictures = parse_answers(text), load_split(prepared, "test").pictures
    test = Pictures(
        *load_sizes(prepared, "test"),
        mean_brightness(pictures),
        answers.probabilities,
        np.array(answers.predicted),
    )
    return learned_facts(prepared, answers), test


def drawn(
    learned: Facts, test: Pictures, count: int, seed: int, change: Callable | None = None
) -> dict[str, bool]:
    """What is said to have changed in one draw."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(test.widths))
    known, other = order[: len(order) // 2], order[len(order) // 2 :]
    answered = test.at(known).facts()
    before = replace(learned, confidence=answered.confidence, labels=answered.labels)
    seen = test.at(other[:count])
    if change is not None:
        seen = change(seen, test.at(other), random)
    return {row.what: bool(row.changed) for row in compare(before, seen.facts())}


def false_alarms(learned: Facts, test: Pictures, draws: int) -> None:
    """Count draws of unchanged pictures in which something is said to have changed."""
    names = list(vars(learned))
    tables.head("pictures seen, unchanged", "false alarms", *names)
    for count in COUNTS:
        found = [drawn(learned, test, count, seed) for seed in range(draws)]
        each = [percent(sum(one[name] for one in found), draws) for name in names]
        tables.row(count, percent(sum(any(one.values()) for one in found), draws), *each)


def power(learned: Facts, test: Pictures, draws: int) -> None:
    """Count draws in which a change is told, by how many pictures are seen."""
    tables.head("change", "told by", *(f"of {count} pictures" for count in COUNTS))
    for name, (what, change) in CHANGES.items():
        counts = [
            sum(drawn(learned, test, count, seed, change)[what] for seed in range(draws))
            for count in COUNTS
        ]
        tables.row(name, what, *(percent(one, draws) for one in counts))


def brighter(by: float) -> Callable:
    """Each picture's brightness multiplied."""
    return lambda seen, _, __: replace(seen, brightness=np.minimum(255, seen.brightness * by))


def smaller(by: float, share: float) -> Callable:
    """Both sides of that share of the pictures multiplied."""

    def change(seen: Pictures, _: Pictures, random: np.random.Generator) -> Pictures:
        factor = np.where(random.random(len(seen.widths)) < share, by, 1)
        sides = (np.rint(side * factor) for side in (seen.widths, seen.heights))
        return replace(seen, **dict(zip(("widths", "heights"), sides, strict=True)))

    return change


def narrower(by: float, share: float) -> Callable:
    """The widths of that share of the pictures multiplied."""

    def change(seen: Pictures, _: Pictures, random: np.random.Generator) -> Pictures:
        factor = np.where(random.random(len(seen.widths)) < share, by, 1)
        return replace(seen, widths=np.rint(seen.widths * factor))

    return change


def bolder(by: float) -> Callable:
    """Logits of the answers, one of two classes, multiplied."""

    def change(seen: Pictures, _: Pictures, __: np.random.Generator) -> Pictures:
        p = np.clip(seen.probabilities, 1e-6, 1 - 1e-6)
        return replace(seen, probabilities=1 / (1 + (1 / p - 1) ** by))

    return change


def mostly(share: float) -> Callable:
    """Answers drawn anew, that share of them the class that comes last by name."""

    def change(seen: Pictures, pool: Pictures, random: np.random.Generator) -> Pictures:
        last = pool.answers == np.unique(pool.answers)[-1]
        weights = np.where(last, share / last.sum(), (1 - share) / (~last).sum())
        return pool.at(random.choice(len(last), len(seen.widths), p=weights))

    return change


CHANGES = {
    "5 % darker": ("brightness", brighter(0.95)),
    "10 % darker": ("brightness", brighter(0.9)),
    "20 % darker": ("brightness", brighter(0.8)),
    "a fifth a quarter smaller": ("size", smaller(0.75, 0.2)),
    "a fifth a quarter narrower": ("aspect", narrower(0.75, 0.2)),
    "logits 0.7 times as large": ("confidence", bolder(0.7)),
    "logits half as large": ("confidence", bolder(0.5)),
    "60 % dogs": ("labels", mostly(0.6)),
    "70 % dogs": ("labels", mostly(0.7)),
}


def costs(copy: Copy, rows: int) -> None:
    """Rows and pictures per second of each part."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    run = copy.json("reports/evaluate/evaluated.json")["run_id"]
    batch = [
        LoggedPrediction(
            utc(time.time()), 200 + i, 300, 100.0 + i / 9, "cats", 0.9, "pawprint version 1", run
        )
        for i in range(256)
    ]
    with tempfile.TemporaryDirectory() as folder:
        log = PredictionLog(Path(folder) / "seen.jsonl")
        tables.head("what", "per second")
        _rate("brightness of a picture of 64 pixels", 1, lambda: brightness(pixels), 5000)
        _rate("rows logged, one a call", 1, lambda: log.add(batch[:1]), 5000)
        log.path.unlink()
        _rate("rows logged, 256 a call", len(batch), lambda: log.add(batch), rows // len(batch))
        size = log.path.stat().st_size / (rows // len(batch) * len(batch))
        _rate("rows read", rows, lambda: logged_facts(read_log(log.path)[0]), 1)
        began = time.perf_counter()
        copy.run("python", "-m", "pawprint", "drift", str(log.path), "--json")
        seconds = time.perf_counter() - began
        print(f"\n{size:.0f} bytes a row; `pawprint drift` of {rows:,} rows {seconds:.1f} s")


def _rate(name: str, count: int, call: Callable[[], object], calls: int) -> None:
    began = time.perf_counter()
    for _ in range(calls):
        call()
    tables.row(name, f"{count * calls / (time.perf_counter() - began):,.0f}")


def percent(count: int, draws: int) -> str:
    """A share as text."""
    return f"{100 * count / draws:.1f} %"


if __name__ == "__main__":
    main()
