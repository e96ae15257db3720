"""Finding the champion's network: at once in the project's own store, else through MLflow."""

from __future__ import annotations

import sqlite3
import urllib.parse
import urllib.request
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pawprint.errors import UserError
from pawprint.tracking.location import sqlite_path, store_uri

CHAMPION = "champion"
FILE = "model.onnx"

# MLflow's own tables, read only: importing MLflow takes seconds that a person would wait.
QUERY = """
    SELECT versions.version, versions.storage_location
    FROM registered_model_aliases AS aliases
    JOIN model_versions AS versions USING (name, version)
    WHERE aliases.name = ? AND aliases.alias = ?
"""


@dataclass(frozen=True)
class Champion:
    """A registered version and the file of its network."""

    model: str
    version: int
    network: Path


def find_champion(uri: str | None, model: str) -> Champion:
    """The network of `models:/<model>@champion`, on this machine's disk.

    Args:
        uri: configured tracking URI, or None for `MLFLOW_TRACKING_URI` or the project's own.
        model: name of the registered model.

    Raises:
        UserError: there is no champion, or its files are gone.
    """
    address = store_uri(uri)
    path = sqlite_path(address)
    if path is not None and not path.exists():
        raise no_champion(model, address)
    found = _look_up(path, model) if path is not None else None
    if found is None:  # a server, no champion, or a store of another MLflow
        from pawprint.tracking.registry import fetch_champion

        found = fetch_champion(address, model)
    version, folder = found
    network = folder / FILE
    if not network.is_file():
        raise UserError(
            f"the champion of {model} is version {version}, but its network {network} is gone; "
            "train another one with `dvc repro --force train` and `dvc repro`"
        )
    return Champion(model, version, network)


def no_champion(model: str, address: str) -> UserError:
    """The sentence for a registry without a champion."""
    return UserError(
        f"no champion of {model} is registered in {address}; run `dvc repro` to train, "
        "evaluate and register one"
    )


def _look_up(database: Path, model: str) -> tuple[int, Path] | None:
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            rows = connection.execute(QUERY, (model, CHAMPION)).fetchall()
    except sqlite3.Error:
        return None
    if len(rows) != 1 or not (location := str(rows[0][1])).startswith(("/", "file://")):
        return None
    folder = urllib.request.url2pathname(urllib.parse.urlparse(location).path)
    return int(rows[0][0]), Path(folder)
