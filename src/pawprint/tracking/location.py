"""Where the store is. No MLflow here: the command line asks this before anything else."""

import os
import shlex
import sqlite3
import urllib.parse
from base64 import b64encode
from collections import Counter
from collections.abc import Set
from contextlib import closing
from pathlib import Path

from pawprint.config.compose import find_project, project_root
from pawprint.config.paths import Paths
from pawprint.data.sources.address import without_credentials
from pawprint.system.errors import UserError
from pawprint.tracking.names import CHAMPION, NETWORK_FILE, is_file

_SQLITE = b"SQLite format 3\0"
_SQLITE_URL = "sqlite:///"
_ARTIFACTS = "mlruns"  # the folder of a store's artifacts, beside it
_ADDRESSES = (
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("experiments", "artifact_location"),
)
_ALL_ADDRESSES = " UNION ".join(f"SELECT {column} FROM {table}" for table, column in _ADDRESSES)


def store_uri(configured: str | None) -> str:
    """The tracking URI: the configured one, else ``MLFLOW_TRACKING_URI``, else the project's own.

    A relative SQLite path is meant from the project root, whatever the current folder in it is.
    """
    return _from_root(configured or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db")


def registry_uri(tracking: str) -> str:
    """Where versions are registered: ``MLFLOW_REGISTRY_URI``, else the tracking store itself.

    Args:
        tracking: of that store, as ``store_uri`` gives it.
    """
    return _from_root(os.environ.get("MLFLOW_REGISTRY_URI") or tracking)


def _from_root(uri: str) -> str:
    path = sqlite_path(uri)
    if path is not None and not path.is_absolute():
        root = find_project() if _named_store() else project_root()
        return sqlite_uri((Paths(root).lasting if root else Path.cwd()) / path)
    return uri


def _named_store() -> bool:
    """Whether the environment says where the store is."""
    return bool(os.environ.get("MLFLOW_TRACKING_URI"))


def stands_alone(name: str) -> bool:
    """Whether a network of that name is found without a project, and nothing of one counts.

    A file is; outside of any project, what the store at ``MLFLOW_TRACKING_URI`` holds is too.
    """
    return is_file(name) or (_named_store() and find_project() is None)


def shown_address(address: str) -> str:
    """A store's address as sentences name it: without a password."""
    return address if address.startswith(_SQLITE_URL) else without_credentials(address)


def is_server(uri: str) -> bool:
    """Whether the store is behind HTTP, where it can be away."""
    return uri.startswith(("http://", "https://"))


def sqlite_uri(path: Path) -> str:
    """The tracking URI of a SQLite store in the file at an absolute path; see ``sqlite_path``."""
    text = str(path)
    if "%" in text or "?" in text:
        # SQLAlchemy takes it apart again. Slashes too, as MLflow makes the folders that it sees.
        text = urllib.parse.quote(text, safe="")
    return f"{_SQLITE_URL}{text}"


def sqlite_path(uri: str) -> Path | None:
    """The file of a SQLite store, or None for another kind of store."""
    if not uri.startswith(_SQLITE_URL):
        return None
    return Path(urllib.parse.unquote(uri.removeprefix(_SQLITE_URL).partition("?")[0]))


def check_file(path: Path) -> None:
    """See that the file of a SQLite store, where there is one, is readable, such a file and whole.

    Raises:
        UserError: it is not. MLflow would try again for minutes.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(len(_SQLITE))
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(
            f"the store {path} cannot be read ({error.strerror}); mend that, or see tracking in "
            "params.yaml and MLFLOW_TRACKING_URI"
        ) from None
    if begin not in (b"", _SQLITE):
        raise UserError(
            f"{path} is no SQLite database, as the store of MLflow is one; see tracking in "
            "params.yaml and MLFLOW_TRACKING_URI"
        )
    if begin and _is_half_made(path):
        raise UserError(
            f"the store {path} is half made, because what made it was stopped; nothing is recorded "
            f"in it: remove it, as by `rm '{path}'`, or wait where `mlflow ui` is making it at "
            "this moment"
        )


def _is_half_made(path: Path) -> bool:
    """Whether MLflow began to make its tables in that database, but did not come to the end."""
    tables = "SELECT name FROM sqlite_master WHERE name IN ('experiments', 'alembic_version')"
    try:
        with closing(_opened(path)) as database:
            there = {name for (name,) in database.execute(tables)}
            if "experiments" not in there:  # empty, or of somebody else
                return False
            if "alembic_version" not in there:
                return True
            return database.execute("SELECT * FROM alembic_version").fetchone() is None
    except sqlite3.Error:  # locked, say: who opens it next tells that
        return False


def _opened(path: Path, timeout: float = 5) -> sqlite3.Connection:
    """The database, not only to read: SQLite first undoes what a killed process left half done."""
    address = f"{path.absolute().as_uri()}?mode=rw"  # which makes none
    return sqlite3.connect(address, timeout, uri=True)


def query(database: Path | None, sql: str, *values: object) -> list[tuple] | None:
    """The rows, only read; None where there is no such SQLite store of this MLflow.

    Importing MLflow takes seconds that a person would wait.

    Raises:
        UserError: the store is locked or cannot be read.
    """
    if database is None:
        return None
    check_file(database)
    try:
        with closing(_opened(database)) as connection:
            return connection.execute(sql, values).fetchall()
    except sqlite3.Error as error:
        if "locked" in str(error) or "busy" in str(error):
            raise UserError(f"the store {database} is locked; try again when it is free") from None
        return None


def local_folder(location: object) -> Path | None:
    """The folder on this disk of an artifact's address, or None where it is elsewhere."""
    if not (text := str(location)).startswith(("/", "file://")):
        return None
    if text.startswith("file:"):
        text = urllib.parse.unquote(urllib.parse.urlparse(text).path)
    return Path(text)


def artifact_folder(database: Path | None, location: object) -> Path | None:
    """As ``local_folder``; of a project that was moved or copied, what lies in it goes first."""
    folder = local_folder(location)
    if folder is None or database is None:
        return folder
    here = _moved(folder, _origins(database), database)
    return here if here and here.exists() else folder


def adopt_artifacts(database: Path) -> str | None:
    """Let the addresses in a store that came here with its project lead to this project.

    New artifacts are written here. An address stays as it was where its files are only there; that
    is tried again the next time.

    Args:
        database: another store than the project's own stays as it is.

    Returns:
        A sentence on those that stayed, if any.
    """
    if not _origins(database):
        return None
    stayed: Counter[Path] = Counter()
    with closing(sqlite3.connect(database, timeout=60, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        origins = _origins(database)  # none where another process was quicker
        for table, column in _ADDRESSES if origins else ():
            rows = connection.execute(f"SELECT rowid, {column} FROM {table}").fetchall()
            for row, address in rows:
                there = local_folder(address)
                here = _moved(there, origins, database) if there else None
                if there is None or here is None:
                    continue
                if table != "experiments" and there.exists() and not here.exists():
                    stayed[_artifacts_around(there) or there] += 1
                    continue
                if stayed and (table, row) == ("experiments", 0):
                    continue  # it tells where the others were
                text = here.as_uri() if address.startswith("file:") else str(here)
                sql = f"UPDATE {table} SET {column} = ? WHERE rowid = ?"
                connection.execute(sql, (text, row))
        connection.execute("COMMIT")
    if not stayed:
        return None
    old = [str(origin) for origin in stayed]
    return (
        f"{stayed.total()} artifact addresses of {database} still lead to {' and '.join(old)}, and "
        "their files are there alone; bring them here with "
        f"`{shlex.join(['cp', '-rn', *old, str(database.parent)])}`"
    )


def _origins(database: Path) -> set[Path]:
    """Where the artifacts of the project's own store were before it came here.

    Whichever client made the store, some address tells: that of MLflow's default experiment may be
    a server's. A folder that is there without a store beside it is somebody's choice.
    """
    root = find_project()
    if root is None or database != Paths(root).lasting / "mlflow.db":
        return set()
    origins = set()
    for (address,) in query(database, _ALL_ADDRESSES) or ():
        folder = local_folder(address)
        artifacts = _artifacts_around(folder) if folder else None
        if artifacts and artifacts.parent != database.parent:
            is_default = folder == artifacts / "0"  # as old as the store, and where that was made
            origins.add((artifacts, is_default))
    return {
        artifacts
        for artifacts, is_default in origins
        if is_default or not artifacts.exists() or (artifacts.parent / database.name).exists()
    }


def _artifacts_around(folder: Path) -> Path | None:
    """The innermost folder of a store's artifacts that an address is, or is in."""
    return next((path for path in (folder, *folder.parents) if path.name == _ARTIFACTS), None)


def _moved(folder: Path, origins: Set[Path], database: Path) -> Path | None:
    old = _artifacts_around(folder)
    if old is None or old not in origins:
        return None
    return database.parent / _ARTIFACTS / folder.relative_to(old)


def check_runs(configured: str | None) -> None:
    """See that the tracking store is there, which must not be made by looking at it.

    Args:
        configured: as of ``store_uri``.

    Raises:
        UserError: there is none.
    """
    path = sqlite_path(store_uri(configured))
    if path is None or path.exists():
        return
    way = "train and evaluate with `dvc repro`"
    if Paths(project_root()).evaluated.exists():  # as in a clone
        way = "`dvc repro -sf evaluate register` records the evaluated network in it"
    raise UserError(f"{path} has no run yet; {way}")


def no_champion(model: str, address: str) -> UserError:
    """The sentence for a registry without a champion."""
    root, way = find_project(), champion_in_dvc()
    if not way and root and Paths(root).evaluated.exists():
        way = "`dvc repro -sf register` takes the evaluated network to the gate"
    repro = "`dvc repro`" if root else "`dvc repro` in a project"
    way = way or f"{repro} trains, evaluates and registers one"
    return UserError(f"{champion_missing(model, address)}; {way}")


def champion_missing(model: str, address: str) -> str:
    """That there is none, in words that others follow."""
    return f"no champion of {model} is registered in {shown_address(address)}"


def champion_in_dvc() -> str | None:
    """How to get the champion's network that `dvc.lock` knows; None where there is nothing to get.

    It answers where the store has none.
    """
    root = find_project()
    if root is None:
        return None
    paths = Paths(root)
    lock = paths.root / "dvc.lock"
    if (paths.champion / NETWORK_FILE).exists() or not lock.is_file():
        return None
    if "path: models/champion\n" not in lock.read_text(encoding="utf-8"):
        return None
    return (
        "get models/champion, which then answers, with `dvc pull` (or with `dvc checkout`, where "
        "DVC's cache has it)"
    )


def no_version(model: str, which: str, address: str) -> UserError:
    """The sentence for a registry without that version or alias."""
    if which == CHAMPION:
        return no_champion(model, address)
    word = f"version {which}" if which.isdecimal() else f"alias {which}"
    where = shown_address(address)
    return UserError(f"{where} has no {word} of {model}; `mlflow ui` shows what there is")


def run_address(uri: str, experiment_id: str, run_id: str) -> str:
    """Where a run's page is: in the server's interface, or in that of `mlflow ui`."""
    base = "http://127.0.0.1:5000"  # where plain `mlflow ui` answers
    if is_server(uri):
        base = shown_address(uri).rstrip("/")  # a page is passed on: no password in it
    return f"{base}/#/experiments/{experiment_id}/runs/{run_id}"


def check_answers(address: str) -> None:
    """See that a store takes something at this moment; where it does not, MLflow waits for long.

    Raises:
        UserError: a server does not answer (behind a proxy any answer will do), or another process
            keeps a SQLite store locked.
    """
    if (path := sqlite_path(address)) is not None:
        try:
            with closing(_opened(path, timeout=1)) as database:
                database.execute("BEGIN IMMEDIATE").close()
        except sqlite3.Error as error:
            raise UserError(f"the store {path} cannot be written ({error})") from None
    if not is_server(address):
        return
    import urllib.error
    import urllib.request

    parts = urllib.parse.urlsplit(address)
    request = urllib.request.Request(f"{shown_address(address).rstrip('/')}/health")
    if parts.username is not None:
        given = (
            f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        )
        request.add_header("Authorization", f"Basic {b64encode(given.encode()).decode()}")
    try:
        urllib.request.urlopen(request, timeout=5).close()
    except urllib.error.HTTPError:
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"the tracking server {shown_address(address)} does not answer ({reason}); start it, "
            "or record locally with tracking=local and without MLFLOW_TRACKING_URI"
        ) from None
