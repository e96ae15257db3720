"""Where an exported network looks: what each place of a picture says for its answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pawprint.inference.predictor import Predictor, in_batches, load_runtime
from pawprint.system.errors import UserError

MAPS = "maps"


class Explainer:
    """An exported network that tells why it answers what it answers.

    Args:
        path: an ONNX file as the train stage writes it.
        content: the file's, where it was read already. Defaults to none: it is read now.

    Raises:
        UserError: the file is missing, not such a network, or does not hold its maps.
    """

    def __init__(self, path: Path, content: bytes | None = None) -> None:
        import onnx

        predictor = Predictor(path, content=content)
        self._batch_size = predictor.batch_size
        network = onnx.load(path) if content is None else onnx.load_from_string(content)
        if not any(MAPS in node.output for node in network.graph.node):
            raise UserError(f"{path} was exported without maps; train again with `dvc repro train`")
        shape = (None, None, None)
        kind = onnx.TensorProto.FLOAT
        network.graph.output.append(onnx.helper.make_tensor_value_info(MAPS, kind, shape))
        self._session = load_runtime().InferenceSession(network.SerializeToString())
        self._input = self._session.get_inputs()[0].name

    def maps(self, pictures: np.ndarray) -> np.ndarray:
        """How much each place speaks for (above 0) or against (below) the most probable class.

        Args:
            pictures: uint8 (n, image_size, image_size, 3), n at least 1.

        Returns:
            float32 (n, height, width); a place is a cell of late features of the network.
        """
        return in_batches(
            lambda batch: self._session.run([MAPS], {self._input: batch})[0],
            pictures,
            self._batch_size,
        )
