"""The MLflow model registry by plain operations: versions, aliases, tags and files."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pawprint.system.errors import UserError, first_line
from pawprint.system.lock import locked
from pawprint.tracking.description import may_replace, signed
from pawprint.tracking.location import local_folder, registry_uri, shown_address, sqlite_path
from pawprint.tracking.names import CHAMPION, NETWORK_FILE, mlflow_name
from pawprint.tracking.store import Store, explained, reach

if TYPE_CHECKING:
    from mlflow import MlflowClient

_T = TypeVar("_T")

_MISSING = ("RESOURCE_DOES_NOT_EXIST",)
_NOTE = "mlflow.note.content"  # a run's description
_GONE = (*_MISSING, "INVALID_PARAMETER_VALUE")  # the latter of an alias that no version has


@dataclass(frozen=True)
class Version:
    """A version of the registered model with its tags."""

    number: int
    run_id: str
    tags: dict[str, str]


@dataclass(frozen=True)
class Registry:
    """The versions of one registered model.

    Attributes:
        client: of the tracking store and its registry.
        address: of the store that has them; see ``registry_uri``.
        model: name of the registered model, made with its first version.
    """

    client: MlflowClient
    address: str
    model: str

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Let other processes that change this registry wait, where the store is a local one."""
        path = sqlite_path(self.address)
        if path is None:
            return contextlib.nullcontext()
        busy = f"another process is changing the registry in {path}; waiting for it"
        return locked(path.with_name(f"{path.name}.register.lock"), busy=busy, patience=None)

    def find(self, which: str) -> Version | None:
        """The version with that number or alias, or None where there is none."""
        return self.version(int(which)) if which.isdecimal() else self.with_alias(which)

    def version(self, number: int) -> Version | None:
        """The version of that number, or None where there is none."""
        found = existing(lambda: self.client.get_model_version(self.model, str(number)))
        return _version(found) if found else None

    def with_alias(self, alias: str) -> Version | None:
        """The version with that alias, or None where none has it."""
        found = existing(lambda: self.client.get_model_version_by_alias(self.model, alias))
        return _version(found) if found else None

    def champion(self) -> Version | None:
        """The version with the alias `champion`, if there is one."""
        return self.with_alias(CHAMPION)

    def has_champion(self, number: int | None) -> bool:
        """Whether the champion is still version ``number``, or still nobody where that is None."""
        champion = self.champion()
        return number == (champion.number if champion else None)

    def newest(self) -> int:
        """The highest number of a version, 0 where there is none."""
        found = self.client.search_model_versions(
            f"name = '{self.model}'", max_results=1, order_by=["version_number DESC"]
        )
        return int(found[0].version) if found else 0

    def add_version(self, run_id: str, model_id: str, tags: Mapping[str, Any]) -> Version:
        """The version made from this run's model, with these tags; registered now if need be."""
        from mlflow.exceptions import MlflowException

        source = f"models:/{model_id}"
        query = f"name = '{self.model}' AND run_id = '{run_id}'"
        for found in self.client.search_model_versions(query):
            if found.source == source:
                version = _version(found)
                self.set_tags(version, tags)
                return version
        try:
            self.client.create_registered_model(self.model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        texts = {mlflow_name(key): str(value) for key, value in tags.items()}
        made = self.client.create_model_version(
            self.model, source, run_id=run_id, tags=texts, model_id=model_id
        )
        return _version(made)

    def set_alias(self, alias: str, number: int) -> None:
        """Give ``alias`` to a version; whoever had it loses it in the same moment."""
        self.client.set_registered_model_alias(self.model, alias, str(number))

    def set_tags(self, version: Version, tags: Mapping[str, Any]) -> None:
        """Set tags on a version; one that is None is taken away."""
        number = str(version.number)
        for key, value in tags.items():
            name = mlflow_name(key)
            if value is None:
                if version.tags.pop(name, None) is not None:
                    self.client.delete_model_version_tag(self.model, number, name)
            elif version.tags.get(name) != str(value):  # over HTTP each takes its time
                self.client.set_model_version_tag(self.model, number, name, str(value))
                version.tags[name] = str(value)

    def model_tags(self) -> dict[str, str]:
        """The tags of the registered model itself; none where there is no such model."""
        found = existing(lambda: self.client.get_registered_model(self.model), _MISSING)
        return dict(found.tags) if found else {}

    def set_model_tag(self, name: str, text: str) -> None:
        """Set a tag on the registered model itself."""
        self.client.set_registered_model_tag(self.model, name, text)

    def run_of(self, version: Version) -> Any:
        """MLflow's run that a version is of, or None where there is none any more."""
        if not version.run_id:  # made by hand
            return None
        run = existing(lambda: self.client.get_run(version.run_id), _MISSING)
        return run if run is None or run.info.lifecycle_stage == "active" else None

    def tag_run(self, version: Version, tags: Mapping[str, str | None]) -> None:
        """Set those tags that are not None on the run that a version is of, if it is there."""
        from mlflow.entities import RunTag

        if self.run_of(version) is not None:
            given = [RunTag(key, text) for key, text in tags.items() if text is not None]
            self.client.log_batch(version.run_id, tags=given)

    def describe(self, version: Version, text: str) -> None:
        """Describe a version and its run, in Markdown; what a person wrote there stays."""
        text, number = signed(text), str(version.number)
        if may_replace(self.client.get_model_version(self.model, number).description):
            self.client.update_model_version(self.model, number, text)
        run = self.run_of(version)
        if run is not None and may_replace(run.data.tags.get(_NOTE)):
            self.client.set_tag(version.run_id, _NOTE, text)

    def describe_model(self, text: str) -> None:
        """Describe the registered model, in Markdown; what a person wrote there stays."""
        if may_replace(self.client.get_registered_model(self.model).description):
            self.client.update_registered_model(self.model, signed(text))

    def network(self, version: Version) -> Path | None:
        """The file of a version's network on this disk, fetched from elsewhere; None if gone.

        A store that does not answer is another matter: what it raises goes on.
        """
        try:
            folder = existing(lambda: _download(f"models:/{self.model}/{version.number}"))
        except FileNotFoundError:
            return None
        file = folder / NETWORK_FILE if folder else None
        return file if file and file.is_file() else None

    def folder_of(self, version: Version) -> str:
        """Where a version's network is, or was: a folder of this disk or an address."""
        address = self.client.get_model_version_download_uri(self.model, str(version.number))
        return str(local_folder(address) or address)


def registry_of(store: Store, model: str) -> Registry:
    """The versions of the registered model ``model`` that belong to the runs of a store."""
    return Registry(store.client, registry_uri(store.uri), model)


def existing(read: Callable[[], _T], codes: Sequence[str] = _GONE) -> _T | None:
    """What ``read`` returns; None where MLflow says by one of these codes that it is not there."""
    from mlflow.exceptions import MlflowException

    try:
        return read()
    except MlflowException as error:
        if error.error_code in codes:
            return None
        raise


def fetch_version(tracking: str, model: str, which: str) -> tuple[Version, Path] | None:
    """A version, by number or alias, and its network on this disk, through MLflow.

    Args:
        tracking: address of the tracking store.
        model: name of the registered model.
        which: number or alias.

    Returns:
        None where there is none; a network that is gone is a file that is not there.

    Raises:
        UserError: the server does not answer, or refuses us.
    """
    registry = _registry_at(tracking, model)
    with explained(registry.address):
        version = registry.find(which)
        if version is None:
            return None
        gone = Path(registry.folder_of(version)) / NETWORK_FILE
        return version, registry.network(version) or gone


def version_of_alias(tracking: str, model: str, alias: str) -> tuple[int, str | None] | None:
    """Number and run of the version that has an alias, or None where none has it.

    Raises:
        UserError: the server does not answer, or refuses us.
    """
    registry = _registry_at(tracking, model)
    with explained(registry.address):
        version = registry.with_alias(alias)
    return (version.number, version.run_id) if version else None


def _registry_at(tracking: str, model: str) -> Registry:
    """The registry of a tracking store, to look into; no store is made by looking."""
    address, path = registry_uri(tracking), sqlite_path(tracking)
    client = reach(tracking if path is None or path.exists() else address)
    return Registry(client, address, model)


def fetch_model_of_run(address: str, run_id: str) -> Path:
    """The folder of the network that a run exported, through MLflow.

    Raises:
        UserError: there is none, or the server does not answer.
    """
    from mlflow.exceptions import MlflowException

    client = reach(address)
    with explained(address):
        run = existing(lambda: client.get_run(run_id))
    reason = "there is no such run"
    try:
        if run is not None:
            return _download(f"runs:/{run_id}/model")
    except (MlflowException, OSError) as error:
        reason = first_line(error)
    raise UserError(
        f"{shown_address(address)} has no network of a run {run_id} ({reason}); trials of a sweep "
        "have none before they are promoted"
    )


def artifact_text(client: MlflowClient, run_id: str, name: str) -> str | None:
    """The text of a run's artifact, by its path; None where it is not there."""
    from mlflow.exceptions import MlflowException

    try:
        listed = client.list_artifacts(run_id, name.rpartition("/")[0] or None)
        if name not in {artifact.path for artifact in listed}:
            return None
        with tempfile.TemporaryDirectory() as place:
            file = Path(client.download_artifacts(run_id, name, place))
            return file.read_bytes().decode("utf-8", "surrogateescape")
    except (MlflowException, OSError):  # artifacts of another machine, or removed
        return None


def _version(version: Any) -> Version:
    return Version(int(version.version), version.run_id, dict(version.tags))


def _download(uri: str) -> Path:
    import mlflow

    return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
