"""Runs compared: parameters that differ, figures, and pairs on the same test pictures."""

import string
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pawprint.comparison.predictions import Predictions, parse_predictions
from pawprint.evaluation.metrics import OF_TRAINING, PER_CLASS
from pawprint.evaluation.paired import CONFIDENCE, NOT_TOLD_APART, Paired, compare_paired
from pawprint.tracking.recorded import RecordedRun

MOST_RUNS = 10
NOT_RECORDED = "–"
_ORIGINS = ("data_digest", "test_digest", "class_names", "git_commit")


@dataclass(frozen=True)
class Metric:
    """A metric of one run with the ends of its 95 % interval, None where it has none."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Pair:
    """A run against the first one.

    Attributes:
        place: of the run among all, 1 or more.
        paired: what came out, None where they were not tested on the same pictures.
        sentence: the verdict, or why there is none.
        same_pictures: whether both were tested on the same ones, as far as is known.
    """

    place: int
    paired: Paired | None
    sentence: str
    same_pictures: bool = True

    @property
    def verdict(self) -> str | None:
        """Better or worse beyond chance, or not told apart; None where they are not compared."""
        if self.paired is None:
            return None
        verdict = self.paired.verdict(1 - CONFIDENCE)
        return verdict if verdict == NOT_TOLD_APART else f"{verdict} beyond chance"


@dataclass(frozen=True)
class Changed:
    """A picture that some runs got right and others wrong.

    Attributes:
        path: relative to the images.
        label: its class.
        answers: class predicted and its probability, by place of the run.
    """

    path: str
    label: str
    answers: dict[int, tuple[str, float]]

    def right(self, place: int) -> bool:
        """Whether the run at this place got it right."""
        return self.answers[place][0] == self.label


@dataclass(frozen=True)
class Comparison:
    """Two to ten runs side by side; lists of values go with ``runs``.

    Attributes:
        runs: the first is what the others are compared against.
        letters: A, B, … for short.
        parameters: those that differ.
        origins: data, classes and commit where they differ, shortened.
        metrics: of the test, then of validation and training; None where a run has none.
        class_metrics: the test's by class.
        pairs: every further run against the first.
        changed: pictures that changed sides among those tested on the first's, surest first.
        notes: what else to know, in sentences.
    """

    runs: list[RecordedRun]
    letters: str
    parameters: dict[str, list[str]]
    origins: dict[str, list[str]]
    metrics: dict[str, list[Metric | None]]
    class_metrics: dict[str, list[Metric | None]]
    pairs: list[Pair]
    changed: list[Changed]
    notes: list[str]

    @property
    def differing(self) -> dict[str, list[str]]:
        """Parameters and origins."""
        return {**self.parameters, **self.origins}

    def changed_between(self, pair: Pair) -> tuple[list[Changed], list[Changed]]:
        """The pictures that a pair's second run gained, and those it lost."""
        both = [one for one in self.changed if pair.place in one.answers]
        gained = [one for one in both if one.right(pair.place) and not one.right(0)]
        lost = [one for one in both if one.right(0) and not one.right(pair.place)]
        return gained, lost


def compare_runs(runs: Sequence[RecordedRun]) -> Comparison:
    """Compare two to ten runs against the first of them."""
    letters = string.ascii_uppercase[: len(runs)]
    answers, notes = _answers(runs, letters)
    pairs, same = _pairs(runs, letters, answers)
    metrics = _metric_rows([run.metrics for run in runs])
    return Comparison(
        runs=list(runs),
        letters=letters,
        parameters=_differing([run.parameters for run in runs]),
        origins=_differing([_origin(run) for run in runs]),
        metrics={k: v for k, v in metrics.items() if not PER_CLASS.match(k)},
        class_metrics={k: v for k, v in metrics.items() if PER_CLASS.match(k)},
        pairs=pairs,
        changed=_changed(same),
        notes=notes + _notes(runs, letters, pairs),
    )


def p_value_text(p_value: float) -> str:
    """A p value in words: "p 0.031", "p < 0.0001"."""
    return f"p {p_value:.2g}" if p_value >= 0.0001 else "p < 0.0001"


def _sentence(paired: Paired, second: str, first: str) -> str:
    verdict = paired.verdict(1 - CONFIDENCE)
    if verdict == NOT_TOLD_APART:
        opening = f"{second} and {first} are not told apart"
    else:
        opening = f"{second} is {verdict} than {first} beyond chance"
    return (
        f"{opening}: {paired.gained:,} gained and {paired.lost:,} lost of the same "
        f"{paired.pictures:,} test pictures, accuracy {paired.difference:+.4f} "
        f"({paired.low:+.4f} to {paired.high:+.4f}), "
        f"McNemar's exact {p_value_text(paired.p_value)}."
    )


