"""A sweep is one parent run, a child run per trial, and a ranked table at the end."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from pawprint.config import fail
from pawprint.errors import UserError
from pawprint.pipeline import dvc_settings

PARENT = "PAWPRINT_SWEEP_RUN"  # in the environment, because trials may run in other processes
STORE = "PAWPRINT_SWEEP_STORE"
AXES = "PAWPRINT_SWEEP_AXES"
OVERRIDES = "overrides"
FAILED = "failed.txt"


def parent_run() -> str | None:
    """The id of the sweep's parent run, while there is a sweep."""
    return os.environ.get(PARENT)


def name_and_tags(overrides: list[str]) -> tuple[str, dict[str, str]]:
    """A trial's name, which is its overrides along the sweep's axes, and all of them as a tag."""
    words = [word for word in overrides if not word.startswith("hydra.")]
    axes = os.environ.get(AXES, "").split(",")
    swept = [word for word in words if word.partition("=")[0] in axes]
    return " ".join(swept or words), {OVERRIDES: json.dumps(words)}


class SweepCallback:
    """Hydra's callback around a multirun of the train stage; other stages pass untouched."""

    def __init__(self) -> None:
        self._run: Any = None
        self._store: Any = None

    def on_multirun_start(self, config: Any, **_: Any) -> None:
        """Open the parent run, named by the axes of the sweep."""
        if config.hydra.job.name != "train":
            return
        from omegaconf import OmegaConf

        from pawprint.config import project_root
        from pawprint.tracking.provenance import provenance
        from pawprint.tracking.store import connect

        words = [o for o in config.hydra.overrides.task if not o.startswith("hydra.")]
        axes = [word for word in words if "," in word or "(" in word]
        try:
            tracking = OmegaConf.to_container(config.tracking, resolve=True)
            self._store = connect(tracking["uri"], tracking["experiment"])
            self._run = self._store.start_run(
                "sweep " + " ".join(axes or words),
                {f"sweep.{word.partition('=')[0]}": word.partition("=")[2] for word in words},
                provenance(project_root()) | {"kind": "sweep"},
                adopt=os.environ.get("MLFLOW_RUN_ID"),
            )
        except UserError as error:
            fail(error)
        keys = ",".join(axis.partition("=")[0] for axis in axes)
        os.environ |= {PARENT: self._run.id, STORE: self._store.uri, AXES: keys}

    def on_multirun_end(self, config: Any, **_: Any) -> None:
        """Rank the trials, print the table and the winner's command, close the parent run."""
        if self._run is None:
            return
        os.environ.pop(PARENT, None)
        failed = sorted(Path(config.hydra.sweep.dir).glob(f"*/{FAILED}"))
        trials = [run for run in self._store.children(self._run.id) if _accuracy(run) is not None]
        trials.sort(key=_accuracy, reverse=True)
        if trials:
            rows = _rows(trials)
            _print_table(rows)
            self._run.log_text(_as_csv(rows), "leaderboard.csv")
            self._run.log_metrics({"best_val_accuracy": _accuracy(trials[0])})
            self._run.set_tags({"best_run": trials[0].info.run_id})
        self._run.set_tags({"trials": str(len(trials)), "failed_trials": str(len(failed))})
        self._run.finish("FINISHED" if trials else "FAILED")
        for path in failed:
            print(f"failed: {path.read_text(encoding='utf-8').strip()}", file=sys.stderr)
        if trials:
            print(f"\nMake the winner the pipeline's experiment:\n  {_command(trials[0])}")
        if failed:
            sys.exit(1)

    def __getattr__(self, name: str) -> Any:
        """Hydra's other events do not concern a sweep."""
        if name.startswith("on_"):
            return lambda **_: None
        raise AttributeError(name)


def close_unfinished(status: str) -> None:
    """Close the parent run of a sweep that ended before its table, as KILLED or FAILED."""
    run_id = os.environ.pop(PARENT, None)
    if run_id:
        from pawprint.tracking.run import Run
        from pawprint.tracking.store import reach

        address = os.environ.pop(STORE)
        Run(reach(address), address, run_id).finish(status)


def note_failure(folder: Path, trial: str, sentence: str) -> None:
    """Leave word of a failed trial in its output folder, for the table at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FAILED).write_text(f"{trial}: {sentence}\n", encoding="utf-8")


def _accuracy(run: Any) -> float | None:
    return run.data.metrics.get("best_val_accuracy")


def _rows(trials: list[Any]) -> list[dict[str, str]]:
    return [
        {
            "rank": str(rank),
            "trial": run.info.run_name,
            "val_accuracy": f"{_accuracy(run):.4f}",
            "best_epoch": f"{run.data.metrics['best_epoch']:.0f}",
            "seconds": f"{(run.info.end_time - run.info.start_time) / 1000:.0f}",
            "run": run.info.run_id,
        }
        for rank, run in enumerate(trials, start=1)
    ]


def _print_table(rows: list[dict[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Trials, best validation accuracy first")
    for column in rows[0]:
        table.add_column(column, justify="left" if column in ("trial", "run") else "right")
    for row in rows:
        table.add_row(*row.values())
    width = None if sys.stdout.isatty() else 120
    Console(width=width).print(table)


def _as_csv(rows: list[dict[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _command(run: Any) -> str:
    """The trial's overrides in the words of `dvc exp run -S`."""
    words = json.loads(run.data.tags[OVERRIDES])
    return shlex.join(["dvc", "exp", "run", *dvc_settings(words, run.data.params)])
