"""The ranked table of a sweep's trials."""

import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pawprint.sweep.planner import SEED, name_of
from pawprint.system.errors import UserError
from pawprint.system.files import RowWriter
from pawprint.tracking.trials import TrialRun

ACCURACY = "best_val_accuracy"
SECONDS = "trial_seconds"
SHORT = {ACCURACY: "val_accuracy", SECONDS: "seconds"}
# Digits after the point; 4 for others.
DIGITS = {SECONDS: 1, "seconds_per_picture": 5, "best_epoch": 0, "weights": 0}
# Metrics of a trial that can be optimised, and whether more of one is better.
OBJECTIVES = {
    ACCURACY: True,
    "best_val_loss": False,
    "seconds_per_picture": False,
    SECONDS: False,
    "weights": False,
}


def objectives_of(names: Sequence[str]) -> dict[str, bool]:
    """The named objectives, each with whether more of it is better.

    Raises:
        UserError: one is unknown, or there is none.
    """
    if not names or not set(names) <= set(OBJECTIVES):
        raise UserError(
            f"hydra.sweeper.objective is {', '.join(names) or 'empty'}, but must be of "
            f"{', '.join(OBJECTIVES)}; change it"
        )
    return {name: OBJECTIVES[name] for name in names}


@dataclass(frozen=True)
class Leaderboard:
    """Trials, the best one first.

    Attributes:
        axes: keys of the sweep.
        objectives: metrics that rank them, each with whether more of it is better.
        trials: all that have a figure, ranked; pruned ones come last.
        unranked: those that failed or were stopped.
    """

    axes: Sequence[str]
    objectives: Mapping[str, bool]
    trials: Sequence[TrialRun]
    unranked: Sequence[TrialRun]

    @property
    def finished(self) -> list[TrialRun]:
        """Those of ``trials`` that were not pruned."""
        return [trial for trial in self.trials if not trial.pruned]

    @property
    def groups(self) -> dict[str, list[TrialRun]]:
        """Trials that differ in their seed only, the best mean first; empty without that axis."""
        together: dict[str, list[TrialRun]] = {}
        for trial in self.finished if SEED in self.axes else []:
            others = {key: value for key, value in trial.axes.items() if key != SEED}
            together.setdefault(name_of(others), []).append(trial)
        metric, more = next(iter(self.objectives.items()))
        means = {n: statistics.fmean(t.figures[metric] for t in together[n]) for n in together}
        return {name: together[name] for name in sorted(means, key=means.__getitem__, reverse=more)}

    @property
    def winner(self) -> TrialRun | None:
        """The best trial; where seeds are swept, the best one of the best group."""
        ranked = next(iter(self.groups.values()), self.finished)
        return ranked[0] if ranked else None

    def rows(self) -> list[dict[str, str]]:
        """A row of text per trial; what has no figure comes last."""
        metrics = dict.fromkeys([*self.objectives, "best_epoch", SECONDS])
        front = {trial.id for trial in self.front()} if len(self.objectives) > 1 else set()
        rows = []
        for place, trial in enumerate([*self.trials, *self.unranked], start=1):
            row = {"rank": str(place) if trial in self.trials else ""}
            row |= {axis: trial.axes.get(axis, "") for axis in self.axes}
            row |= {SHORT.get(m, m): _text(m, trial.figures.get(m)) for m in metrics}
            if front:
                row["best_of_both"] = "yes" if trial.id in front else ""
            row |= {"status": trial.words, "run": trial.id}
            rows.append(row)
        return rows

    def front(self) -> list[TrialRun]:
        """Trials of which no other one is better in every objective (Pareto's front)."""
        signs = {metric: 1 if more else -1 for metric, more in self.objectives.items()}
        scores = [[t.figures[m] * sign for m, sign in signs.items()] for t in self.finished]

        def beaten(own: list[float]) -> bool:
            others = (zip(other, own, strict=True) for other in scores if other != own)
            return any(all(b >= a for b, a in pairs) for pairs in others)

        return [t for t, own in zip(self.finished, scores, strict=True) if not beaten(own)]


def rank(
    trials: Sequence[TrialRun], axes: Sequence[str], objectives: Mapping[str, bool]
) -> Leaderboard:
    """Rank trials."""
    first = next(iter(objectives))
    ranked = [
        t
        for t in trials
        if t.done and all(m in t.figures for m in ([first] if t.pruned else objectives))
    ]

    def key(trial: TrialRun) -> tuple[float, ...]:
        values = [
            -trial.figures[metric] if more else trial.figures[metric]
            for metric, more in objectives.items()
            if metric in trial.figures
        ]
        return (trial.pruned, *values)

    ids = {trial.id for trial in ranked}
    rest = [trial for trial in trials if trial.id not in ids]
    return Leaderboard(axes, objectives, sorted(ranked, key=key), rest)


def group_rows(leaderboard: Leaderboard) -> list[dict[str, str]]:
    """A row of text per group of seeds; the spread is the sample's standard deviation."""
    metric, rows = next(iter(leaderboard.objectives)), []
    for place, (name, trials) in enumerate(leaderboard.groups.items(), start=1):
        values = [trial.figures[metric] for trial in trials]
        figures = {
            f"mean {SHORT.get(metric, metric)}": statistics.fmean(values),
            "spread": statistics.stdev(values) if len(values) > 1 else 0.0,
            "lowest": min(values),
            "highest": max(values),
        }
        row = {"rank": str(place), "trials": name or "all"}
        row |= {key: _text(metric, value) for key, value in figures.items()}
        rows.append(row | {"seeds": str(len(values))})
    return rows


def as_csv(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows as CSV with a head."""
    text = io.StringIO()
    RowWriter(text).writerows([list(rows[0]), *(list(row.values()) for row in rows)])
    return text.getvalue()


def as_markdown(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows as a Markdown table."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def _text(metric: str, value: float | None) -> str:
    return "" if value is None else f"{value:.{DIGITS.get(metric, 4)}f}"
