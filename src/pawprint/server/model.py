"""A network that answers, with what is known about it."""

from __future__ import annotations

import logging
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np

from pawprint.inference.predictor import Predictor
from pawprint.registry.source import Source, with_facts
from pawprint.server.maps import as_png
from pawprint.system.errors import UserError

log = logging.getLogger(__name__)


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
        self._content = _read(source.network)
        self.source = with_facts(source, self._content)
        self.predictor = Predictor(
            source.network, sure_precision, alone=False, content=self._content
        )
        side = self.predictor.image_size
        self.predictor.probabilities(np.zeros((1, side, side, 3), np.uint8))  # the first is slow
        self._explaining = threading.Lock()
        self._explainer: Any = None
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
        }

    def maps(self, pixels: np.ndarray) -> list[bytes] | None:
        """Where the network looks, as PNG files; None where it was exported without maps.

        Args:
            pixels: uint8 (n, image_size, image_size, 3), n at least 1.
        """
        with self._explaining:
            if self._explainer is None:
                self._explainer = self._load_explainer() or False
                self._content = b""
            if not self._explainer:
                return None
            return [as_png(place_map) for place_map in self._explainer.maps(pixels)]

    def _load_explainer(self) -> Any:
        from pawprint.inference.explainer import Explainer

        try:
            return Explainer(self.source.network, self._content)
        except UserError as error:
            log.warning("no maps: %s", error)
            return None


def _read(network: Path) -> bytes:
    try:
        return network.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(
            f"{network} cannot be read ({reason}); mend that, or name another"
        ) from None


def _number(text: str | None) -> float | None:
    try:
        number = math.nan if text is None else float(text)
    except ValueError:  # edited by hand
        return None
    return number if math.isfinite(number) else None
