"""Our server and `mlflow models serve` under load: the same model, pictures and clients, in turns.

    python benchmarks/serve.py FOLDER

FOLDER holds class folders, or `training_set` and `test_set` with them. In a copy of the project the
article's network learns for an epoch and is registered. Then 16 clients, each with a connection
that stays open, ask for 60 seconds about one picture after the other; first ours, then MLflow's, as
often as there are rounds. Every answer is compared with the network's own. Clients share the cores
with the server.

MLflow's server gets base64 text where the registered model takes it, else the pixels of the decoded
picture as JSON: then it is spared decoding.

EXPECTED on 2 cores: no error, memory flat, and four times the requests per second.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import load
import numpy as np
import psutil
import tables
from project import Copy, copied

CLOSE = 1e-4
WARM_UP = 3  # seconds
OURS, MLFLOW = "pawprint serve", "mlflow models serve"
COMMANDS = {
    OURS: ("python", "-m", "pawprint", "serve", "--port"),
    MLFLOW: (
        "mlflow",
        "models",
        "serve",
        "-m",
        "models:/pawprint@champion",
        "--env-manager",
        "local",
        "--port",
    ),
}


@dataclass(frozen=True)
class Asked:
    """What a side is asked.

    Attributes:
        path: of the address.
        content_type: of the bodies.
        bodies: one per picture.
        answer: probabilities of the classes in a body of an answer.
    """

    path: str
    content_type: str
    bodies: list[bytes]
    answer: Callable[[bytes], list[float]]


def main() -> None:
    """Run the rounds and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--recipe", default="article", help="default for that of params.yaml")
    given = parser.parse_args()
    with copied() as copy:
        recipe = [] if given.recipe == "default" else [f"recipe={given.recipe}"]
        recipe.append(f"images={given.folder.resolve()}")
        copy.stage("prepare", *recipe)
        copy.stage("train", *recipe, "epochs=1", "growth=none")
        copy.stage("evaluate", *recipe)
        copy.stage("register", *recipe)
        files = _pictures(given.folder, given.pictures)
        expected, names = _expected(copy.root / "models" / "model.onnx", files)
        speeds: dict[str, list[float]] = {OURS: [], MLFLOW: []}
        tables.head(
            "server", "requests/s", "p50, ms", "p95", "p99", "errors", "MB at start", "MB at end"
        )
        for _ in range(given.rounds):
            for side in COMMANDS:
                seen, memory = _measure(side, copy, files, expected, names, given)
                speeds[side].append(seen.per_second)
                quantiles = (f"{seen.quantile(share):.1f}" for share in (0.5, 0.95, 0.99))
                sizes = (f"{size:.0f}" for size in memory)
                tables.row(side, f"{seen.per_second:,.0f}", *quantiles, seen.errors, *sizes)
    print(f"\nours ÷ MLflow's: {tables.ratio(speeds[OURS], speeds[MLFLOW])}")


