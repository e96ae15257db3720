"""What a sweep ends with: its leaderboard and figures, and what becomes of the winner."""

import csv
import logging
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pawprint.config.compose import project_root, read_params
from pawprint.config.overrides import NO_RECIPE, RECIPE
from pawprint.config.paths import Paths
from pawprint.data.store import load_split, load_summary
from pawprint.stages.pipeline import dvc_settings
from pawprint.sweep.leaderboard import (
    ACCURACY,
    SECONDS,
    SHORT,
    Leaderboard,
    as_csv,
    as_markdown,
    group_rows,
    rank,
)
from pawprint.sweep.planner import SweepSpec, TrialSource
from pawprint.system.errors import UserError
from pawprint.system.files import write_json
from pawprint.system.terminal import print_rows
from pawprint.tracking.run import Run
from pawprint.tracking.store import Store
from pawprint.tracking.trials import FRESH_TAG, TrialRun, end_trial, show_again, trial_runs
from pawprint.training.trial import FAILED, FINISHED, KILLED

log = logging.getLogger(__name__)


def conclude(spec: SweepSpec, store: Store, run: Run, source: TrialSource) -> Leaderboard:
    """Rank what there is, show it, and put it into the sweep's run."""
    from pawprint.sweep.figures import axes_figure, parallel_figure

    leaderboard = rank(_latest_runs(store, run, source), list(spec.axes), spec.objectives)
    counts = {
        "trials": len(leaderboard.finished),
        "pruned_trials": len(leaderboard.trials) - len(leaderboard.finished),
        "failed_trials": sum(t.status == FAILED for t in leaderboard.unranked),
    }
    run.set_tags({key: str(value) for key, value in counts.items()})
    figures = {"seconds_of_trials": sum(t.figures.get(SECONDS, 0.0) for t in leaderboard.trials)}
    if winner := leaderboard.winner:
        figures[ACCURACY] = winner.figures[ACCURACY]
        run.set_tags({"best_run": winner.id, "best_trial": winner.name})
    run.log_metrics(figures)
    if not (rows := leaderboard.rows()):
        return leaderboard
    run.log_text(as_csv(rows), "leaderboard.csv")
    print_rows(f"Trials, by {', then '.join(SHORT.get(m, m) for m in spec.objectives)}", rows)
    if remarks := source.remarks():
        log.info(remarks)
    if groups := group_rows(leaderboard):
        run.log_text(as_csv(groups), "seeds.csv")
        print_rows("Means over seeds", groups)
    run.set_tags({"mlflow.note.content": _note(spec, counts, rows, groups)})
    if leaderboard.trials and spec.axes:
        run.log_figure(parallel_figure(leaderboard), "figures/parallel_coordinates.png")
        run.log_figure(axes_figure(leaderboard), "figures/axes.png")
    return leaderboard


def _latest_runs(store: Store, sweep: Run, source: TrialSource) -> list[TrialRun]:
    """A run for each trial of the sweep: of several the latest that is done.

    Those that a killed session left behind get their end, and those of other sweeps a run that
    refers to them.
    """
    parent, takes_others = sweep.id, FRESH_TAG not in sweep.tags
    latest: dict[str, TrialRun] = {}
    for run in trial_runs(store):
        if run.parent == parent and run.status == "RUNNING":  # of a session that was killed
            run = replace(run, status=FINISHED if run.done else KILLED)
            end_trial(store, run.id, run.status)
        earlier = latest.get(run.identity)
        mine = run.parent == parent or (takes_others and run.done and not run.pruned)
        if mine and (run.done or not (earlier and earlier.done)):
            latest[run.identity] = run
    runs = []
    for identity, trial in source.trials.items():
        run = latest.get(identity) or TrialRun(
            id="",
            name=trial.name,
            identity=identity,
            parent=parent,
            status=FAILED if identity in source.failed else "",
            figures={},
            axes=trial.axes,
            overrides=[],
            parameters={},
            pruned=False,
            error="",
        )
        # In the words of this sweep: another one may have called it otherwise.
        run = replace(run, name=trial.name, axes=trial.axes, overrides=list(trial.overrides))
        if run.done and run.parent != parent:
            show_again(store, run, parent)
        runs.append(run)
    return runs


