"""Finding an exported network by its name: at once in the project's own store, else by MLflow."""

from __future__ import annotations

import re
import sqlite3
import urllib.parse
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from pawprint.system.errors import UserError
from pawprint.tracking.location import check_file, sqlite_path, store_uri
from pawprint.tracking.names import CHAMPION, FILE, no_version

FORMS = "models:/NAME@ALIAS, models:/NAME/VERSION, runs:/RUN or a file"

_REGISTERED = re.compile(r"models:/(?P<model>[^@/]+)(?:@(?P<alias>[^@/]+)|/(?P<version>\d{1,15}))")
_OF_RUN = re.compile(r"runs:/(?P<run>[^/]+)(?:/model)?/?")

# MLflow's own tables, read only: importing MLflow takes seconds that a person would wait.
_ALIASED = "SELECT version FROM registered_model_aliases WHERE name = ? AND alias = ?"
_NOW = """
    SELECT version, run_id FROM registered_model_aliases LEFT JOIN model_versions
    USING (name, version) WHERE name = ? AND alias = ?
"""
_VERSION = "SELECT storage_location, run_id FROM model_versions WHERE name = ? AND version = ?"
_TAGS = "SELECT key, value FROM model_version_tags WHERE name = ? AND version = ?"
_LOGGED = """
    SELECT artifact_location FROM logged_models
    WHERE source_run_id = ? AND name = 'model' AND lifecycle_stage = 'active'
    ORDER BY creation_timestamp_ms DESC
"""


@dataclass(frozen=True)
class Source:
    """The file of an exported network, and where it comes from as far as that is known.

    Attributes:
        name: what to call it, as "pawprint version 3".
        network: the ONNX file, on this machine's disk.
        model: the registered model's name.
        version: its version.
        run_id: the run that trained it.
        tags: the version's, as MLflow has them.
    """

    name: str
    network: Path
    model: str | None = None
    version: int | None = None
    run_id: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


def find_champion(uri: str | None, model: str) -> Source:
    """The network of `models:/<model>@champion`; see ``find_network``."""
    return find_network(f"models:/{model}@{CHAMPION}", uri)


def find_network(name: str, uri: str | None) -> Source:
    """The network of that name.

    Args:
        name: models:/NAME@ALIAS, models:/NAME/VERSION, runs:/RUN, or the path of an ONNX file.
        uri: configured tracking URI, or None for `MLFLOW_TRACKING_URI` or the project's own.

    Raises:
        UserError: there is no such network, its files are gone, or the store does not answer.
    """
    if match := _REGISTERED.fullmatch(name):
        model, alias, version = match.group("model", "alias", "version")
        return _registered(store_uri(uri), model, alias, version)
    if match := _OF_RUN.fullmatch(name):
        return _of_run(store_uri(uri), match["run"])
    if not is_file(name):
        raise UserError(f"{name} names no model; give {FORMS}")
    path = Path(name)
    if not path.is_file():
        raise UserError(f"{name or 'an empty name'} is no file; give {FORMS}")
    return Source(str(path), path)


def version_now(name: str, uri: str | None) -> tuple[int, str | None] | None:
    """The version to which the alias in models:/NAME@ALIAS points now, and its run; None where to
    none.

    Nothing is fetched: it can be asked again and again.

    Raises:
        UserError: the store does not answer.
    """
    match = _REGISTERED.fullmatch(name)
    if match is None or match["alias"] is None:
        raise ValueError(f"{name} has no alias.")
    model, alias = match.group("model", "alias")
    address = store_uri(uri)
    path = sqlite_path(address)
    if path is not None and not path.exists():  # MLflow would make a new one
        raise UserError(f"{path} is gone; put it back, or register a champion with `dvc repro`")
    rows = _query(path, _NOW, model, alias) if path is not None else None
    if rows is not None:
        return (int(rows[0][0]), rows[0][1]) if rows else None
    from pawprint.tracking.registry import version_of_alias

    return version_of_alias(address, model, alias)


def is_file(name: str) -> bool:
    """Whether a network's name is the path of a file, and nothing that MLflow knows."""
    return not name.startswith(("models:", "runs:"))


def has_alias(name: str) -> bool:
    """Whether a network's name is models:/NAME@ALIAS, which may mean another one tomorrow."""
    match = _REGISTERED.fullmatch(name)
    return match is not None and match["alias"] is not None


def version_name(model: str, version: int) -> str:
    """What to call a registered version."""
    return f"{model} version {version}"


def _registered(address: str, model: str, alias: str | None, version: str | None) -> Source:
    which = version or str(alias)
    path = sqlite_path(address)
    if path is not None and not path.exists():
        raise no_version(model, which, address)
    found = _look_up_version(path, model, alias, version) if path is not None else None
    if found is None:  # a server, no such version, or a store of another MLflow
        from pawprint.tracking.registry import fetch_version

        number, run_id, tags, folder = fetch_version(address, model, which)
        found = Source(version_name(model, number), folder / FILE, model, number, run_id, tags)
    if not found.network.is_file():
        who = "the champion" if alias == CHAMPION else alias or f"version {version}"
        raise UserError(
            f"{who} of {model} is version {found.version}, but its network {found.network} is "
            "gone; train another one with `dvc repro --force train` and `dvc repro`"
        )
    return found


def _of_run(address: str, run_id: str) -> Source:
    path = sqlite_path(address)
    rows = _query(path, _LOGGED, run_id) if path is not None and path.exists() else None
    folder = _local(rows[0][0]) if rows else None
    if folder is None:
        from pawprint.tracking.registry import fetch_model_of_run

        folder = fetch_model_of_run(address, run_id)
    if not (folder / FILE).is_file():
        raise UserError(f"the network of the run {run_id}, {folder / FILE}, is gone; train again")
    return Source(f"run {run_id}", folder / FILE, run_id=run_id)


def _look_up_version(
    database: Path, model: str, alias: str | None, version: str | None
) -> Source | None:
    rows = _query(database, _ALIASED, model, alias) if alias else [(version,)]
    if not rows:
        return None
    number = int(rows[0][0])
    rows = _query(database, _VERSION, model, number)
    folder = _local(rows[0][0]) if rows else None
    if not rows or folder is None:
        return None
    tags = dict(_query(database, _TAGS, model, number) or ())
    return Source(version_name(model, number), folder / FILE, model, number, rows[0][1], tags)


def _query(database: Path, query: str, *values: object) -> list[tuple] | None:
    """The rows, or None where the store is no store of this MLflow."""
    check_file(database)
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute(query, values).fetchall()
    except sqlite3.Error as error:
        if "locked" in str(error) or "busy" in str(error):
            raise UserError(f"the store {database} is locked; try again when it is free") from None
        return None


def _local(location: object) -> Path | None:
    """The folder on this disk of an artifact location, or None where it is elsewhere."""
    if not (text := str(location)).startswith(("/", "file://")):
        return None
    return Path(urllib.parse.unquote(urllib.parse.urlparse(text).path))
