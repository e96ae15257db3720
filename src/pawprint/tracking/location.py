"""Where the store is. No MLflow here: the command line asks this before anything else."""

import os
import sqlite3
import urllib.parse
from contextlib import closing
from pathlib import Path

from pawprint.config.compose import project_root
from pawprint.config.paths import Paths
from pawprint.system.errors import UserError

_SQLITE = b"SQLite format 3\0"
_SQLITE_URL = "sqlite:///"


def store_uri(configured: str | None) -> str:
    """The tracking URI: the configured one, else ``MLFLOW_TRACKING_URI``, else the project's own.

    A relative SQLite path is meant from the project root, whatever the current folder is.
    """
    uri = configured or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    path = sqlite_path(uri)
    if path is not None and not path.is_absolute():
        return sqlite_uri(Paths(project_root()).lasting / path)
    return uri


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


def run_address(uri: str, experiment_id: str, run_id: str) -> str:
    """Where a run's page is: in the server's interface, or in that of `mlflow ui`."""
    base = "http://127.0.0.1:5000"  # where plain `mlflow ui` answers
    if is_server(uri):
        parts = urllib.parse.urlsplit(uri)
        host = parts.netloc.rpartition("@")[2]  # a page is passed on: no password in it
        base = urllib.parse.urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
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

    try:
        urllib.request.urlopen(f"{address.rstrip('/')}/health", timeout=5).close()
    except urllib.error.HTTPError:
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"the tracking server {address} does not answer ({reason}); start it, or record "
            "locally with tracking=local and without MLFLOW_TRACKING_URI"
        ) from None
