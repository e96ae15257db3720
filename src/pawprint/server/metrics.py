"""What Prometheus can read about the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.process_collector import ProcessCollector

if TYPE_CHECKING:
    from pawprint.server.model import Model

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters of one server.

    Args:
        waiting: tells how many pictures wait for an answer.
        looked: tells whether the last look for another champion worked; defaults to yes.
    """

    def __init__(
        self, waiting: Callable[[], int], looked: Callable[[], bool] = lambda: True
    ) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "pawprint_requests", "Answered requests.", ["route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "pawprint_predict_seconds",
            "From the head of a request for predictions to its answer.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._pictures = Counter(
            "pawprint_pictures", "Answered pictures by their label.", ["label"], registry=registry
        )
        self._problems = Counter(
            "pawprint_problems", "Files that are no picture.", registry=registry
        )
        self.not_logged = Counter(
            "pawprint_not_logged_pictures",
            "Pictures that --log could not remember.",
            registry=registry,
        ).inc
        self.batch = Histogram(
            "pawprint_batch_pictures",
            "Pictures that the network answered together.",
            buckets=_BATCHES,
            registry=registry,
        ).observe
        Gauge(
            "pawprint_waiting_pictures", "Pictures without an answer yet.", registry=registry
        ).set_function(waiting)
        Gauge(
            "pawprint_champion_looked_up",
            "1 where the last look for another champion worked, or none is needed; else 0.",
            registry=registry,
        ).set_function(looked)
        self._model = Gauge(
            "pawprint_model_version",
            "Version of the registered model that answers; 0 where it is none.",
            ["name", "run_id"],
            registry=registry,
        )

    def answered(self, route: str, status: int, seconds: float | None) -> None:
        """Count a request; ``seconds`` of those for predictions."""
        self._requests.labels(route, str(status)).inc()
        if seconds is not None:
            self._seconds.observe(seconds)

    def picture(self, label: str | None) -> None:
        """Count a picture by its label; None for a file that was none."""
        if label is None:
            self._problems.inc()
        else:
            self._pictures.labels(label).inc()

    def model(self, model: Model) -> None:
        """Tell who answers from now on."""
        self._model.clear()
        source = model.source
        self._model.labels(source.name, source.run_id or "").set(source.version or 0)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)
