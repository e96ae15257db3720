"""The article's experiment: its network, augmentation and optimizer on its cats and dogs.

    python benchmarks/article.py FOLDER

FOLDER holds `training_set` and `test_set` with `cats` and `dogs` (8,000 + 2,000 pictures), and
`single_prediction` with a dog and a cat. Expected: test accuracy about 0.80 after 25 epochs at
learning rate 1.0 (about 6 minutes on 2 cores), about 0.54 after 3 epochs at Keras 3's 0.001.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from project import Copy, copied

RECIPE = ("recipe=article",)


def main() -> None:
    """Run it and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, metavar="FOLDER")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    given = parser.parse_args()
    print("| learning rate | seed | epochs | training | validation | test | seconds | singles |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for seed in given.seeds:
        with copied() as copy:
            _prepare(copy, given.images, seed)
            _report(copy, given.images, seed, given.epochs, "1.0")
            if seed == given.seeds[0]:
                _report(copy, given.images, seed, 3, "0.001")


def _prepare(copy: Copy, images: Path, seed: int) -> None:
    settings = (*RECIPE, f"images={images.resolve()}", f"seed={seed}")
    copy.stage("prepare", *settings)


def _report(copy: Copy, images: Path, seed: int, epochs: int, rate: str) -> None:
    begin = time.monotonic()
    length = (f"epochs={epochs}", f"patience={epochs}")
    given = f"images={images.resolve()}"
    copy.stage("train", *RECIPE, given, *length, f"learning_rate={rate}", f"seed={seed}")
    seconds = time.monotonic() - begin
    copy.stage("evaluate")
    run = copy.json("models/run.json")
    test = copy.json("reports/evaluate/metrics.json")["test_accuracy"]
    figures = (run["best_accuracy"], run["best_val_accuracy"], test)
    shown = " | ".join(f"{x:.4f}" for x in figures)
    print(f"| {rate} | {seed} | {epochs} | {shown} | {seconds:.0f} | {_singles(copy, images)} |")


def _singles(copy: Copy, images: Path) -> str:
    """Labels of the article's single pictures, by this training's network."""
    program = (
        "import json, sys; from pathlib import Path; "
        "from pawprint.inference.predictor import Predictor; "
        "answers = Predictor(Path('models/model.onnx')).classify(map(Path, sys.argv[1:])); "
        "print(json.dumps([(a.label, round(a.probability, 3)) for a in answers]))"
    )
    files = sorted(str(p) for p in (images.resolve() / "single_prediction").glob("*.jpg"))
    answers = json.loads(copy.run("python", "-c", program, *files))
    return ", ".join(f"{label} {probability}" for label, probability in answers)


if __name__ == "__main__":
    main()
