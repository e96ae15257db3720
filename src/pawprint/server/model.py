"""The network that answers: what is known about it, its maps, and its change for another."""

import contextlib
import logging
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pawprint.evaluation.overlay import CONTRAST, STRENGTH, spread
from pawprint.inference.predictor import Explainer, Predictor
from pawprint.registry.source import (
    Source,
    find_network,
    has_alias,
    is_file,
    record_file,
    version_now,
    with_class_note,
    with_facts,
)
from pawprint.system.errors import UserError
from pawprint.tracking.location import is_server, registry_uri, store_uri

log = logging.getLogger(__name__)

MAP_SIDE = 96  # pixels; whoever shows it makes it as large as the picture
SECONDS_LOCAL, SECONDS_SERVER = 2.0, 5.0  # between two looks into the store, or at the file


class Model:
    """A network, ready to answer.

    Args:
        source: where it comes from.
        sure_precision: share of the answers that are to be right; see ``Predictor``.

    Raises:
        UserError: it is no network, or never that precise.
    """

    def __init__(self, source: Source, sure_precision: float | None = None) -> None:
        # Answers and maps come from the same bytes, whatever the file holds meanwhile.
        try:
            self._content = source.network.read_bytes()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UserError(
                f"{source.network} cannot be read ({reason}); mend that, or name another"
            ) from None
        self.source = with_facts(source, self._content)
        self.predictor = Predictor(
            source.network, sure_precision, alone=False, content=self._content
        )
        self._explainer_lock = threading.Lock()
        self._explainer: Explainer | None = None
        self._sure_precision = sure_precision

    def facts(self) -> dict[str, Any]:
        """What a person may want to know about who answers; None for what is not known."""
        tags, predictor = self.source.tags, self.predictor
        return {
            "name": self.source.name,
            "model": self.source.model,
            "version": self.source.version,
            "run_id": self.source.run_id,
            "data_digest": tags.get("data_digest"),
            "git_commit": tags.get("git_commit"),
            "test_accuracy": _number(tags.get("test_accuracy")),
            "test_accuracy_low": _number(tags.get("test_accuracy_low")),
            "test_accuracy_high": _number(tags.get("test_accuracy_high")),
            "class_names": predictor.class_names,
            "image_size": predictor.image_size,
            "resize": predictor.resize,
            "temperature": predictor.temperature,
            "sure_precision": self._sure_precision,
            "threshold": predictor.threshold,
            "notes": list(self.source.notes),
        }

    def maps(self, pixels: np.ndarray) -> list[bytes] | None:
        """Where the network looks, as PNG files; None where it was exported without maps.

        Args:
            pixels: uint8 (n, image_size, image_size, 3), n at least 1.
        """
        with self._explainer_lock:
            if self._content:  # nobody asked yet
                try:
                    self._explainer = Explainer(self.source.network, self._content)
                except UserError as error:
                    log.warning("no maps: %s", error)
                self._content = b""
            if self._explainer is None:
                return None
            return [map_as_png(place_map) for place_map in self._explainer.maps(pixels)]


def _number(text: str | None) -> float | None:
    try:
        number = math.nan if text is None else float(text)
    except ValueError:  # edited by hand
        return None
    return number if math.isfinite(number) else None


def map_as_png(place_map: np.ndarray) -> bytes:
    """A PNG of the square that the network saw: the more a place speaks for the answer, the less
    transparent.

    Args:
        place_map: float32 (height, width), as ``Explainer.maps`` gives it.
    """
    import cv2

    weight = spread(place_map, MAP_SIDE) ** CONTRAST
    levels = (255 * (0.25 + 0.7 * weight)).round().astype(np.uint8)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_PLASMA)
    alpha = (255 * STRENGTH * weight).round().astype(np.uint8)
    _, content = cv2.imencode(".png", np.dstack([colours, alpha]))
    return content.tobytes()


class WatchedModel:
    """A network by its name: whoever has the alias, or what the file holds, at the moment.

    Attributes:
        model: the network that answers.
        problem: why the last look into the store, or at the file, did not work; None where it did.

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
        # Before it is read.
        self._known: object = _file_state(Path(name)) if self._of_file else None
        self.model = self._load()  # replaced as a whole: who took the old one ends with it
        if not self._of_file:
            source = self.model.source
            of_store = (source.version, source.run_id)
            self._known = _file_state(source.network) if source.stands_in else of_store
        self._last: object = self._known
        self.problem: str | None = None
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, changed: Callable[[Model], None] = lambda _: None) -> None:
        """Begin to look; ``changed`` is called with each new network."""
        if self._of_file or has_alias(self._name):
            if self._seconds is None:  # a file needs no store, nor a project
                at_server = not self._of_file and is_server(registry_uri(store_uri(self._uri)))
                self._seconds = SECONDS_SERVER if at_server else SECONDS_LOCAL
            self._thread = threading.Thread(
                target=self._watch, args=(changed,), name="watch", daemon=True
            )
            self._thread.start()

    @property
    def looked(self) -> bool:
        """Whether the last look into the store worked."""
        return self.problem is None

    def close(self) -> None:
        """Look no more."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(timeout=1)  # a server may keep it waiting

    def _load(self) -> Model:
        model = Model(find_network(self._name, self._uri), self._sure_precision)
        if not self._of_file:  # a file stands for itself, and says so on the page alone
            model.source = with_class_note(model.source, model.predictor.class_names)
            for note in model.source.notes:
                log.warning("%s", note)
        return model

    def _watch(self, changed: Callable[[Model], None]) -> None:
        while not self._end.wait(self._seconds):
            try:
                if self._reload_if_changed():
                    log.warning("%s answers now", self.model.source.name)
                    changed(self.model)
                self.problem = None
            except Exception as error:  # noqa: BLE001 - the store may fail as it likes
                kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
                if (problem := f"{kind}{error}") != self.problem:  # once, not at each look
                    log.warning("%s goes on answering: %s", self.model.source.name, problem)
                self.problem = problem

    def _reload_if_changed(self) -> bool:
        """Whether another network is meant now and is loaded."""
        now: object = None if self._of_file else version_now(self._name, self._uri)
        of_file = self._of_file or (now is None and self.model.source.stands_in)
        if of_file:
            now = _file_state(self.model.source.network)
        elif now is None:
            raise UserError(f"{self._name} is nobody any more")
        last, self._last = self._last, now
        if now == self._known or (of_file and now != last):  # it may still be written
            return False
        self.model = self._load()
        self._known = now
        return True


def _file_state(network: Path) -> list[tuple[int, int, int, int]]:
    """What changes when a network's file, or what is known of it, is written anew or replaced."""
    found = []
    for file in (network, record_file(network)):
        with contextlib.suppress(OSError):
            facts = file.stat()
            found.append((facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns))
    return found
