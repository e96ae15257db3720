"""A program: prepare, killed before each of its changes to the disk in turn, and then run again.

    python killed_at_every_step.py IMAGES BASE IMAGE_SIZE EVERY

BASE holds what earlier runs left, if anything. EVERY is 1, or 2 for every second step, and so on.
Prints how many steps there were.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy.ma
import pyarrow.parquet
from PIL import Image

from pawprint.stages.prepare import prepare

LOADED = (numpy.ma, pyarrow.parquet)  # once, instead of in every child

CHANGES = {"os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def main() -> None:
    images, base = Path(sys.argv[1]), Path(sys.argv[2])
    image_size, every = int(sys.argv[3]), int(sys.argv[4])
    start, work = base.with_name("start"), base
    base.rename(start)

    def run() -> None:
        settings = {"seed": 0, "validation_fraction": 0.2, "test_fraction": 0.2}
        report = work / "report"
        prepare(images, work / "prepared", image_size=image_size, report=report, **settings)

    Image.init()
    earlier = _content(start)
    shutil.copytree(start, work)
    assert _in_child(run) == 0
    expected, beside = _content(work), _names(work)
    for step in itertools.count(every, every):
        shutil.rmtree(work)
        shutil.copytree(start, work)
        killed = _in_child(run, before_step=step)
        seen = _content(work)
        assert seen in (earlier, expected, {}), f"step {step} left {sorted(seen)}"
        assert seen or not earlier or _is_put_aside(work), f"step {step} lost the output"
        assert _in_child(run) == 0, f"after step {step}"
        assert _content(work) == expected, f"after step {step}"
        assert _names(work) == beside, f"after step {step}: {_names(work)}"
        if not killed:
            print(step - 1)
            break


def _in_child(task: Callable[[], None], before_step: int = 0) -> int:
    """Run in a child; 0, or the signal that ended it."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        assert code <= 0, code
        return -code
    try:
        if before_step:
            sys.addaudithook(_Killer(before_step))
        task()
        os._exit(0)
    finally:
        os._exit(1)


class _Killer:
    """Ends the process before a change to the disk."""

    def __init__(self, step: int) -> None:
        self.left = step

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
        if writes or event in CHANGES:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def _content(base: Path) -> dict[str, bytes]:
    folder = base / "prepared"
    if not folder.is_dir():
        return {}
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _is_put_aside(base: Path) -> bool:
    return bool(list(base.glob(".prepared.*.old/prepared/manifest.parquet")))


def _names(base: Path) -> list[str]:
    """Every path, whatever the images are called."""
    return sorted(str(path.relative_to(base)) for path in base.rglob("*"))


if __name__ == "__main__":
    main()
