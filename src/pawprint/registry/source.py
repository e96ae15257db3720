"""Finding an exported network by its name, and what is known of it.

The project's own store is read at once, any other one by MLflow; of a network in a file tells the
record that the register stage wrote into the same folder.
"""

import hashlib
import json
import re
import sqlite3
import urllib.parse
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pawprint.config.paths import Paths
from pawprint.system.errors import UserError
from pawprint.tracking.location import check_file, sqlite_path, store_uri
from pawprint.tracking.names import CHAMPION, FORMS, NETWORK_FILE, is_file, no_version
from pawprint.tracking.registry import fetch_model_of_run, fetch_version, version_of_alias

_REGISTERED = re.compile(r"models:/(?P<model>[^@/]+)(?:@(?P<alias>[^@/]+)|/(?P<version>\d{1,15}))")
_OF_RUN = re.compile(r"runs:/(?P<run>[^/]+)(?:/model)?/?")

# MLflow's own tables, read only: importing MLflow takes seconds that a person would wait.
_BY_NUMBER = """
    SELECT version, run_id, storage_location FROM model_versions WHERE name = ? AND version = ?
"""
_BY_ALIAS = """
    SELECT version, run_id, storage_location FROM registered_model_aliases
    LEFT JOIN model_versions USING (name, version) WHERE name = ? AND alias = ?
"""
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
    """The version that has the alias of models:/NAME@ALIAS now, and its run; None if none has it.

    Nothing is fetched, so that a server can look every few seconds.

    Raises:
        UserError: the store does not answer.
    """
    match = _REGISTERED.fullmatch(name)
    if match is None or match["alias"] is None:
        raise ValueError(f"{name} has no alias")
    model, alias = match.group("model", "alias")
    address = store_uri(uri)
    path = sqlite_path(address)
    if path is not None and not path.exists():  # MLflow would make a new one
        raise UserError(f"{path} is gone; put it back, or register a champion with `dvc repro`")
    rows = _query(path, _BY_ALIAS, model, alias)
    if rows is None:
        return version_of_alias(address, model, alias)
    return (int(rows[0][0]), rows[0][1]) if rows else None


def has_alias(name: str) -> bool:
    """Whether a network's name is models:/NAME@ALIAS, which may mean another one tomorrow."""
    match = _REGISTERED.fullmatch(name)
    return match is not None and match["alias"] is not None


def record_file(network: Path) -> Path:
    """Where the register stage writes of the network in that file."""
    return Paths(network.parent, own=network.parent).registered


def record_of(content: bytes, tags: Mapping[str, Any]) -> dict[str, Any]:
    """What a record holds so that ``with_facts`` knows the network by it.

    Args:
        content: of the network's file.
        tags: of its version.
    """
    accuracy = ("test_accuracy", "test_accuracy_low", "test_accuracy_high")
    facts = {name: tags.get(name) for name in (*accuracy, "data_digest", "git_commit")}
    return {"network": hashlib.sha256(content).hexdigest(), **facts}


def with_facts(source: Source, content: bytes) -> Source:
    """The source of a network's file with version, run, data and accuracy.

    They come from the record in the file's folder, where that is of this very network.

    Args:
        source: of a file; another one has its facts from the store, and stays as it is.
        content: of the file.
    """
    if source.model or source.run_id:
        return source
    try:
        facts = json.loads(record_file(source.network).read_bytes())
    except (OSError, ValueError, RecursionError):
        return source
    if not isinstance(facts, dict) or facts.get("network") != hashlib.sha256(content).hexdigest():
        return source  # not by the run: train writes its network before its run, register later
    model, version, run_id = (facts.get(key) for key in ("model", "version", "run_id"))
    if not (isinstance(model, str) and type(version) is int and isinstance(run_id, str)):
        return source
    tags = {name: str(fact) for name, fact in facts.items() if fact is not None}
    name = f"{model} version {version}"
    return replace(source, name=name, model=model, version=version, run_id=run_id, tags=tags)


def _registered(address: str, model: str, alias: str | None, version: str | None) -> Source:
    which = version or str(alias)
    path = sqlite_path(address)
    if path is not None and not path.exists():
        raise no_version(model, which, address)
    rows = _query(path, _BY_ALIAS if alias else _BY_NUMBER, model, which)
    folder = _local(rows[0][2]) if rows else None
    if rows and folder is not None:
        number, run_id = int(rows[0][0]), rows[0][1]
        tags = dict(_query(path, _TAGS, model, number) or ())
    else:  # a server, no such version, or a store of another MLflow
        fetched, folder = fetch_version(address, model, which)
        number, run_id, tags = fetched.number, fetched.run_id, fetched.tags
    network = folder / NETWORK_FILE
    if not network.is_file():
        who = "the champion" if alias == CHAMPION else alias or f"version {version}"
        raise UserError(
            f"{who} of {model} is version {number}, but its network {network} is gone; train "
            "another one with `dvc repro --force train` and `dvc repro`"
        )
    return Source(f"{model} version {number}", network, model, number, run_id, tags)


def _of_run(address: str, run_id: str) -> Source:
    rows = _query(sqlite_path(address), _LOGGED, run_id)
    folder = _local(rows[0][0]) if rows else None
    network = (folder or fetch_model_of_run(address, run_id)) / NETWORK_FILE
    if not network.is_file():
        raise UserError(f"the network of the run {run_id}, {network}, is gone; train again")
    return Source(f"run {run_id}", network, run_id=run_id)


def _query(database: Path | None, query: str, *values: object) -> list[tuple] | None:
    """The rows, or None where the store is no local store of this MLflow, or not there."""
    if database is None:
        return None
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
