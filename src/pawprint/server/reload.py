"""The network that answers now: whoever has the alias, or what the file holds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from pawprint.registry.source import (
    find_network,
    has_alias,
    is_file,
    record_file,
    version_now,
)
from pawprint.server.model import Model
from pawprint.system.errors import UserError
from pawprint.tracking.location import is_server, store_uri

log = logging.getLogger(__name__)

SECONDS_LOCAL, SECONDS_SERVER = 2.0, 5.0  # between two looks into the store, or at the file


class Watched:
    """A network by its name: whoever has the alias, or what the file holds, at the moment.

    Args:
        name: as ``find_network`` takes it.
        uri: configured tracking URI, or None for the project's own.
        sure_precision: share of the answers that are to be right; see ``Predictor``.
        seconds: between two looks into the store, or at the file. Defaults to 2, for a server to 5.

    Raises:
        UserError: there is no such network.
    """

    def __init__(
        self,
        name: str,
        uri: str | None = None,
        sure_precision: float | None = None,
        seconds: float | None = None,
    ) -> None:
        self._name, self._uri, self._sure_precision = name, uri, sure_precision
        self._seconds = seconds
        self._of_file = is_file(name)
        self._known: object = _state(name) if self._of_file else None  # before it is read
        self.model = self._load()  # replaced as a whole: who took the old one ends with it
        if not self._of_file:
            self._known = (self.model.source.version, self.model.source.run_id)
        self._last = self._known
        self._told: str | None = None
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, changed: Callable[[Model], None] = lambda _: None) -> None:
        """Begin to look; ``changed`` is called with each new network."""
        if self._of_file or has_alias(self._name):
            if self._seconds is None:  # a file needs no store, nor a project
                at_server = not self._of_file and is_server(store_uri(self._uri))
                self._seconds = SECONDS_SERVER if at_server else SECONDS_LOCAL
            self._thread = threading.Thread(
                target=self._watch, args=(changed,), name="watch", daemon=True
            )
            self._thread.start()

    @property
    def looked(self) -> bool:
        """Whether the last look into the store worked."""
        return self._told is None

    def close(self) -> None:
        """Look no more."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(timeout=1)  # a server may keep it waiting

    def _load(self) -> Model:
        return Model(find_network(self._name, self._uri), self._sure_precision)

    def _watch(self, changed: Callable[[Model], None]) -> None:
        while not self._end.wait(self._seconds):
            try:
                if self._look():
                    log.warning("%s answers now", self.model.source.name)
                    changed(self.model)
                self._told = None
            except UserError as error:
                self._tell(str(error))
            except Exception as error:  # whatever the store does, the network goes on answering
                self._tell(f"{type(error).__name__}: {error}")

    def _look(self) -> bool:
        """Whether another network is meant now and is loaded."""
        now = _state(self._name) if self._of_file else version_now(self._name, self._uri)
        if now is None:
            raise UserError(f"{self._name} is nobody any more")
        last, self._last = self._last, now
        if now == self._known or (self._of_file and now != last):  # it may still be written
            return False
        self.model = self._load()
        self._known = now
        return True

    def _tell(self, problem: str) -> None:
        """Say once, not at each look, why the network stays."""
        if problem != self._told:
            log.warning("%s goes on answering: %s", self.model.source.name, problem)
        self._told = problem


def _state(network: str) -> object:
    """What changes when a network's file, or what is known of it, is written anew or replaced."""
    path = Path(network)
    return _stamp(path), _stamp(record_file(path))


def _stamp(file: Path) -> tuple[int, ...]:
    try:
        facts = file.stat()
    except OSError:
        return ()
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns
