"""A run and a checkpoint around a training, whatever becomes of it; the report of each epoch."""

import contextlib
import csv
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pawprint.system.errors import UserError, files_explained
from pawprint.system.files import replacing_table
from pawprint.tracking.names import PRUNED_TAG
from pawprint.tracking.run import Run
from pawprint.tracking.store import Store
from pawprint.training.checkpoint import Checkpoint, State
from pawprint.training.trial import PRUNED, Outcome, PrunedError, Trial


@contextlib.contextmanager
def recorded(
    store: Store,
    name: str,
    checkpoints: Path,
    identity: Mapping[str, Any],
    parent: str | None = None,
) -> Iterator[tuple[Run, Checkpoint, State]]:
    """Open a run, or the one of the same training that was killed; end it as the block ends.

    The same training is that of the same ``identity``, whose state is in the folder
    ``checkpoints``. With the id of a ``parent`` the run is nested under that one.

    Yields:
        The run to record in, the training's checkpoint, and the state to go on from.

    Raises:
        UserError: the same training runs elsewhere, the store fails, or the disk does.
    """
    checkpoint = Checkpoint(checkpoints, identity)
    with files_explained(), store.explained(), checkpoint.alone():
        state = checkpoint.load() or State()
        run, earlier = _open_run(store, name, parent, checkpoint.place, state.run_id)
        status = "FAILED"
        try:
            state.run_id = run.id
            checkpoint.save(state)  # whatever happens from here on, there is one run of this
            if earlier:
                run.reopen()
            yield run, checkpoint, state
            status = "FINISHED"
        except PrunedError:
            status = "FINISHED"
            checkpoint.remove()
            raise
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        except UserError:
            if not any(state.arrays.values()):  # nothing to go on from
                checkpoint.remove()
            raise
        finally:
            run.finish(status)
        checkpoint.remove()


def _open_run(
    store: Store, name: str, parent: str | None, training: str, known: str | None
) -> tuple[Run, bool]:
    """The run to record in, and whether a killed training began it."""
    adopt = os.environ.get("MLFLOW_RUN_ID")  # `mlflow run` opened it
    if adopt and not parent and adopt != known and (run := store.adopt(adopt, name)):
        return run, False
    earlier = store.find(known) if known else store.find_unfinished(training)
    if earlier is None:
        return store.open_run(name, parent=parent, training=training), False
    if parent:  # it may have begun under another one
        earlier.set_tags({"mlflow.parentRunId": parent})
    return earlier, True


class EpochReport:
    """Records each epoch in the run, and ends a trial that is worse than others at its age.

    What this process does counts from ``began`` on, as by ``time.monotonic()``.
    """

    def __init__(self, run: Run, state: State, began: float, trial: Trial | None) -> None:
        self._run = run
        self._state = state
        self._watch = trial.watch if trial else None
        self._began = began - sum(figures["seconds"] for figures in state.reports)
        # Once more what earlier processes trained: the last epoch may be missing there.
        for epoch, figures in enumerate(state.reports, start=1):
            run.log_metrics(figures, step=epoch)
            if self._watch:
                self._watch.tell(epoch, figures)  # to compare the next ones with

    def __call__(self, epoch: int, figures: dict[str, float]) -> None:
        """Record an epoch, counted from 1.

        Raises:
            PrunedError: the trial need not go on.
        """
        self._run.log_metrics(figures, step=epoch)
        if self._watch and self._watch.tell(epoch, figures):
            best = max(self._state.history, key=lambda row: (row["val_accuracy"], -row["val_loss"]))
            result = {
                "best_epoch": best["epoch"],
                "best_val_accuracy": best["val_accuracy"],
                "trained_epochs": epoch,
                **self.spent(),
            }
            self._run.log_metrics(result, step=epoch)
            self._run.set_tags({PRUNED_TAG: f"after epoch {epoch}"})
            raise PrunedError(Outcome(PRUNED, result, self._run.id))

    def spent(self) -> dict[str, float]:
        """Seconds of the trial, in all processes that trained it."""
        return {"trial_seconds": time.monotonic() - self._began}


def write_history(path: Path, history: list[dict[str, float]]) -> None:
    """Write the history of a training as CSV, every digit kept."""
    with replacing_table(path) as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]))
        writer.writeheader()
        writer.writerows(history)
