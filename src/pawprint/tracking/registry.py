"""The MLflow model registry: versions, aliases and the line from a run to the champion."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pawprint.serving.champion import CHAMPION, FILE, no_champion
from pawprint.tracking.location import sqlite_path
from pawprint.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHALLENGER = "challenger"


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
        model: name of the registered model, made where it is missing.
    """

    def __init__(self, store: Store, model: str) -> None:
        from mlflow.exceptions import MlflowException

        self._client = store.client
        self._address = store.uri
        self.model = model
        try:
            self._client.create_registered_model(model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

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

    def version_of(self, run_id: str, model_id: str) -> Version:
        """The version made from this run's model; registered now where there is none yet."""
        for version in self._client.search_model_versions(
            f"name = '{self.model}' AND run_id = '{run_id}'"
        ):
            if version.source == f"models:/{model_id}":
                return _version(version)
        source = f"models:/{model_id}"
        return _version(
            self._client.create_model_version(self.model, source, run_id=run_id, model_id=model_id)
        )

    def point(self, alias: str, version: Version) -> None:
        """Give ``alias`` to ``version``; whoever had it loses it in the same moment."""
        self._client.set_registered_model_alias(self.model, alias, str(version.number))

    def set_tags(self, version: Version, tags: Mapping[str, Any]) -> None:
        """Set tags on a version."""
        for key, value in tags.items():
            self._client.set_model_version_tag(self.model, str(version.number), key, str(value))

    def network(self, version: Version) -> Path | None:
        """The file of a version's network on this disk, fetched from elsewhere; None if gone."""
        from mlflow.exceptions import MlflowException

        try:
            file = _download(f"models:/{self.model}/{version.number}") / FILE
        except (MlflowException, OSError):
            return None
        return file if file.is_file() else None


def fetch_champion(address: str, model: str) -> tuple[int, Path]:
    """Version and folder of the champion, through MLflow.

    Raises:
        UserError: there is no champion, or the server does not answer.
    """
    from pawprint.tracking.store import reach

    client = reach(address)
    champion = _aliased(client, model, CHAMPION)
    if champion is None:
        raise no_champion(model, address)
    return champion.number, _download(f"models:/{model}/{champion.number}")


def _aliased(client: MlflowClient, model: str, alias: str) -> Version | None:
    from mlflow.exceptions import MlflowException

    try:
        return _version(client.get_model_version_by_alias(model, alias))
    except MlflowException as error:
        if error.error_code in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"):
            return None
        raise


def _version(version: Any) -> Version:
    return Version(int(version.version), version.run_id, dict(version.tags))


def _download(uri: str) -> Path:
    import mlflow

    return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
