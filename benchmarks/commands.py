"""How long a person waits for a command: medians of several runs, after one that is not counted.

    python benchmarks/commands.py

Expected on 2 cores: help in about half a second, one prediction in less than a second, and a
`dvc repro` with nothing to do in about 1.2 times the time of `dvc status`.
"""

from __future__ import annotations

import argparse
import statistics
import time

from project import Copy, copied

COMMANDS = {
    "prepare --help": ("python", "-m", "pawprint", "prepare", "--help"),
    "train --help": ("python", "-m", "pawprint", "train", "--help"),
    "pawprint --help": ("python", "-m", "pawprint", "--help"),
    "pawprint predict": ("python", "-m", "pawprint", "predict", "data/single_prediction"),
    "dvc repro": ("dvc", "repro"),
    "dvc status": ("dvc", "status"),
}


def main() -> None:
    """Run each in turn, round after round, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with copied() as copy:
        copy.run("dvc", "repro", "-q")
        for _ in range(given.rounds + 1):
            for name, command in COMMANDS.items():
                seconds[name].append(_time(copy, command))
    print("| command | median seconds | from | to |")
    print("| --- | --- | --- | --- |")
    for name, times in seconds.items():
        counted = times[1:]
        shown = (statistics.median(counted), min(counted), max(counted))
        print(f"| `{name}` | " + " | ".join(f"{x:.2f}" for x in shown) + " |")
    ratios = [a / b for a, b in zip(seconds["dvc repro"], seconds["dvc status"], strict=True)][1:]
    print(f"\n`dvc repro` ÷ `dvc status`, median of pairs: {statistics.median(ratios):.2f}")


def _time(copy: Copy, command: tuple[str, ...]) -> float:
    begin = time.monotonic()
    copy.run(*command)
    return time.monotonic() - begin


if __name__ == "__main__":
    main()