def _note(
    spec: SweepSpec,
    counts: Mapping[str, int],
    rows: Sequence[Mapping[str, str]],
    groups: Sequence[Mapping[str, str]],
) -> str:
    """What the run's page says at its top, in Markdown."""
    parts = [
        f"**{counts['trials']} trials**"
        + (f", {counts['pruned_trials']} pruned" if counts["pruned_trials"] else "")
        + (f", {counts['failed_trials']} failed" if counts["failed_trials"] else ""),
        "\n".join(f"- `{key}`: {values}" for key, values in spec.axes.items()),
        as_markdown(groups) if groups else "",
        as_markdown(rows[:20]),
        f"The first 20 of {len(rows)}; all are in `leaderboard.csv`." if len(rows) > 20 else "",
    ]
    return "\n\n".join(part for part in parts if part)


def print_command(winner: TrialRun) -> None:
    """Say how to make the winner the pipeline's experiment."""
    chosen = dict(word.lstrip("+").split("=", 1) for word in winner.overrides)  # the last counts
    words = [f"{k}={v}" for k, v in chosen.items() if k.split(".")[0] not in ("sweep", "tracking")]
    root = project_root()
    if read_params(root)[RECIPE] not in (None, NO_RECIPE):  # its settings are among the words
        words = [f"{RECIPE}={NO_RECIPE}", *words]
    settings = dvc_settings(root, words, winner.parameters)
    command = ["dvc", "exp", "run", *settings]
    changed = [word.partition(":")[0] for word in settings if word.startswith("conf/")]
    if not all((root / file).is_file() for file in changed):
        command = ["pawprint", "pipeline", *words]  # which brings that file into the project
    print(f"\nMake the winner the pipeline's experiment:\n  {shlex.join(command)}")


def promote(winner: TrialRun, spec: SweepSpec, paths: Paths, store: Store) -> None:
    """Export the winner, evaluate it once, and register it; it may become the champion.

    The project's own network and figures stay as they are.

    Raises:
        UserError: the trial's files are gone, or the store does not answer.
    """
    run = store.find(winner.id)
    if run is None:
        raise UserError(
            f"the run of the winner, {winner.id}, is gone from {store.shown}; sweep again"
        )
    if version := run.tags.get("registered_version"):
        log.info("the winner, %s, is version %s already", winner.name, version)
        return
    log.info("promoting the winner, %s", winner.name)
    from pawprint.training.tensorflow_runtime import start_tensorflow

    start_tensorflow()
    import keras

    from pawprint.stages.evaluate import evaluate
    from pawprint.stages.register import register
    from pawprint.stages.train import describe_training, export
    from pawprint.training.trainer import TrainedNetwork

    # Bring its files into a folder of their own, beside those of the trials.
    here = Paths(paths.root, own=spec.folder / "winner")
    files = here.training
    for path in (files.model, files.history):
        run.fetch(path.name, path)
    with files.history.open(newline="", encoding="utf-8") as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    names = ("best_epoch", ACCURACY, "best_val_loss", "best_accuracy", "weights")
    learned = TrainedNetwork(
        keras.models.load_model(files.model),
        [{**row, "epoch": int(row["epoch"])} for row in rows],
        {name: winner.figures[name] for name in names},
        {},
    )
    # Go on with its run as the stages train, evaluate and register would.
    config = spec.resolve(winner.overrides)
    run.reopen()
    try:
        result = export(config, learned, load_split(paths.prepared, "validation"), files, run)
        record = {
            **describe_training(config, load_summary(paths.prepared), paths),
            "run_id": run.id,
            "name": winner.name,
            "store": store.uri,
            "parameters": dict(winner.parameters),
            "tags": run.tags,
            "epochs": [{k: v for k, v in row.items() if k != "epoch"} for row in rows],
            **result,
        }
        write_json(files.run, record)
        evaluate(config, here)
        register(config, here)
    finally:
        run.finish()
