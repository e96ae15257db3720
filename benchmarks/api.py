"""How long a notebook waits for its first answer, beside the command line.

    python benchmarks/api.py

Each time a new Python process imports pawprint, loads the champion and answers an array; and
`pawprint predict` answers the same picture's file. Expected on 2 cores: medians of 7 below 1.5 s.
"""

from __future__ import annotations

import statistics
import sys
import time

from project import Copy, copied

PICTURE = "data/single_prediction/cat_1.jpg"
ROUNDS = 7
PYTHON = f"""
import sys, time
import numpy as np
from PIL import Image
array = np.asarray(Image.open({PICTURE!r}))
began = time.perf_counter()
import pawprint
imported = time.perf_counter()
champion = pawprint.load()
loaded = time.perf_counter()
(answer,) = champion.predict(array)
ended = time.perf_counter()
assert answer.label
print(imported - began, loaded - imported, ended - loaded)
"""
TINY = ("model=cnn", "depth=2", "image_size=96", "growth=none", "optimizer=adamw", "epochs=1")


def main() -> None:
    """Make a champion, then run both in turn, and print a table."""
    with copied() as copy:
        for stage in ("sample", "prepare", "train", "evaluate", "register"):
            copy.stage(stage, *TINY)
        parts, whole, command = _measure(copy)
    print("| what | median seconds | from | to |")
    print("| --- | --- | --- | --- |")
    names = ("`import pawprint`", "`pawprint.load()`", "`.predict(array)`")
    rows = dict(zip(names, zip(*parts, strict=True), strict=True))
    rows |= {"the whole process": whole, "`pawprint predict FILE`": command}
    for name, times in rows.items():
        shown = (statistics.median(times), min(times), max(times))
        print(f"| {name} | " + " | ".join(f"{x:.3f}" for x in shown) + " |")


def _measure(copy: Copy) -> tuple[list[list[float]], list[float], list[float]]:
    """Seconds of the three lines, of their process, and of the command, in each round.

    The first round, for which files are read from the disk, does not count.
    """
    parts, whole, command = [], [], []
    for _ in range(1 + ROUNDS):
        began = time.perf_counter()
        printed = copy.run(sys.executable, "-c", PYTHON)
        whole.append(time.perf_counter() - began)
        parts.append([float(word) for word in printed.split()])
        began = time.perf_counter()
        copy.stage("predict", PICTURE)
        command.append(time.perf_counter() - began)
    return parts[1:], whole[1:], command[1:]


if __name__ == "__main__":
    main()
