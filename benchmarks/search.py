"""What a search with TPE and pruning finds, beside a random one without, for the same pictures.

    python benchmarks/search.py FOLDER

FOLDER holds class folders, or `training_set` and `test_set` with them, which are read at 32 pixels.
Both search the same space; each trial learns for at most five epochs, and a search ends when its
trials have seen as many pictures as ten unpruned ones do. The test pictures are not looked at.

EXPECTED on cats and dogs, 8,000 pictures, five seeds: see docs/sweeps.md; half an hour on 2 cores.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sqlite3
import statistics
from pathlib import Path

import tables
from project import Copy, copied

SETTINGS = ("image_size=32", "growth=none", "augment=light", "model=cnn", "schedule=cosine")
SPACE = (
    "optimizer=adam,sgd,muon,adadelta",
    "learning_rate=tag(log,interval(0.0001,0.3))",
    "depth=range(1,5)",
    "dropout=interval(0.0,0.6)",
    "batch_size=32,64,128,256",
    "label_smoothing=0.0,0.1",
)
WAYS = {
    "TPE, median pruner": ("hydra/sweeper/sampler=tpe", "hydra/sweeper/pruner=median"),
    "random, no pruner": ("hydra/sweeper/sampler=random", "hydra/sweeper/pruner=none"),
}


def main() -> None:
    """Search with both ways and each seed, print tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--trials", type=int, default=10, help="unpruned ones that the budget is")
    given = parser.parse_args()
    settings = (*SETTINGS, f"epochs={given.epochs}", f"images={given.folder.resolve()}")
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    tables.head("seed", "way", "trials", "pruned", "epochs", "best val_accuracy")
    with copied() as copy:
        copy.stage("prepare", *settings)
        budget = given.trials * given.epochs
        for seed in range(given.seeds):
            for way, words in WAYS.items():
                trials = _search(copy, settings, words, seed, budget)
                pruned = sum(t["pruned"] for t in trials)
                epochs = sum(t["epochs"] for t in trials)
                best = max(t["accuracy"] for t in trials)
                found[way].append(best)
                tables.row(seed, way, len(trials), pruned, f"{epochs:.0f}", f"{best:.4f}")
    print()
    tables.head("way", "mean of the best", "standard deviation", "least", "most")
    for way, best in found.items():
        spread = statistics.stdev(best) if len(best) > 1 else 0.0
        figures = (statistics.fmean(best), spread, min(best), max(best))
        tables.row(way, *(f"{figure:.4f}" for figure in figures))


def _search(
    copy: Copy, settings: tuple[str, ...], words: tuple[str, ...], seed: int, budget: int
) -> list[dict[str, float]]:
    """Search until the budget of epochs is spent; returns the trials within it."""
    copy.stage(
        "train",
        "-m",
        "hydra/sweeper=optuna",
        *words,
        *settings,
        *SPACE,
        "sweep.fresh=true",
        f"hydra.sweeper.sampler.seed={1000 * seed}",
        f"hydra.sweeper.max_epochs={budget}",
        "hydra.sweeper.n_trials=1000",
    )
    with contextlib.closing(sqlite3.connect(copy.root / "mlflow.db")) as store:
        ((parent,),) = store.execute(
            "SELECT run_uuid FROM runs JOIN tags USING (run_uuid) WHERE key = 'kind' "
            "AND tags.value = 'sweep' ORDER BY start_time DESC LIMIT 1"
        )
        runs = store.execute(
            "SELECT run_uuid FROM runs JOIN tags USING (run_uuid) "
            "WHERE key = 'mlflow.parentRunId' AND tags.value = ? ORDER BY start_time",
            [parent],
        ).fetchall()
        trials = []
        for (run,) in runs:
            latest = dict(
                store.execute("SELECT key, value FROM latest_metrics WHERE run_uuid = ?", [run])
            )
            tags = dict(store.execute("SELECT key, value FROM tags WHERE run_uuid = ?", [run]))
            trials.append(
                {
                    "accuracy": latest["best_val_accuracy"],
                    "epochs": latest["trained_epochs"],
                    "pruned": "pruned" in tags,
                    "axes": json.loads(tags["axes"]),
                }
            )
    return trials


if __name__ == "__main__":
    main()