def _pictures(folder: Path, count: int) -> list[tuple[str, bytes]]:
    from pawprint.data.folders import files_below

    paths = sorted(p for p in files_below(folder) if p.lower().endswith((".jpg", ".jpeg", ".png")))
    chosen = [paths[place * len(paths) // count] for place in range(count)]
    return [(Path(path).name, Path(path).read_bytes()) for path in chosen]


def _expected(network: Path, files: list[tuple[str, bytes]]) -> tuple[np.ndarray, list[str]]:
    from pawprint.inference.predictor import Predictor

    predictor = Predictor(network)
    pixels = np.stack([predictor.read(content) for _, content in files])
    return predictor.probabilities(pixels), predictor.class_names


def _measure(
    side: str,
    copy: Copy,
    files: list[tuple[str, bytes]],
    expected: np.ndarray,
    names: list[str],
    given: argparse.Namespace,
) -> tuple[load.Load, tuple[float, float]]:
    """What clients saw, and the server's megabytes at the start and at the end."""
    with _running(side, copy) as (address, process):
        if side == OURS:
            asked = _ours(files, names)
        else:
            asked = _mlflow(address, files, names, copy.root / "models" / "model.onnx")
        requests = [
            load.request(address, asked.path, asked.content_type, body) for body in asked.bodies
        ]

        def right(index: int, body: bytes) -> bool:
            return bool(np.abs(np.array(asked.answer(body)) - expected[index]).max() < CLOSE)

        load.ask(address, requests, WARM_UP, given.clients, right)
        before = _megabytes(process)
        seen = load.ask(address, requests, given.seconds, given.clients, right)
        return seen, (before, _megabytes(process))


def _ours(files: list[tuple[str, bytes]], names: list[str]) -> Asked:
    def answer(body: bytes) -> list[float]:
        (row,) = json.loads(body)["predictions"]
        return [row["probabilities"][name] for name in names]

    bodies = [
        b'--mark\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n%s\r\n--mark--\r\n" % (name.encode(), content)
        for name, content in files
    ]
    return Asked("/predict", "multipart/form-data; boundary=mark", bodies, answer)


def _mlflow(address: str, files: list[tuple[str, bytes]], names: list[str], network: Path) -> Asked:
    """Base64 where the model takes it, else pixels."""
    texts = [base64.b64encode(content).decode() for _, content in files]
    forms = [{"dataframe_split": {"columns": ["image"], "data": [[text]]}} for text in texts]
    bodies = [json.dumps(form).encode() for form in forms]

    def answer(body: bytes) -> list[float]:
        found = json.loads(body)["predictions"]
        if isinstance(found, dict):  # of pixels: an array by the output's name
            return next(iter(found.values()))[0]
        return [found[0][name] for name in names]

    asked = Asked("/invocations", "application/json", bodies, answer)
    if _takes(address, asked):
        return asked
    from pawprint.inference.predictor import Predictor

    predictor = Predictor(network)
    pixels = [{"inputs": [predictor.read(content).tolist()]} for _, content in files]
    print("MLflow's server gets pixels", file=sys.stderr)
    bodies = [json.dumps(form).encode() for form in pixels]
    return Asked("/invocations", "application/json", bodies, answer)


def _takes(address: str, asked: Asked) -> bool:
    headers = {"Content-Type": asked.content_type}
    request = urllib.request.Request(f"{address}{asked.path}", asked.bodies[0], headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            asked.answer(response.read())
    except (urllib.error.HTTPError, LookupError, TypeError):
        return False
    return True


@contextlib.contextmanager
def _running(side: str, copy: Copy) -> Iterator[tuple[str, Any]]:
    """A server of the copy's champion on a free port: its address and its process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    mine = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "MLFLOW_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{mine['PATH']}"
    with (copy.root / "server.log").open("w") as log:
        process = subprocess.Popen(
            [*COMMANDS[side], str(port)],
            cwd=copy.root,
            env=mine
            | {"PATH": path, "PYTHONPATH": str(copy.root / "src")}
            | {"MLFLOW_TRACKING_URI": f"sqlite:///{copy.root / 'mlflow.db'}"},
            stdout=log,
            stderr=log,
            start_new_session=True,  # a signal to it is none to the clients
        )
    address = f"http://127.0.0.1:{port}"
    family = psutil.Process(process.pid)
    try:
        _wait(f"{address}/health", process)
        yield address, family
    finally:
        for one in [*family.children(recursive=True), family]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.terminate()
        process.wait(timeout=60)


def _wait(address: str, process: subprocess.Popen) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            if process.poll() is not None:
                raise SystemExit("the server ended; see its log") from None
            time.sleep(0.2)
    raise SystemExit(f"{address} does not answer")


def _megabytes(process: psutil.Process) -> float:
    """Resident memory of a process and those that it started."""
    family = [process, *process.children(recursive=True)]
    return sum(one.memory_info().rss for one in family) / 1e6


if __name__ == "__main__":
    main()