def _answers(
    runs: Sequence[RecordedRun], letters: str
) -> tuple[list[Predictions | None], list[str]]:
    answers: list[Predictions | None] = []
    notes = []
    for run, letter in zip(runs, letters, strict=True):
        parsed = None
        if run.answers is not None:
            try:
                parsed = parse_predictions(run.answers)
            except ValueError as error:
                notes.append(f"The predictions.csv of {letter} cannot be used: it is {error}.")
        elif "test_accuracy" not in run.metrics:
            notes.append(f"{letter} was not evaluated: it has no test figures.")
        else:
            notes.append(f"The answers of {letter} are not among its artifacts, or out of reach.")
        answers.append(parsed)
    return answers, notes


def _pairs(
    runs: Sequence[RecordedRun], letters: str, answers: list[Predictions | None]
) -> tuple[list[Pair], dict[int, Predictions]]:
    """Every pair, and the answers of the runs with the first's pictures, all in its order."""
    first = answers[0]
    same = {} if first is None else {0: first}
    pairs = []
    for place in range(1, len(runs)):
        names = f"{letters[place]} and {letters[0]} are not compared picture by picture:"
        second, paired, same_pictures = answers[place], None, True
        digests = [runs[i].tags.get("test_digest") for i in (0, place)]
        if first is None or second is None:
            lacking = letters[0] if first is None else letters[place]
            sentence = f"{names} there are no answers of {lacking}."
            same_pictures = not all(digests) or digests[0] == digests[1]
        elif all(digests) and digests[0] != digests[1]:
            same_pictures = False
            sentence = f"{names} they were tested on other pictures (another test_digest)."
        elif (aligned := second.in_order_of(first)) is None:
            same_pictures = False
            sentence = f"{names} their test pictures differ in paths or labels."
        else:
            same[place] = aligned
            paired = compare_paired(first.right, aligned.right)
            sentence = _sentence(paired, letters[place], letters[0])
        pairs.append(Pair(place, paired, sentence, same_pictures))
    return pairs, same


def _changed(same: dict[int, Predictions]) -> list[Changed]:
    if len(same) < 2:
        return []
    right = np.stack([answers.right for answers in same.values()])
    sure = np.stack([answers.probabilities for answers in same.values()])
    surety = np.where(right, sure, 0).max(axis=0) + np.where(right, 0, sure).max(axis=0)
    places = np.flatnonzero(right.any(axis=0) & ~right.all(axis=0))
    places = places[np.argsort(-surety[places], kind="stable")]
    first = same[0]
    return [
        Changed(
            path=first.paths[i],
            label=first.labels[i],
            answers={run: (a.predicted[i], float(a.probabilities[i])) for run, a in same.items()},
        )
        for i in places.tolist()
    ]


def _metric_rows(runs: Sequence[dict[str, float]]) -> dict[str, list[Metric | None]]:
    """Rows of metrics, one value for each run: of the test, then of validation and training.

    Ends of intervals, which end in ``_low`` and ``_high``, belong to their metrics.
    """
    names = {name for metrics in runs for name in metrics if name.startswith("test_")}
    ends = {end for name in names if names.issuperset(_ends(name)) for end in _ends(name)}
    of_test = sorted(names - ends, key=lambda name: (name != "test_accuracy", name))
    return {
        name: row
        for name in (*of_test, *OF_TRAINING)
        if any(row := [_metric(metrics, name) for metrics in runs])
    }


def _metric(metrics: dict[str, float], name: str) -> Metric | None:
    if name not in metrics:
        return None
    low, high = map(metrics.get, _ends(name))
    if low is None or high is None:  # one alone is the figure of a class that is called so
        return Metric(metrics[name])
    return Metric(metrics[name], low, high)


def _ends(name: str) -> tuple[str, str]:
    return f"{name}_low", f"{name}_high"


def _differing(values: list[dict[str, str]]) -> dict[str, list[str]]:
    keys = dict.fromkeys(key for one in values for key in sorted(one))
    rows = {key: [one.get(key, NOT_RECORDED) for one in values] for key in sorted(keys)}
    return {key: row for key, row in rows.items() if len(set(row)) > 1}


def _origin(run: RecordedRun) -> dict[str, str]:
    origin = {key: run.tags[key] for key in _ORIGINS if key in run.tags}
    for key in origin.keys() - {"class_names"}:
        origin[key] = origin[key][:12]
    if "git_commit" in origin and run.tags.get("git_dirty") == "true":
        origin["git_commit"] += " with changes"
    return origin


def _notes(runs: Sequence[RecordedRun], letters: str, pairs: list[Pair]) -> list[str]:
    notes = []
    dirty = [x for x, run in zip(letters, runs, strict=True) if run.tags.get("git_dirty") == "true"]
    if dirty:
        notes.append(f"Trained with uncommitted changes, of code or settings: {', '.join(dirty)}.")
    count = sum(pair.paired is not None for pair in pairs)
    if count >= 2:
        notes.append(
            f"Each p value is of one pair alone: of {count} runs as good as the first, one is "
            f"told apart by chance with a probability of up to {count * (1 - CONFIDENCE):.2f}."
        )
    return notes
