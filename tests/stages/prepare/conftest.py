"""Preparing one folder of pictures again and again."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from pawprint.stages.prepare import prepare

SETTINGS = {
    "image_size": 8,
    "seed": 0,
    "validation_fraction": 0.2,
    "test_fraction": 0.2,
    "max_refused_fraction": 0.5,
}


class Preparation:
    """Runs of ``prepare`` from one place to one output, and a run that knows nothing."""

    def __init__(self, images: Path, base: Path) -> None:
        self.images, self.base = images, base
        self.out = base / "prepared"
        self._lines: list[str] = []
        self._handler = logging.Handler()
        self._handler.emit = lambda record: self._lines.append(record.getMessage())
        self._log = logging.getLogger("pawprint.stages.prepare")
        self._level = self._log.level
        self._log.addHandler(self._handler)
        self._log.setLevel(logging.INFO)

    def stop_listening(self) -> None:
        """Take away what listens to the log."""
        self._log.removeHandler(self._handler)
        self._log.setLevel(self._level)

    def run(self, **changes: Any) -> int:
        """Prepare; returns how many files were decoded, as the log says."""
        prepare(self.images, self.out, **SETTINGS | changes)
        said = re.search(r"; ([\d,]+) were decoded$", self._lines[-1])
        return int(said[1].replace(",", ""))

    def content(self) -> dict[str, bytes]:
        """What is in the output."""
        return content_of(self.out)

    def undisturbed(self, **changes: Any) -> dict[str, bytes]:
        """What a run into another folder writes, which knows nothing."""
        other = self.base / "undisturbed"
        prepare(self.images, other / "prepared", **SETTINGS | changes)
        content = content_of(other / "prepared")
        shutil.rmtree(other)
        return content

    def manifest(self) -> dict[str, dict[str, Any]]:
        """The rows of the manifest by path."""
        rows = parquet.read_table(self.out / "manifest.parquet").to_pylist()
        return {row["path"]: row for row in rows}


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def preparation(tmp_path: Path) -> Iterator[Callable[[Path], Preparation]]:
    """A function: preparation(images)."""
    made: list[Preparation] = []

    def make(images: Path) -> Preparation:
        made.append(Preparation(images, tmp_path / "data"))
        return made[-1]

    yield make
    for preparation in made:
        preparation.stop_listening()
