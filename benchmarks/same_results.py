"""Whether two commits compute the same: three experiments in a clone of each, compared bit by bit.

    python benchmarks/same_results.py BEFORE AFTER --weights FILE

Expected: every line says "same". Without ``--weights``, a backbone's ``.h5`` file, the experiment
``transfer`` is left out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from project import HERE

EXPERIMENTS = {
    "cnn": ["model=cnn", "depth=3", "epochs=3"],
    "default": ["epochs=3", "seed=1"],
    "transfer": ["recipe=transfer", "epochs=3", "model.backbone=MobileNet", "model.alpha=0.25"],
}
TIMED = ("second", "wait_share", "peak", "per_second")  # parts of names of what a clock measured


def main() -> None:
    """Run all experiments of both commits and print what is the same and what is not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", help="commit")
    parser.add_argument("after", help="commit")
    parser.add_argument("--weights", type=Path, help="weights of the backbone of `transfer`")
    given = parser.parse_args()
    different = False
    for name, settings in EXPERIMENTS.items():
        if name == "transfer":
            if given.weights is None:
                print(f"{name}: left out, for want of --weights")
                continue
            settings = [*settings, f"model.weights={given.weights.resolve()}"]
        before, after = (_results(commit, settings) for commit in (given.before, given.after))
        for part in before:
            same = before[part] == after[part]
            different |= not same
            size = f"{len(before[part]):,} rows"
            print(f"{name}: {part}: {size}: {'same' if same else 'DIFFERENT'}", flush=True)
    sys.exit(different)


def _results(commit: str, settings: list[str]) -> dict[str, list[Any]]:
    """What the pipeline of a commit computes."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "project"
        _run("git", "clone", "-q", str(HERE), str(root), cwd=HERE)
        _run("git", "-c", "advice.detachedHead=false", "checkout", "-q", commit, cwd=root)
        old = (root / "src" / "pawprint" / "pipeline.py").is_file()
        command = ["-m", "pawprint.pipeline"] if old else ["-m", "pawprint", "pipeline"]
        _run(sys.executable, *command, *settings, cwd=root)
        # Names of versions and times of a clock are no result.
        manifest = pq.read_table(root / "data" / "prepared" / "manifest.parquet").to_pylist()
        arrays = sorted((root / "data" / "prepared").rglob("*.npy"))
        return {
            "history.csv": (root / "models" / "history.csv").read_text().splitlines(),
            "manifest.parquet": [json.dumps(row, default=str) for row in manifest],
            "arrays": [hashlib.sha256(path.read_bytes()).hexdigest() for path in arrays],
            "model.onnx": _digests_of_network(root / "models" / "model.onnx"),
            "answers to test pictures": _lines(root / "reports" / "evaluate" / "predictions.csv"),
            "predictions.csv": _lines(root / "reports" / "predict" / "predictions.csv"),
            "MLflow curves": _curves(root / "mlflow.db"),
        }


def _run(*command: str, cwd: Path) -> None:
    mine = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "MLFLOW_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{mine['PATH']}"
    mine |= {"PATH": path, "PYTHONPATH": str(cwd / "src"), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        command,
        check=False,
        cwd=cwd,
        env=mine,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}")


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def _digests_of_network(path: Path) -> list[str]:
    """A digest of each of its constants, in whatever order they were written."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(path).graph
    constants = (numpy_helper.to_array(constant) for constant in graph.initializer)
    return sorted(hashlib.sha256(constant.tobytes()).hexdigest() for constant in constants)


def _curves(store: Path) -> list[tuple[str, float, int]]:
    with sqlite3.connect(store) as connection:
        rows = connection.execute("select key, value, step from metrics").fetchall()
    return sorted(row for row in rows if not any(part in row[0] for part in TIMED))


if __name__ == "__main__":
    main()
