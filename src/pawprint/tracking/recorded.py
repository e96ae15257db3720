"""What runs recorded: finding them by the words people have for them, and reading them."""

import difflib
import functools
import re
from dataclasses import dataclass
from typing import Any

from pawprint.system.errors import UserError
from pawprint.tracking.location import no_champion, registry_uri, run_address, shown_address
from pawprint.tracking.names import CHALLENGER, CHAMPION
from pawprint.tracking.registry import artifact_text, existing, registry_of
from pawprint.tracking.store import Store

SHORTEST = 4  # characters that stand for an id
CURVES = ("val_accuracy", "val_loss")
_ANSWERS = "evaluate/predictions.csv"
_MOST_NAMED = 5
_RESOLVED = "resolved."  # see Run.log_parameters


@dataclass(frozen=True)
class RecordedRun:
    """What a run carries in MLflow.

    Attributes:
        id: 32 hexadecimal digits.
        name: as `mlflow ui` shows it.
        address: of its page in the store's interface; for a local store that of `mlflow ui`.
        started: milliseconds since 1970.
        parameters: flat, values as texts.
        tags: all of them.
        metrics: the last value of each.
        curves: for each of ``CURVES`` that it has, (epoch, value) by epoch.
        answers: text of the ``predictions.csv`` that evaluate wrote, or None.
    """

    id: str
    name: str
    address: str
    started: int
    parameters: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, float]
    curves: dict[str, list[tuple[int, float]]]
    answers: str | None


@dataclass(frozen=True)
class Records:
    """The runs of a store's experiment, for reading.

    Attributes:
        store: where they are.
        model: name of the registered model.
    """

    store: Store
    model: str

    def find(self, word: str) -> str:
        """The id of the one run that ``word`` means.

        Args:
            word: ``champion``, ``challenger``, a version as ``v3``, a run's id, its beginning
                (4 characters or more), or a name that only one run has.

        Raises:
            UserError: no run, or more than one, is called so.
        """
        if word in (CHAMPION, CHALLENGER):
            return self._of_version(word, word)
        by_name = [run for run in self._runs if run.info.run_name == word]
        if not by_name and re.fullmatch(r"v[0-9]+", word):
            return self._of_version(word, word[1:])
        if re.fullmatch(r"[0-9a-f]{32}", word) and (run := self._get(word)) is not None:
            if run.info.lifecycle_stage != "active":
                raise UserError(
                    f"run {word} was deleted; bring it back with "
                    f"`mlflow runs restore --run-id {word}` or name another one"
                )
            return word
        by_id = [r for r in self._runs if len(word) >= SHORTEST and r.info.run_id.startswith(word)]
        found = {run.info.run_id: run for run in [*by_name, *by_id]}
        if len(found) == 1:
            return next(iter(found))
        if not found:
            raise self._unknown(word)
        named = _named(list(found.values()), len(word) if by_id else 0)
        raise UserError(f"{word!r} means {len(found)} runs: {named}; name one by its id")

    def last_evaluated(self, count: int) -> list[str]:
        """Ids of the last ``count`` runs with test figures, or of all there are, oldest first."""
        evaluated = (r for r in self._runs if "test_accuracy" in r.data.metrics)
        last = [run.info.run_id for run, _ in zip(evaluated, range(count), strict=False)]
        return last[::-1]

    def read(self, run_id: str) -> RecordedRun:
        """All that is told of a run; its answers are left out where they cannot be fetched."""
        run = self.store.client.get_run(run_id)
        given = run.data.params
        resolved = {key for key in given if key.startswith(_RESOLVED)}
        parameters = {key: given[key] for key in given if key not in resolved}
        parameters |= {key.removeprefix(_RESOLVED): given[key] for key in resolved}
        curves = {}
        for name in CURVES:
            if name in run.data.metrics:
                points = self.store.client.get_metric_history(run_id, name)
                curves[name] = sorted({point.step: point.value for point in points}.items())
        return RecordedRun(
            id=run_id,
            name=run.info.run_name or run_id[:8],
            address=run_address(self.store.uri, run.info.experiment_id, run_id),
            started=run.info.start_time,
            parameters=parameters,
            tags=dict(run.data.tags),
            metrics=dict(run.data.metrics),
            curves=curves,
            answers=self.text(run_id, _ANSWERS),
        )

    @functools.cached_property
    def _runs(self) -> list[Any]:
        """All active runs of the experiment, newest first."""
        return list(self.store.search(""))

    def _get(self, run_id: str) -> Any:
        return existing(lambda: self.store.client.get_run(run_id), ["RESOURCE_DOES_NOT_EXIST"])

    def _of_version(self, word: str, which: str) -> str:
        version = registry_of(self.store, self.model).find(which)
        if version is None:
            address = registry_uri(self.store.uri)
            if word == CHAMPION:
                raise no_champion(self.model, address)
            there = self.store.client.search_model_versions(f"name = '{self.model}'")
            numbers = sorted((int(one.version) for one in there), reverse=True)
            known = ", ".join(f"v{number}" for number in numbers[:_MOST_NAMED]) or "none"
            raise UserError(
                f"{self.model} has no {word} in {shown_address(address)}; the last versions there "
                f"are {known}"
            )
        run = self._get(version.run_id)
        if run is None or run.info.lifecycle_stage != "active":
            raise UserError(
                f"the run {version.run_id} of {self.model} {word} is gone from {self.store.shown}; "
                "name another one"
            )
        return version.run_id

    def _unknown(self, word: str) -> UserError:
        where = f"no run in {self.store.shown} is called {word!r}"
        if not self._runs:
            return UserError(f"{where}: it has none; train one with `dvc repro`")
        names = [run.info.run_name or "" for run in self._runs]
        close = set(difflib.get_close_matches(word, names, n=_MOST_NAMED))
        chosen = [r for r in self._runs if r.info.run_name in close] or self._runs[:_MOST_NAMED]
        return UserError(
            f"{where}; give an id, {SHORTEST} or more of its first characters, a name, champion, "
            f"challenger or a version like v2; {'close' if close else 'the last'} are "
            f"{_named(chosen, 0)}"
        )

    def text(self, run_id: str, name: str) -> str | None:
        """The text of a run's artifact, by its path; None where it is not there."""
        return artifact_text(self.store.client, run_id, name)


def _named(runs: list[Any], known: int) -> str:
    """Some runs by as much of their ids as tells them apart, with their names."""
    length = 12 if known < 12 else 32
    words = [f"{r.info.run_id[:length]} ({r.info.run_name})" for r in runs[:_MOST_NAMED]]
    more = [f"{len(runs) - _MOST_NAMED} more"] if len(runs) > _MOST_NAMED else []
    return ", ".join(words + more)
