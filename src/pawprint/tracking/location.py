"""Where the store is. No MLflow here: the command line asks this before anything else."""

import os
import urllib.parse
from pathlib import Path

from pawprint.config.compose import project_root
from pawprint.config.paths import Paths
from pawprint.system.errors import UserError

_SQLITE = b"SQLite format 3\0"


def store_uri(configured: str | None) -> str:
    """The tracking URI: the configured one, else ``MLFLOW_TRACKING_URI``, else the project's own.

    A relative SQLite path is meant from the project root, whatever the current folder is.
    """
    uri = configured or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    path = sqlite_path(uri)
    if path is not None and not path.is_absolute():
        return f"sqlite:///{Paths(project_root()).lasting / path}"
    return uri


def is_server(uri: str) -> bool:
    """Whether the store is behind HTTP, where it can be away."""
    return uri.startswith(("http://", "https://"))


def sqlite_path(uri: str) -> Path | None:
    """The file of a SQLite store, or None for another kind of store."""
    prefix = "sqlite:///"
    return Path(uri.removeprefix(prefix)) if uri.startswith(prefix) else None


def check_file(path: Path) -> None:
    """See that the file of a SQLite store, where there is one, is readable and such a file.

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


def run_address(uri: str, experiment_id: str, run_id: str) -> str:
    """Where a run's page is: in the server's interface, or in that of `mlflow ui`."""
    base = "http://127.0.0.1:5000"  # where plain `mlflow ui` answers
    if is_server(uri):
        parts = urllib.parse.urlsplit(uri)
        host = parts.netloc.rpartition("@")[2]  # a page is passed on: no password in it
        base = urllib.parse.urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
    return f"{base}/#/experiments/{experiment_id}/runs/{run_id}"


def check_answers(address: str) -> None:
    """Raise a UserError where no HTTP answer comes; behind a proxy any answer will do."""
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
