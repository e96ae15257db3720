"""What the evaluate stage takes, report and all, beside the network's own answers.

    python benchmarks/evaluate.py FOLDER

FOLDER holds class folders, or `training_set` and `test_set` with them. The article's network
learns for an epoch, and the default one too; then `evaluate` runs as a whole command. What the
network alone takes for the validation and test pictures is measured in the same round and
subtracted. The maps of the pictures in the report stay in the figure.

EXPECTED on 2,000 test pictures and 2 cores: 5 s beside the network, start of Python included.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import tables
from project import copied
from trained import train

ALONE = """
import time
from pathlib import Path
from pawprint.data.store import load_split
from pawprint.inference.predictor import Predictor
predictor = Predictor(Path("models/model.onnx"))
splits = [load_split(Path("data/prepared"), name) for name in ("validation", "test")]
begin = time.perf_counter()
for split in splits:
    predictor.probabilities(split.pictures)
print(time.perf_counter() - begin, len(splits[1].labels))
"""


def main() -> None:
    """Time each network and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    images = f"images={given.folder.resolve()}"
    tables.head(
        "network", "test pictures", "command, s", "network alone, s", "beside it, s (range)"
    )
    with copied() as copy:
        for name, settings in (("article", ["recipe=article"]), ("default", [])):
            copy.stage("prepare", images, *settings)
            train(copy, images, *settings, "epochs=1", "growth=none")
            whole, alone = [], []
            for _ in range(given.rounds):
                begin = time.monotonic()
                copy.stage("evaluate")
                whole.append(time.monotonic() - begin)
                seconds, pictures = copy.run("python", "-c", ALONE).split()
                alone.append(float(seconds))
            beside = [a - b for a, b in zip(whole, alone, strict=True)]
            tables.row(
                name,
                f"{int(pictures):,}",
                f"{statistics.median(whole):.1f}",
                f"{statistics.median(alone):.1f}",
                f"{statistics.median(beside):.1f} ({min(beside):.1f} to {max(beside):.1f})",
            )


if __name__ == "__main__":
    main()
