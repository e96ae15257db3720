"""A LiteRT file with its class names: pictures in, probabilities out."""

import json
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from pawprint.inference.predictor import PROBABILITIES, Pictures, in_batches, pictures_at_a_time
from pawprint.system.errors import UserError, first_line, installing
from pawprint.system.machine import usable_cores

METADATA = "network.json"  # inside the file, which is a ZIP archive too, as LiteRT's metadata are
LABELS = "labels.txt"


def check_litert() -> None:
    """See that LiteRT is installed.

    Raises:
        UserError: it is not.
    """
    if find_spec("ai_edge_litert") is None:
        raise UserError(f"LiteRT is not installed; add it with {installing('ai_edge_litert')}")


class LiteRTPredictor:
    """A LiteRT file, ready to answer on this machine as it does on a phone.

    It tells of itself what a ``Predictor`` does, and ``run_id``, the run that trained it.

    Args:
        path: a .tflite file as `pawprint litert` writes it.

    Raises:
        UserError: the file is missing or not such a network, or LiteRT is not installed.
    """

    def __init__(self, path: Path) -> None:
        check_litert()
        from ai_edge_litert.interpreter import Interpreter

        self.path = path
        try:
            with zipfile.ZipFile(path) as parts:
                metadata = json.loads(parts.read(METADATA))
            self.class_names: list[str] = metadata["class_names"]
            self.resize: str = metadata["resize"]
            self.temperature: float = metadata["temperature"]
            self.run_id: str = metadata["run_id"]
            cores = len(usable_cores())
            self._interpreter = Interpreter(model_path=str(path), num_threads=cores)
            self._interpreter.allocate_tensors()
            self._answer = self._interpreter.get_signature_runner()
            _, self.image_size, _, _ = self._interpreter.get_input_details()[0]["shape"].tolist()
        except (OSError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
            raise UserError(
                f"{path} is not a network that pawprint exported ({first_line(error)}); write it "
                "with `pawprint litert`"
            ) from None
        self.batch_size = pictures_at_a_time(self.image_size)

    def probabilities(self, pictures: Pictures) -> np.ndarray:
        """Probabilities float32 (n, classes) of uint8 pictures (n, image_size, image_size, 3)."""
        if not len(pictures):
            return np.zeros((0, len(self.class_names)), np.float32)
        return in_batches(
            lambda batch: self._answer(pictures=batch)[PROBABILITIES], pictures, self.batch_size
        )
