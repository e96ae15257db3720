"""What a sweep ends with: its table and figures, and what becomes of the winner."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pawprint.config.paths import Paths
from pawprint.stages.pipeline import dvc_settings
from pawprint.sweep.board import (
    ACCURACY,
    SECONDS,
    SHORT,
    Board,
    as_csv,
    as_markdown,
    board_of,
    group_rows,
)
from pawprint.sweep.planner import Order
from pawprint.sweep.running import Source
from pawprint.system.terminal import print_rows
from pawprint.training.trial import FAILED, FINISHED, KILLED, Trial

if TYPE_CHECKING:
    from pawprint.tracking.run import Run
    from pawprint.tracking.store import Store
    from pawprint.tracking.trials import TrialRun

log = logging.getLogger(__name__)


def conclude(
    store: Store, run: Run, order: Order, source: Source, failed: Mapping[str, str]
) -> Board:
    """Rank what there is, show it, and put it into the sweep's run."""
    from pawprint.sweep.figures import axes_figure, parallel_figure
    from pawprint.tracking.trials import FRESH_TAG, end_trial, show_again, trial_runs

    others = FRESH_TAG not in run.tags
    latest: dict[str, TrialRun] = {}
    for trial in trial_runs(store):  # of several runs of one trial the latest that is done
        if trial.parent == run.id and trial.status == "RUNNING":  # of a session that was killed
            trial = replace(trial, status=FINISHED if trial.done else KILLED)
            end_trial(store, trial.id, trial.status)
        earlier = latest.get(trial.identity)
        mine = trial.parent == run.id or (others and trial.done and not trial.pruned)
        if mine and (trial.done or not (earlier and earlier.done)):
            latest[trial.identity] = trial
    shown = [
        _as_asked(trial, latest.get(identity), identity in failed)
        for identity, trial in source.asked.items()
    ]
    for trial in shown:
        if trial.done and trial.parent != run.id:
            show_again(store, trial, run.id)
    board = board_of(shown, list(order.axes), order.objectives)
    counts = {
        "trials": sum(not t.pruned for t in board.trials),
        "pruned_trials": sum(t.pruned for t in board.trials),
        "failed_trials": sum(t.status == FAILED for t in board.without),
    }
    run.set_tags({key: str(value) for key, value in counts.items()})
    figures = {
        "seconds_of_trials": sum(t.figures.get(SECONDS, 0.0) for t in board.trials),
    }
    winner = board.winner
    if winner:
        figures[ACCURACY] = winner.figures[ACCURACY]
        run.set_tags({"best_run": winner.id, "best_trial": winner.name})
    run.log_metrics(figures)
    if not (rows := board.rows()):
        return board
    run.log_text(as_csv(rows), "leaderboard.csv")
    title = f"Trials, by {', then '.join(SHORT.get(m, m) for m in order.objectives)}"
    print_rows(title, rows)
    if words := source.told():
        log.info(words)
    groups = group_rows(board)
    if groups:
        run.log_text(as_csv(groups), "seeds.csv")
        print_rows("Means over seeds", groups)
    run.set_tags({"mlflow.note.content": _note(order, counts, rows, groups)})
    if board.trials and order.axes:
        run.log_figure(parallel_figure(board), "figures/parallel_coordinates.png")
        run.log_figure(axes_figure(board), "figures/axes.png")
    return board


def _as_asked(trial: Trial, run: TrialRun | None, failed: bool) -> TrialRun:
    """A trial's run in the words of this sweep; another one may have called it otherwise."""
    from pawprint.tracking.trials import TrialRun

    if run:
        return replace(run, name=trial.name, axes=trial.axes, overrides=list(trial.overrides))
    status = FAILED if failed else ""
    nothing = ({}, trial.axes, list(trial.overrides), {}, False, "")
    return TrialRun("", trial.name, trial.identity, trial.parent, status, *nothing)


def _note(
    order: Order,
    counts: Mapping[str, int],
    rows: Sequence[Mapping[str, str]],
    groups: Sequence[Mapping[str, str]],
) -> str:
    """What the run's page says at its top, in Markdown."""
    axes = "\n".join(f"- `{key}`: {values}" for key, values in order.axes.items())
    parts = [
        f"**{counts['trials']} trials**"
        + (f", {counts['pruned_trials']} pruned" if counts["pruned_trials"] else "")
        + (f", {counts['failed_trials']} failed" if counts["failed_trials"] else ""),
        axes,
        as_markdown(groups) if groups else "",
        as_markdown(rows[:20]),
        f"The first 20 of {len(rows)}; all are in `leaderboard.csv`." if len(rows) > 20 else "",
    ]
    return "\n\n".join(part for part in parts if part)


def offer(order: Order, board: Board, paths: Paths, store: Store) -> None:
    """Take the winner to the gate, or say how to make it the pipeline's experiment."""
    winner = board.winner
    if winner is None:
        return
    if order.base.sweep.promote:
        from pawprint.sweep.promote import promote

        promote(winner, order, paths, store)
        return
    chosen = dict(word.lstrip("+").split("=", 1) for word in winner.overrides)  # the last counts
    words = [f"{k}={v}" for k, v in chosen.items() if k.split(".")[0] not in ("sweep", "tracking")]
    command = shlex.join(["dvc", "exp", "run", *dvc_settings(words, winner.parameters)])
    print(f"\nMake the winner the pipeline's experiment:\n  {command}")
