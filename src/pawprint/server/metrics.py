"""What Prometheus can read about the server."""

from collections.abc import Callable
from functools import partial

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from pawprint.server.model import Model

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
        counter = partial(Counter, registry=registry)
        gauge = partial(Gauge, registry=registry)
        histogram = partial(Histogram, registry=registry)
        ProcessCollector(registry=registry)
        self._requests = counter("pawprint_requests", "Answered requests.", ["route", "status"])
        self._seconds = histogram(
            "pawprint_predict_seconds",
            "From the head of a request for predictions to its answer.",
            buckets=_SECONDS,
        )
        self._pictures = counter(
            "pawprint_pictures", "Answered pictures by their label.", ["label"]
        )
        self._problems = counter("pawprint_problems", "Files that are no picture.")
        self.not_logged = counter(
            "pawprint_not_logged_pictures", "Pictures that --log could not remember."
        ).inc
        self.batch = histogram(
            "pawprint_batch_pictures",
            "Pictures that the network answered together.",
            buckets=_BATCHES,
        ).observe
        gauge("pawprint_waiting_pictures", "Pictures without an answer yet.").set_function(waiting)
        gauge(
            "pawprint_champion_looked_up",
            "1 where the last look for another champion worked, or none is needed; else 0.",
        ).set_function(looked)
        self._model = gauge(
            "pawprint_model_version",
            "Version of the registered model that answers; 0 where it is none.",
            ["name", "run_id"],
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
