"""How long a person waits for a command: medians of several runs, after one that is not counted.

    python benchmarks/commands.py
    python benchmarks/commands.py --against COMMIT

Expected on 2 cores: help in about half a second, one prediction in less than a second, and a
`dvc repro` with nothing to do in about 1.2 times the time of `dvc status`. With ``--against`` the
same commands of another commit run in turn with these, and no ratio is above 1.1.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from project import HERE, Copy, copied

PICTURE = "data/single_prediction/cat_1.jpg"
COMMANDS = {
    "pawprint --help": ("--help",),
    "pawprint prepare --help": ("prepare", "--help"),
    "pawprint train --help": ("train", "--help"),
    "pawprint predict cat_1.jpg": ("predict", PICTURE),
}
DVC = {"dvc repro": ("dvc", "repro"), "dvc status": ("dvc", "status")}


def main() -> None:
    """Run each in turn, round after round, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--against", metavar="COMMIT", help="another commit to compare with")
    given = parser.parse_args()
    with copied() as copy:
        _run_pipeline(copy)
        if given.against:
            with _checked_out(given.against) as other:
                _compare(copy, other, given.rounds)
        else:
            _measure(copy, given.rounds)


def _measure(copy: Copy, rounds: int) -> None:
    commands = {name: _command(copy, words) for name, words in COMMANDS.items()} | DVC
    seconds = _times({name: (copy, command) for name, command in commands.items()}, rounds)
    print("| command | median seconds | from | to |")
    print("| --- | --- | --- | --- |")
    for name, times in seconds.items():
        shown = (statistics.median(times), min(times), max(times))
        print(f"| `{name}` | " + " | ".join(f"{x:.2f}" for x in shown) + " |")
    ratios = [a / b for a, b in zip(seconds["dvc repro"], seconds["dvc status"], strict=True)]
    print(f"\n`dvc repro` ÷ `dvc status`, median of pairs: {statistics.median(ratios):.2f}")


def _compare(copy: Copy, other: Copy, rounds: int) -> None:
    pairs = {
        (name, place): (one, _command(one, words))
        for name, words in COMMANDS.items()
        for place, one in enumerate((other, copy))
    }
    seconds = _times(pairs, rounds)
    print("| command | before, median seconds | now | now ÷ before |")
    print("| --- | --- | --- | --- |")
    for name in COMMANDS:
        before, now = (statistics.median(seconds[name, place]) for place in (0, 1))
        print(f"| `{name}` | {before:.2f} | {now:.2f} | {now / before:.2f} |")


def _times(
    commands: dict[Any, tuple[Copy, tuple[str, ...]]], rounds: int
) -> dict[Any, list[float]]:
    """The seconds of each command, one after the other in each round; the first does not count."""
    seconds: dict[Any, list[float]] = {key: [] for key in commands}
    for _ in range(rounds + 1):
        for key, (copy, command) in commands.items():
            begin = time.monotonic()
            copy.run(*command)
            seconds[key].append(time.monotonic() - begin)
    return {key: times[1:] for key, times in seconds.items()}


def _command(copy: Copy, words: tuple[str, ...]) -> tuple[str, ...]:
    """The words of a command in the grammar of that commit."""
    if not (copy.root / "src" / "pawprint" / "pipeline.py").is_file():
        return ("python", "-m", "pawprint", *words)
    stage = words[0] in ("prepare", "train")
    return ("python", "-m", f"pawprint.{words[0]}" if stage else "pawprint.cli", *words[stage:])


def _run_pipeline(copy: Copy) -> None:
    """Make a champion; a few epochs are enough for it to answer."""
    params = copy.root / "params.yaml"
    params.write_text(re.sub(r"(?m)^epochs: \d+", "epochs: 5", params.read_text("utf-8")), "utf-8")
    copy.run("dvc", "repro", "-q")


@contextmanager
def _checked_out(commit: str) -> Iterator[Copy]:
    """A clone of the project at another commit, its pipeline run once."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "project"
        subprocess.run(["git", "clone", "-q", str(HERE), str(root)], check=True)
        checkout = ["git", "-c", "advice.detachedHead=false", "checkout", "-q", commit]
        subprocess.run(checkout, cwd=root, check=True)
        other = Copy(root)
        _run_pipeline(other)
        yield other


if __name__ == "__main__":
    main()
