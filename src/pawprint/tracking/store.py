"""One MLflow store: reaching it, opening runs in it, finding them again."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pawprint.config.compose import project_root
from pawprint.config.paths import Paths
from pawprint.system.errors import UserError, first_line
from pawprint.system.files import replacing_file
from pawprint.system.lock import locked
from pawprint.tracking.location import (
    adopt_artifacts,
    check_answers,
    check_file,
    is_server,
    registry_uri,
    run_address,
    shown_address,
    sqlite_path,
    sqlite_uri,
    store_uri,
)
from pawprint.tracking.names import MODEL_ID_TAG, NETWORK_TAG, RESTORED_FROM_TAG
from pawprint.tracking.run import Run

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

TRAINING_TAG = "training"
OPENING_SECONDS = 120  # that another process may need to make a store


@dataclass(frozen=True)
class Store:
    """A reachable MLflow store with the project's experiment in it."""

    client: MlflowClient
    uri: str
    experiment_id: str

    def open_run(
        self,
        name: str,
        *,
        parent: str | None = None,
        training: str | None = None,
    ) -> Run:
        """Open a run of which nothing is recorded yet.

        Args:
            name: what the run is called in `mlflow ui`.
            parent: run id of the parent under which this run is nested.
            training: what ``find_unfinished`` finds it by.
        """
        tags = {"mlflow.parentRunId": parent} if parent else {}
        if training:
            tags[TRAINING_TAG] = training
        created = self.client.create_run(self.experiment_id, run_name=name, tags=tags)
        return self.run(created.info.run_id)

    def adopt(self, run_id: str, name: str) -> Run | None:
        """Go on in a run that somebody (`mlflow run`) opened for us, under this name.

        Returns:
            The run; None where it has results already, which is told in the log.

        Raises:
            UserError: it is no run of this store.
        """
        run = self.find(run_id)
        if run is None:
            raise UserError(
                f"MLFLOW_RUN_ID is {run_id}, but {self.shown} has no such run; unset that "
                "variable or set MLFLOW_TRACKING_URI to the store that has it"
            )
        if run.has_results:
            log.warning(
                "MLFLOW_RUN_ID is %s, a run that has results already and stays as it is; recording "
                "in another run (`unset MLFLOW_RUN_ID` ends this warning)",
                run_id,
            )
            return None
        self.client.update_run(run_id, status="RUNNING", name=name)
        return run

    def run(self, run_id: str) -> Run:
        """The run with this id, which is there."""
        return Run(self.client, self.uri, run_id)

    @property
    def shown(self) -> str:
        """Its address as sentences name it."""
        return shown_address(self.uri)

    def explained(self) -> contextlib.AbstractContextManager[None]:
        """Where the store fails in the block, a UserError says so in a sentence."""
        return explained(self.uri)

    def address_of(self, run_id: str) -> str:
        """Where a run's page is: in the server's interface, or in that of `mlflow ui`."""
        return run_address(self.uri, self.experiment_id, run_id)

    def find(self, run_id: str) -> Run | None:
        """The run with this id, or None where this store has none (or only a deleted one)."""
        from mlflow.exceptions import MlflowException

        try:
            found = self.client.get_run(run_id)
        except MlflowException:
            return None
        return self.run(run_id) if found.info.lifecycle_stage == "active" else None

    def find_unfinished(self, training: str) -> Run | None:
        """The run that was opened for ``training`` and has no model yet, nor an end, if any."""
        query = f"tags.{TRAINING_TAG} = '{training}' and attributes.status = 'RUNNING'"
        for run in self.search(query):
            if MODEL_ID_TAG not in run.data.tags:  # else all that it lacks is its end
                return self.run(run.info.run_id)
        return None

    def find_of_network(self, run_id: str, network: str) -> Run | None:
        """The run with this id, or the one that was restored from it, if it is of this network.

        Args:
            run_id: that trained the network.
            network: sha256 of its file. A run that has none recorded is of it, too.
        """
        restored = self.search(f"tags.{RESTORED_FROM_TAG} = '{run_id}'")
        runs = [self.find(run_id), *(self.run(found.info.run_id) for found in restored)]
        return next((r for r in runs if r and r.tags.get(NETWORK_TAG, network) == network), None)

    def search(self, query: str, order: str = "DESC") -> Iterator[Any]:
        """MLflow's active runs of the experiment that fit its ``query``, the newest first.

        Args:
            query: in MLflow's words; all runs fit an empty one.
            order: "ASC" for the oldest first.
        """
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment_id],
                query,
                order_by=[f"attributes.start_time {order}"],
                max_results=1000,
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return


