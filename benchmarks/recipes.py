"""What each recipe costs and reaches: seconds, speed, accuracy on validation and test pictures.

    python benchmarks/recipes.py FOLDER --recipes default long transfer fine_tune --weights FILE

FOLDER holds class folders, or `training_set` and `test_set` with them. `default` is `params.yaml`
as it is, the others are the files of `conf/recipe/`. Pictures are prepared before, which is not
timed; seconds are those of the whole `train` command, "beyond imports" without those of a process
that only imports the same. Test pictures are read by `evaluate` alone, once a training. `transfer`
and `fine_tune` take ImageNet's weights of `MobileNet(alpha=0.25)` from FILE; each computes its
features anew, and after `transfer` another head (dropout 0.5) learns on the same ones. `student`,
named behind `fine_tune`, has that network of the same seed as its teacher and asks it anew.

EXPECTED on the article's photographs and 2 cores with bfloat16, test accuracy as the mean of three
seeds: default 0.945 in 277 s, long 0.9525 in 474 s, transfer 0.965 in 35 s and another head in 8 s
beyond imports, fine_tune 0.9745 in 340 s; fast 0.827, and 0.8275 with precision=float32.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import tables
from project import Copy, copied
from trained import Trained, import_seconds, test_metrics, train

DEFAULT = "default"
BACKBONE = ("model.backbone=MobileNet", "model.alpha=0.25")
PRETRAINED = ("transfer", "fine_tune")
STUDENT, TEACHER = "student", "teacher.onnx"
OTHER_HEAD = "transfer, another head"
CALIBRATION = "expected_calibration_error"


def main() -> None:
    """Train each with each seed and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--recipes", nargs="+", default=[DEFAULT])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--weights", type=Path, help="of MobileNet, .h5, without its top")
    parser.add_argument("--settings", nargs="*", default=[], help="further ones, key=value")
    given = parser.parse_args()
    if set(PRETRAINED) & set(given.recipes) and not given.weights:
        parser.error("transfer and fine_tune need --weights")
    if (
        STUDENT in given.recipes
        and "fine_tune" not in given.recipes[: given.recipes.index(STUDENT)]
    ):
        parser.error("student needs fine_tune before it")
    results: dict[str, list[tuple[Trained, dict[str, float]]]] = defaultdict(list)
    tables.head(
        "recipe",
        "seed",
        "seconds",
        "beyond imports",
        "pictures/s",
        "validation",
        "test",
        "calibration error before scaling",
        "after",
    )
    with copied() as copy:
        imports = import_seconds(copy)
        for seed in given.seeds:
            for recipe in given.recipes:
                for name, trained, test in _trainings(copy, recipe, seed, given):
                    results[name].append((trained, test))
                    _tell(name, seed, trained, trained.seconds - imports, test)
    print()
    tables.head(
        "recipe",
        "seeds",
        "seconds, median",
        "validation, mean",
        "test, mean (range)",
        "calibration error, mean (range)",
    )
    for name, runs in results.items():
        _sum_up(name, [trained for trained, _ in runs], [test for _, test in runs])


def _trainings(
    copy: Copy, recipe: str, seed: int, given: argparse.Namespace
) -> Iterator[tuple[str, Trained, dict[str, float]]]:
    """Prepare, train and evaluate; yields a name, the training and its test accuracy."""
    settings = [] if recipe == DEFAULT else [f"recipe={recipe}"]
    settings += [f"images={given.folder.resolve()}", f"seed={seed}", *given.settings]
    copy.stage("prepare", *settings)
    if recipe in PRETRAINED:
        settings += [f"model.weights={given.weights.resolve()}", *BACKBONE]
    if recipe in (*PRETRAINED, STUDENT):
        shutil.rmtree(copy.root / "data" / "features", ignore_errors=True)
    if recipe == STUDENT:
        settings += [f"teacher={TEACHER}"]
    yield recipe, train(copy, *settings), test_metrics(copy)
    if recipe == "fine_tune":
        shutil.copy(copy.root / "models" / "model.onnx", copy.root / TEACHER)
    if recipe == "transfer":
        yield OTHER_HEAD, train(copy, *settings, "dropout=0.5"), test_metrics(copy)


def _tell(name: str, seed: int, trained: Trained, work: float, test: dict[str, float]) -> None:
    tables.row(
        name,
        seed,
        f"{trained.seconds:.0f}",
        f"{work:.1f}",
        f"{trained.metrics['mean_pictures_per_second']:,.0f}",
        f"{trained.run['best_val_accuracy']:.4f}",
        f"{test['test_accuracy']:.4f}",
        f"{test[f'test_{CALIBRATION}_unscaled']:.4f}",
        f"{test[f'test_{CALIBRATION}']:.4f}",
    )


def _sum_up(name: str, trainings: list[Trained], tests: list[dict[str, float]]) -> None:
    validation = statistics.mean(trained.run["best_val_accuracy"] for trained in trainings)
    tables.row(
        name,
        len(tests),
        f"{statistics.median(trained.seconds for trained in trainings):.0f}",
        f"{validation:.4f}",
        *(_mean_and_range(tests, name) for name in ("accuracy", CALIBRATION)),
    )


def _mean_and_range(tests: list[dict[str, float]], name: str) -> str:
    values = [test[f"test_{name}"] for test in tests]
    return f"{statistics.mean(values):.4f} ({min(values):.4f} to {max(values):.4f})"


if __name__ == "__main__":
    main()
