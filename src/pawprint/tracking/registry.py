"""The MLflow model registry: versions, aliases and the line from a run to the champion."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pawprint.system.errors import UserError, first_line
from pawprint.tracking.history import Event, events
from pawprint.tracking.location import sqlite_path
from pawprint.tracking.names import CHAMPION, FILE, no_champion, no_version
from pawprint.tracking.run import LONGEST_NAME, NOT_IN_NAMES
from pawprint.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHALLENGER = "challenger"
GONE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


@dataclass(frozen=True)
class Version:
    """A version of the registered model with its tags."""

    number: int
    run_id: str
    tags: dict[str, str]


class Registry:
    """The versions of one registered model.

    Args:
        store: where they are.
        model: name of the registered model, made with its first version.
    """

    def __init__(self, store: Store, model: str) -> None:
        self._client = store.client
        self._address = store.uri
        self.model = model

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep another `register` on this store waiting, where the store is a local one."""
        from filelock import FileLock

        path = sqlite_path(self._address)
        with FileLock(f"{path}.register.lock") if path else contextlib.nullcontext():
            yield

    def champion(self) -> Version | None:
        """The version with the alias `champion`, if there is one."""
        return _aliased(self._client, self.model, CHAMPION)

    def has_champion(self, number: int | None) -> bool:
        """Whether the champion is still version ``number``, or still nobody where that is None."""
        champion = self.champion()
        return number == (champion.number if champion else None)

    def no_champion(self) -> UserError:
        """The sentence for no champion here."""
        return no_champion(self.model, self._address)

    def version(self, number: int) -> Version | None:
        """The version of that number, or None where there is none."""
        return find_version(self._client, self.model, str(number))

    def newest(self) -> int:
        """The highest number of a version, 0 where there is none."""
        found = self._client.search_model_versions(
            f"name = '{self.model}'", max_results=1, order_by=["version_number DESC"]
        )
        return int(found[0].version) if found else 0

    def version_of(self, run_id: str, model_id: str, tags: Mapping[str, Any]) -> Version:
        """The version made from this run's model, with these tags; registered now if need be."""
        source = f"models:/{model_id}"
        for found in self._client.search_model_versions(
            f"name = '{self.model}' AND run_id = '{run_id}'"
        ):
            if found.source == source:
                version = _version(found)
                self.set_tags(version, tags)
                return version
        self._make_model()
        texts = {_key(key): str(value) for key, value in tags.items()}
        return _version(
            self._client.create_model_version(
                self.model, source, run_id=run_id, tags=texts, model_id=model_id
            )
        )

    def _make_model(self) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(self.model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def point(self, alias: str, version: Version) -> None:
        """Give ``alias`` to ``version``; whoever had it loses it in the same moment."""
        self._client.set_registered_model_alias(self.model, alias, str(version.number))

    def crown(self, event: Event) -> None:
        """Give the alias `champion` to the event's version, and record the event."""
        self._client.set_registered_model_alias(self.model, CHAMPION, str(event.version))
        self.record(event)

    def record(self, event: Event) -> None:
        """Add an event to the line of champions."""
        self._client.set_registered_model_tag(self.model, event.name, event.as_tag())

    def events(self) -> list[Event]:
        """The recorded line of champions, oldest first."""
        return events(self._model_tags())

    def _model_tags(self) -> dict[str, str]:
        from mlflow.exceptions import MlflowException

        try:
            return dict(self._client.get_registered_model(self.model).tags)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return {}
            raise

    def set_tags(self, version: Version, tags: Mapping[str, Any]) -> None:
        """Set tags on a version; one that is None is taken away."""
        number = str(version.number)
        for key, value in tags.items():
            name = _key(key)
            if value is None:
                if version.tags.pop(name, None) is not None:
                    self._client.delete_model_version_tag(self.model, number, name)
            elif version.tags.get(name) != str(value):  # over HTTP each takes its time
                self._client.set_model_version_tag(self.model, number, name, str(value))
                version.tags[name] = str(value)

    def network(self, version: Version) -> Path | None:
        """The file of a version's network on this disk, fetched from elsewhere; None if gone.

        A store that does not answer is another matter: what it raises goes on.
        """
        from mlflow.exceptions import MlflowException

        try:
            file = _download(f"models:/{self.model}/{version.number}") / FILE
        except FileNotFoundError:
            return None
        except MlflowException as error:
            if error.error_code in GONE:
                return None
            raise
        return file if file.is_file() else None


def fetch_version(
    address: str, model: str, which: str
) -> tuple[int, str | None, dict[str, str], Path]:
    """Number, run, tags and folder of a version, by number or alias, through MLflow.

    Raises:
        UserError: there is none, or the server does not answer.
    """
    from pawprint.tracking.store import reach

    version = find_version(reach(address), model, which)
    if version is None:
        raise no_version(model, which, address)
    folder = _download(f"models:/{model}/{version.number}")
    return version.number, version.run_id, version.tags, folder


def version_of_alias(address: str, model: str, alias: str) -> tuple[int, str | None] | None:
    """Number and run of the version that has an alias, or None where none has it.

    Raises:
        UserError: the store does not answer.
    """
    from mlflow.exceptions import MlflowException

    from pawprint.tracking.store import reach

    client = reach(address)
    try:
        version = _aliased(client, model, alias)
    except MlflowException as error:
        raise UserError(f"{address} does not answer ({first_line(error)})") from None
    return (version.number, version.run_id) if version else None


def fetch_model_of_run(address: str, run_id: str) -> Path:
    """The folder of the network that a run exported, through MLflow.

    Raises:
        UserError: there is none, or the server does not answer.
    """
    from mlflow.exceptions import MlflowException

    from pawprint.tracking.store import reach

    reach(address)
    try:
        return _download(f"runs:/{run_id}/model")
    except (MlflowException, OSError) as error:
        raise UserError(
            f"{address} has no network of a run {run_id} ({first_line(error)}); trials of a sweep "
            "have none before they are promoted"
        ) from None


def find_version(client: MlflowClient, model: str, which: str) -> Version | None:
    """The version with the number or alias ``which``, or None where there is none."""
    from mlflow.exceptions import MlflowException

    if not which.isdecimal():
        return _aliased(client, model, which)
    try:
        return _version(client.get_model_version(model, which))
    except MlflowException as error:
        if error.error_code in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"):
            return None
        raise


def _aliased(client: MlflowClient, model: str, alias: str) -> Version | None:
    from mlflow.exceptions import MlflowException

    try:
        return _version(client.get_model_version_by_alias(model, alias))
    except MlflowException as error:
        if error.error_code in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"):
            return None
        raise


def _key(name: str) -> str:
    """A tag's name as MLflow takes it; a class's may be longer and of other characters."""
    return NOT_IN_NAMES.sub("_", name)[:LONGEST_NAME]


def _version(version: Any) -> Version:
    return Version(int(version.version), version.run_id, dict(version.tags))


def _download(uri: str) -> Path:
    import mlflow

    return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
