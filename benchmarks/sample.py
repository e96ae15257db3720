"""How hard the drawn sample is: test accuracy of the article's network and of ours, by seed.

    python benchmarks/sample.py --seeds 0 1 2

EXPECTED, test accuracy as the mean and range of three seeds: the article's network 0.947 (0.942 to
0.958), the default 0.994 (0.992 to 0.996); 2 minutes a seed on 2 cores.
"""

from __future__ import annotations

import argparse

from project import copied

RECIPES = {
    "article": ("recipe=article",),
    "default": (),
}


def main() -> None:
    """Run it and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given = parser.parse_args()
    print("| seed | recipe | validation | test |")
    print("| --- | --- | --- | --- |")
    with copied() as copy:
        for seed in given.seeds:
            copy.stage("sample", f"seed={seed}")
            for name, settings in RECIPES.items():
                copy.stage("prepare", f"seed={seed}", "images=data/sample", *settings)
                copy.stage("train", f"seed={seed}", *settings)
                copy.stage("evaluate")
                best = copy.json("models/run.json")["best_val_accuracy"]
                test = copy.json("reports/evaluate/metrics.json")["test_accuracy"]
                print(f"| {seed} | {name} | {best:.4f} | {test:.4f} |", flush=True)


if __name__ == "__main__":
    main()
