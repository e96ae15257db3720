"""What a teacher and pictures without labels are worth where few pictures have one.

    python benchmarks/students.py FOLDER --weights FILE

FOLDER holds class folders, or `training_set` and `test_set` with them. Of the training pictures
``--labels`` keep theirs, as many of each class; the others lie in one folder without. The teacher
is `recipe=transfer` on a `MobileNet(alpha=0.25)` with ImageNet's weights from FILE; the default's
network learns from the labels alone, for so many epochs that it sees as many pictures as the
student, and then as its student, `recipe=student`. Seconds are of the whole `train` command.

EXPECTED on the article's photographs, 2,000 labels and 6,000 pictures without, one seed, 2 cores:
FILL
"""

from __future__ import annotations

import argparse
import os
import random
from pathlib import Path

import tables
from project import Copy, copied
from trained import test_metrics, train

BACKBONE = ("model.backbone=MobileNet", "model.alpha=0.25")
TEACHER = "teacher.onnx"


def main() -> None:
    """Train all with each seed and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--weights", type=Path, required=True, help="of MobileNet, .h5")
    parser.add_argument("--labels", type=int, default=2000, help="pictures that keep theirs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    given = parser.parse_args()
    tables.head("network", "seed", "seconds", "test accuracy", "test log loss")
    for seed in given.seeds:
        with copied() as copy:
            _divide(given.folder.resolve(), copy.root, given.labels, seed)
            _measure(copy, seed, given.weights.resolve())


def _divide(folder: Path, root: Path, labels: int, seed: int) -> None:
    """Make `pictures` and `more` in a project, of links."""
    training = folder / "training_set" if (folder / "training_set").is_dir() else folder
    classes = sorted(path for path in training.iterdir() if path.is_dir())
    (root / "more").mkdir()
    kept = root / "pictures" / (training.name if training != folder else "")
    for one in classes:
        files = sorted(path for path in one.iterdir() if path.is_file())
        random.Random(seed).shuffle(files)
        (kept / one.name).mkdir(parents=True)
        for place, file in enumerate(files):
            to = kept / one.name if place < labels // len(classes) else root / "more"
            Path(to / file.name).symlink_to(file)
    if training != folder:
        Path(root / "pictures" / "test_set").symlink_to(folder / "test_set")


def _measure(copy: Copy, seed: int, weights: Path) -> None:
    given = ["images=pictures", f"seed={seed}"]

    def tell(name: str, *settings: str) -> None:
        trained = train(copy, *given, *settings)
        test = test_metrics(copy)
        accuracy, loss = test["test_accuracy"], test["test_log_loss"]
        tables.row(name, seed, f"{trained.seconds:.0f}", f"{accuracy:.4f}", f"{loss:.4f}")

    copy.stage("prepare", *given, "image_size=224")
    tell("teacher", "recipe=transfer", f"model.weights={weights}", *BACKBONE)
    os.replace(copy.root / "models" / "model.onnx", copy.root / TEACHER)
    copy.stage("prepare", *given, "unlabelled=more")
    pictures = copy.json("data/prepared/summary.json")
    labelled = pictures["splits"]["train"]["pictures"]
    longer = 1 + pictures["unlabelled_pictures"] / labelled
    given.append("unlabelled=more")
    epochs = round(52 * longer)
    tell(f"labels alone, {epochs} epochs", f"epochs={epochs}")
    tell("student", "recipe=student", f"teacher={TEACHER}")


if __name__ == "__main__":
    main()
