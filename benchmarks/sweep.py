"""What a sweep costs beside its trainings, and that killing it loses nothing.

    python benchmarks/sweep.py [overhead memory workers killed]

All on the drawn sample at 32 pixels, one table for each:

overhead  seconds from one trial to the next in a sweep in one process, without the seconds of its
          epochs, and the same beside the bare fit: build, train and validate alone
memory    resident memory after each of 50 trials in one process
workers   twelve equal trials, in one process and with `hydra/launcher=joblib`, in turns
killed    a grid of 3 optimizers x 3 depths, its whole process group killed with SIGKILL at three
          random moments; started again until it is done

EXPECTED on 2 cores: see docs/sweeps.md. Minutes: 1, 3, 6, 2.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import tables
from project import Copy, copied

SMALL = ("image_size=32", "model=cnn", "growth=none", "augment=light", "images=data/sample")
FORGET = 1  # trials at the beginning, in which libraries are imported

BARE = """
import json, logging, sys, time
from pathlib import Path
from pawprint.config.compose import compose, project_root
from pawprint.data.store import load_split
from pawprint.config.paths import Paths
from pawprint.training.tensorflow_runtime import forget_training, start_tensorflow
start_tensorflow()
from pawprint.training import trainer
from pawprint.training.augmentation import augmentation_of
settings, seeds = sys.argv[1].split(), int(sys.argv[2])
paths = Paths(project_root())
data = {name: load_split(paths.prepared, name) for name in ("train", "validation")}
seconds = []
trainer.cost.training_costs = lambda *given: {}
for seed in range(seeds):
    config = compose([*settings, f"seed={seed}"])
    begin = time.perf_counter()
    job = trainer.TrainingJob(config, data, augmentation_of(config), paths.features)
    trainer.train_network(job, trainer.build_network(job))
    seconds.append(time.perf_counter() - begin)
    forget_training()
print(json.dumps(seconds))
"""


def main() -> None:
    """Run the chosen measurements and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = {"overhead": overhead, "memory": memory, "workers": workers, "killed": killed}
    parser.add_argument("kinds", nargs="*", choices=[*kinds, []], default=list(kinds))
    parser.add_argument("--trials", type=int, default=50, help="of memory")
    parser.add_argument("--rounds", type=int, default=3, help="of workers")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of killed")
    given = parser.parse_args()
    for kind in given.kinds:
        with copied() as copy:
            copy.stage("sample")
            copy.stage("prepare", *SMALL)
            kinds[kind](copy, given)
        print()


def overhead(copy: Copy, _: argparse.Namespace) -> None:
    """Trials of a sweep beside the bare fit of the same."""
    import json

    count, epochs = 11, 4
    settings = (*SMALL, "depth=3", f"epochs={epochs}")
    seeds = ",".join(map(str, range(count)))
    begins = [at for at, line in _told(copy, *settings, f"seed={seeds}") if _begins(line)]
    whole = [b - a for a, b in zip(begins[FORGET:], begins[FORGET + 1 :], strict=False)]
    with _store(copy) as store:
        question = (
            "SELECT sum(m.value) FROM metrics m JOIN runs r USING (run_uuid) JOIN tags t "
            "USING (run_uuid) WHERE m.key = 'seconds' AND t.key = 'trial' "
            "GROUP BY r.run_uuid ORDER BY r.start_time"
        )
        of_epochs = [seconds for (seconds,) in store.execute(question)][
            FORGET : FORGET + len(whole)
        ]
    said = copy.run("python", "-c", BARE, " ".join(settings), str(count))
    bare = json.loads(said.splitlines()[-1])[FORGET : FORGET + len(whole)]
    tables.head("of one trial, seconds", "median", "least", "most")
    tables.row("from one trial to the next in the sweep", *tables.spread(whole, ".2f"))
    tables.row("its epochs alone", *tables.spread(of_epochs, ".2f"))
    tables.row("bare fit of the same trial, network built", *tables.spread(bare, ".2f"))
    beside = [a - b for a, b in zip(whole, bare, strict=True)]
    tables.row("overhead against the bare fit", *tables.spread(beside, ".2f"))
    beside = [a - b for a, b in zip(whole, of_epochs, strict=True)]
    tables.row("overhead against its epochs alone", *tables.spread(beside, ".2f"))