def connect(uri: str | None, experiment: str) -> Store:
    """Reach the store (made first where it is the project's own) and its experiment.

    Args:
        uri: configured tracking URI, or None for `MLFLOW_TRACKING_URI` or the project's own.
        experiment: name of the experiment, made where it is missing.

    Raises:
        UserError: the store does not answer (within 10 s), or refuses us.
    """
    address = store_uri(uri)
    try:
        client = reach(address)
        if (path := sqlite_path(address)) and (sentence := adopt_artifacts(path)):
            log.warning("%s", sentence)
        with _creation_lock(address):
            return Store(client, address, _experiment_id(client, address, experiment))
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001 - MLflow's, a driver's, the system's
        raise _unusable(address, error) from None


def _unusable(address: str, error: Exception) -> UserError:
    where = shown_address(address)
    reason = first_line(error).rstrip(".").replace(address.rstrip("/"), where.rstrip("/"))
    if "error code 401" in reason or "error code 403" in reason:
        return UserError(
            f"the tracking server {where} does not let you in ({reason}); set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        )
    return UserError(
        f"the tracking store {where} cannot be used ({reason}); see tracking in params.yaml and "
        "MLFLOW_TRACKING_URI"
    )


@contextlib.contextmanager
def explained(address: str) -> Generator[None]:
    """Where the store at that address fails in the block, a UserError says so in a sentence."""
    import requests
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, requests.RequestException, SQLAlchemyError) as error:
        raise _unusable(address, error) from None


def reach(address: str) -> MlflowClient:
    """A client of the store, which has answered.

    Raises:
        UserError: it does not, or is no store; or so the registry beside it.
    """
    registry = registry_uri(address)
    for one in {address: None, registry: None}:
        if is_server(one):
            check_answers(one)
        elif path := sqlite_path(one):
            check_file(path)
    # MLflow's own patience is minutes; a training must not wait that long for a dead server.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    # Else it tells its makers what is used, and every process waits for that at its end.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Whatever it tells, with a traceback, it also raises: then we tell it.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    names = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
    given = {name: os.environ[name] for name in names if name in os.environ}
    mlflow.set_tracking_uri(address)
    mlflow.set_registry_uri(registry)
    for name in names:  # it wrote them, and they would speak for another project's store too
        os.environ.pop(name, None)
    os.environ.update(given)
    path = sqlite_path(address)
    with explained(address), _creation_lock(address):
        if path is not None and not (path.exists() and path.stat().st_size):
            _make(path.resolve())  # a link stays one
        return mlflow.MlflowClient()


def _make(path: Path) -> None:
    """Make a SQLite store: whole, or, where it is stopped in the midst of its tables, not at all.

    Raises:
        OSError: it cannot be written there.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with replacing_file(path) as temporary:
        temporary.touch()  # where that fails MLflow would try again for minutes
        store = SqlAlchemyStore(sqlite_uri(temporary), (path.parent / "mlruns").as_uri())
        store.engine.dispose()  # else it keeps the file open


def _creation_lock(address: str) -> contextlib.AbstractContextManager[None]:
    """Let one process at a time create a SQLite store: several at once would crash."""
    path = sqlite_path(address)
    if path is None:
        return contextlib.nullcontext()
    lock = path.with_name(f"{path.name}.lock")
    busy = f"another process is opening the store {path}; wait until it has, or end it"
    return locked(lock, busy=busy, patience=OPENING_SECONDS)


def _experiment_id(client: MlflowClient, address: str, name: str) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        # Artifacts beside the database, absolute: a temporary workspace's folder would be lost.
        own = sqlite_path(address) is not None
        location = (Paths(project_root()).lasting / "mlruns").as_uri() if own else None
        kind = {"mlflow.experimentKind": "custom_model_development"}  # how `mlflow ui` shows it
        try:
            return client.create_experiment(name, location, tags=kind)
        except MlflowException:  # somebody else made it in the meantime
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise UserError(
            f"the experiment {name!r} was deleted in {shown_address(address)}; restore it with "
            f"`mlflow experiments restore --experiment-id {found.experiment_id}` or set "
            "tracking.experiment"
        )
    return found.experiment_id


def link_opened_run(store: Store, training: Run, stage: str) -> None:
    """Where `mlflow run` opened a run around ``stage``, name it and point to the training's run."""
    opened = os.environ.get("MLFLOW_RUN_ID")
    run = store.find(opened) if opened and opened != training.id else None
    if run and not run.has_results:
        store.client.update_run(run.id, name=f"{stage} of {training.tags['mlflow.runName']}")
        run.set_tags({"training_run": training.id})
