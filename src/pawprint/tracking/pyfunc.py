"""What MLflow loads and calls: a column of pictures in, a table of answers out."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pawprint.data.decode import PictureError, Source
from pawprint.data.picture import MOST_PIXELS, pixels_at_most
from pawprint.inference.predictor import NOT_SURE, Predictor, class_columns
from pawprint.system.errors import UserError
from pawprint.tracking.names import NETWORK_FILE

if TYPE_CHECKING:
    import pandas

FIXED = ("label", "probability", "problem")
SURE_PRECISION, THRESHOLD, PATHS = "sure_precision", "threshold", "paths"
_SERVED = "__pyfunc_model_path__"  # set by MLflow where its scoring server is to load the model
_LONGEST_PATH = 4096
_PIXELS = (Image.Image, np.ndarray)
_STANDARD = bytes.maketrans(b"-_", b"+/")  # of the URL-safe alphabet


def _load_pyfunc(path: str, model_config: Mapping[str, Any] | None = None) -> PyfuncModel:
    """The model in a folder; the name and arguments are MLflow's.

    ``model_config`` may say ``paths``: whether text may be the path of a file. Null, the default,
    is yes, but no in MLflow's scoring server, whose clients shall not choose files of its machine.
    """
    paths = (model_config or {}).get(PATHS)
    return PyfuncModel(
        Path(path) / NETWORK_FILE, _SERVED not in os.environ if paths is None else paths
    )


class PyfuncModel:
    """A network as MLflow calls it.

    Args:
        network: an ONNX file as the train stage writes it.
        paths: whether text may be the path of a file.
    """

    def __init__(self, network: Path, paths: bool = True) -> None:
        self.predictor = Predictor(network)
        self._paths = paths

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> pandas.DataFrame:
        """Classify a column of pictures.

        Args:
            data: a DataFrame, whose first column counts, or a Series, list or array: of bytes of a
                picture's file, base64 text of them, `data:` URLs, paths, Pillow images, or arrays
                uint8 (height, width, channels). Or pixels alone: such an image, such an array, or
                one uint8 (n, height, width, channels).
            params: may hold ``threshold``, the least probability of an answer, or else
                ``sure_precision``, the share of the answers that is to be right; what is less sure
                is "not sure". None and 0 answer always.

        Returns:
            A row per picture, under its index: label, probability, a column per class, and problem,
            which is "" or says what is wrong with the picture; its label then is "" and its
            figures are null. Text is never null, for MLflow hands null to Spark as "None".

        Raises:
            UserError: the network was never that precise, or a parameter is not 0 to 1.
        """
        import pandas

        threshold = self._threshold(params or {})
        column = _column(data)
        problems = np.full(len(column), "", object)
        answers = np.full((len(column), len(self.predictor.class_names)), np.nan, np.float32)
        size = self.predictor.batch_size
        with pixels_at_most(MOST_PIXELS):
            for start in range(0, len(column), size):
                self._answer(column.iloc[start : start + size], answers[start:], problems[start:])
        good = problems == ""
        labels = np.full(len(column), "", object)
        labels[good] = np.array(self.predictor.class_names, object)[answers[good].argmax(axis=1)]
        labels[good & (answers.max(axis=1) < threshold)] = NOT_SURE
        figures = np.column_stack([answers.max(axis=1), answers]).astype(np.float64)
        names = ["probability", *class_columns(self.predictor.class_names, FIXED)]
        table = pandas.DataFrame(figures, columns=names, index=column.index)
        if not good.all():
            table = table.astype("Float64")  # has null, of which JSON knows; not of NaN
        table.insert(0, "label", pandas.Series(labels, column.index, str))
        table["problem"] = pandas.Series(problems, column.index, str)
        return table

    def _threshold(self, params: Mapping[str, Any]) -> float:
        for name in (THRESHOLD, SURE_PRECISION):
            if not 0 <= (params.get(name) or 0) <= 1:
                raise UserError(f"{name} is {params[name]:g}; give a number from 0 to 1")
        precision = params.get(SURE_PRECISION)
        if (threshold := params.get(THRESHOLD)) or not precision:
            return threshold or 0.0
        return self.predictor.sure_point(precision).threshold

    def _answer(self, cells: pandas.Series, answers: np.ndarray, problems: np.ndarray) -> None:
        """Fill the rows of ``cells`` in ``answers`` (n, classes), or in ``problems`` (n,)."""
        pictures, places = [], []
        for place, cell in enumerate(cells):
            try:
                pictures.append(self.predictor.read(_source(cell, self._paths)))
                places.append(place)
            except PictureError as error:
                problems[place] = str(error)
        if pictures:
            answers[places] = self.predictor.probabilities(np.stack(pictures))


def _column(data: Any) -> pandas.Series:
    """The cells of what MLflow hands on, a picture each."""
    import pandas

    if isinstance(data, Image.Image):
        data = [data]
    elif isinstance(data, np.ndarray) and data.dtype.kind in "buif":  # pixels, not texts or objects
        data = list(data) if data.ndim == 4 else [data]
    if isinstance(data, list | tuple) and any(isinstance(cell, _PIXELS) for cell in data):
        # pandas would take arrays apart.
        cells = np.empty(len(data), object)
        for place, cell in enumerate(data):
            cells[place] = cell
        return pandas.Series(cells)
    return pandas.DataFrame(data).iloc[:, 0]


def _source(cell: Any, paths: bool) -> Source:
    """The content, the path or the pixels that a cell means.

    Text that begins with "data:" is a URL. Other text is a path where such a file exists, and
    base64 otherwise.

    Raises:
        PictureError: it is none of them.
    """
    if isinstance(cell, (bytes, bytearray, memoryview)):
        return bytes(cell)
    if isinstance(cell, _PIXELS):
        return cell
    if not isinstance(cell, str):
        raise PictureError(
            "is neither bytes, text, a Pillow image nor an array, but of type "
            f"{type(cell).__name__}"
        )
    if cell[:5].lower() == "data:":
        head, _, text = cell.partition(",")
        content = _decoded(text) if head.lower().endswith(";base64") else None
        if content is None:
            raise PictureError("is a data: URL without base64")
        return content
    if paths and len(cell) <= _LONGEST_PATH and os.path.isfile(cell):  # noqa: PTH113 - a path may be any text
        return Path(cell)
    content = _decoded(cell)
    if content is None:
        either = "neither base64 nor the path of a file"
        raise PictureError(f"is {either if paths else 'not base64 (paths are not read here)'}")
    return content


def _decoded(text: str) -> bytes | None:
    """The bytes that base64 text, URL-safe or not, stands for; None if it is not that."""
    try:
        lines = text.encode("ascii").translate(_STANDARD, b"\r\n")
        return base64.b64decode(lines, validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return None
