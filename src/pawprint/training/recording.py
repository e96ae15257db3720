"""A run and a checkpoint around a training, whatever becomes of it."""

from __future__ import annotations

import contextlib
import csv
import errno
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pawprint.system.errors import UserError
from pawprint.system.files import replacing_table
from pawprint.training.trial import PrunedError

if TYPE_CHECKING:
    from pawprint.tracking.run import Run
    from pawprint.tracking.store import Store
    from pawprint.training.checkpoint import Checkpoint, State

# Of the disk and its permissions, not of this code.
MENDED_OUTSIDE = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EISDIR,
    errno.ENOTDIR,
)


@dataclass(frozen=True)
class Recording:
    """The run to record in, the training's checkpoint, and the state to go on from."""

    run: Run
    checkpoint: Checkpoint
    state: State


@contextlib.contextmanager
def recorded(
    store: Store,
    name: str,
    checkpoints: Path,
    identity: Mapping[str, Any],
    parent: str | None = None,
) -> Iterator[Recording]:
    """Open a run, or the one of the same training that was killed; end it as the block ends.

    Args:
        store: where the run is.
        name: what the run is called.
        checkpoints: folder of the states of unfinished trainings.
        identity: all that decides what the training ends with.
        parent: id of the run under which this one is nested.

    Raises:
        UserError: the same training runs elsewhere, the store fails, or the disk does.
    """
    from pawprint.training.checkpoint import Checkpoint, State

    with (
        files_explained(),
        store.explained(),
        Checkpoint(checkpoints, identity).alone() as checkpoint,
    ):
        state = checkpoint.load() or State()
        run, earlier = _open_run(store, name, parent, checkpoint.place, state.run_id)
        status = "FAILED"
        try:
            state.run_id = run.id
            checkpoint.save(state)  # whatever happens from here on, there is one run of this
            if earlier:
                run.reopen()
            yield Recording(run, checkpoint, state)
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
    if adopt and not parent:
        return store.open_run(name, adopt=adopt), False
    earlier = store.find(known) if known else store.find_unfinished(training)
    if earlier is None:
        return store.open_run(name, parent=parent, training=training), False
    if parent:  # it may have begun under another one
        earlier.set_tags({"mlflow.parentRunId": parent})
    return earlier, True


@contextlib.contextmanager
def files_explained() -> Iterator[None]:
    """Say in a sentence where the disk or its permissions stop a training.

    Raises:
        UserError: they do.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in MENDED_OUTSIDE:
            raise
        where = error.filename or "a file"
        raise UserError(
            f"{where} cannot be read or written: {error.strerror}; free room on the disk or mend "
            "permissions, then the same command goes on"
        ) from error


def write_history(path: Path, history: list[dict[str, float]]) -> None:
    """Write the history of a training as CSV, every digit kept."""
    with replacing_table(path) as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]))
        writer.writeheader()
        writer.writerows(history)