def memory(copy: Copy, given: argparse.Namespace) -> None:
    """Resident memory after each trial."""
    seeds = ",".join(map(str, range(given.trials)))
    resident: list[float] = []
    for _, line, process in _told_by(copy, *SMALL, "depth=2", "epochs=2", f"seed={seeds}"):
        if line.startswith("finished: "):
            status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
            resident.append(int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024)
    tables.head("after trial", "resident memory, MB", "of the first")
    for place in sorted({0, 1, 4, 9, 24, len(resident) - 1}):
        if place < len(resident):
            share = resident[place] / resident[0]
            tables.row(place + 1, f"{resident[place]:.0f}", f"{share:.2f}")


def workers(copy: Copy, given: argparse.Namespace) -> None:
    """Twelve equal trials in one process and in several, in turns."""
    seeds = ",".join(map(str, range(12)))
    settings = (*SMALL, "depth=3", "epochs=12", f"seed={seeds}", "sweep.fresh=true")
    seconds: dict[str, list[float]] = {"basic": [], "joblib": []}
    for _ in range(given.rounds):
        for launcher, took in seconds.items():
            begin = time.monotonic()
            copy.stage("train", "-m", f"hydra/launcher={launcher}", *settings)
            took.append(time.monotonic() - begin)
    tables.head("launcher", "seconds, median", "least", "most")
    for launcher, took in seconds.items():
        tables.row(launcher, *tables.spread(took, ".1f"))
    print(f"\njoblib is {tables.ratio(seconds['basic'], seconds['joblib'])} times as fast")


def killed(copy: Copy, given: argparse.Namespace) -> None:
    """Kill a sweep at random moments; all its trials are done once in the end."""
    axes = ("optimizer=adam,sgd,adadelta", "depth=1,2,3")
    settings = (*SMALL, "epochs=4", *axes)
    draw = random.Random(given.seed)
    moments = sorted(draw.uniform(0, 9) for _ in range(3))
    tables.head("killed in trial", "finished until then")
    for moment in moments:
        process, lines = _start(copy, *settings)
        begun = finished = 0
        for line in lines:
            if line.endswith(" to run\n"):
                begun = finished = int(re.search(r"(\d+) done", line)[1])
            finished += line.startswith("finished: ")
            begun += line.startswith("trial ")
            if (begun > moment and line.startswith("epoch ")) or begun >= 9:
                time.sleep(draw.uniform(0, 0.5))
                break
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        tables.row(begun, finished)
    copy.stage("train", "-m", *settings)
    with _store(copy) as store:
        runs = store.execute("SELECT run_uuid, name, status FROM runs").fetchall()
        points = store.execute(
            "SELECT run_uuid, step, count(*) FROM metrics WHERE key = 'val_accuracy' "
            "GROUP BY run_uuid, step"
        ).fetchall()
    trials = [run for run in runs if not run[1].startswith("sweep")]
    names = Counter(name for _, name, _ in trials)
    print()
    tables.head("what", "count")
    tables.row("sweeps", len(runs) - len(trials))
    tables.row("trials", len(trials))
    tables.row("trials of another name than every other", len(names))
    for status, count in Counter(status for *_, status in runs).items():
        tables.row(f"runs {status}", count)
    tables.row("epochs recorded", len(points))
    tables.row("epochs recorded twice", sum(count > 1 for *_, count in points))


def _begins(line: str) -> bool:
    return re.match(r"trial \d+: ", line) is not None


def _told(copy: Copy, *settings: str) -> Iterator[tuple[float, str]]:
    """The lines of a sweep and when they came."""
    for at, line, _ in _told_by(copy, *settings):
        yield at, line


def _told_by(copy: Copy, *settings: str) -> Iterator[tuple[float, str, int]]:
    process, lines = _start(copy, *settings)
    for line in lines:
        yield time.monotonic(), line, process.pid
    if process.wait():
        sys.exit("the sweep failed")


def _start(copy: Copy, *settings: str) -> tuple[subprocess.Popen[str], Iterator[str]]:
    mine = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "MLFLOW_"))}
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "pawprint", "train", "-m", *settings],
        cwd=copy.root,
        env=mine | {"PYTHONPATH": str(copy.root / "src")},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    return process, iter(process.stdout)


@contextlib.contextmanager
def _store(copy: Copy) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(copy.root / "mlflow.db")) as store:
        yield store


if __name__ == "__main__":
    main()
