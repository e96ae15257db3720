"""What a frozen backbone sees in pictures: computed once, kept on disk."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from pawprint.config.paths import weights_file
from pawprint.config.schema import Config
from pawprint.data.image_array import Pictures
from pawprint.data.store import Split
from pawprint.models.transfer import features_model
from pawprint.system.code import code_digest
from pawprint.training.array_cache import cached_array


def features_of_splits(
    config: Config,
    model: keras.Model,
    data: Mapping[str, Split],
    folder: Path,
    empty_model: Callable[[], keras.Model],
) -> dict[str, np.ndarray | Rows]:
    """What the backbone of ``model`` sees in each split, from the disk where it is there.

    All features are kept in ``folder``. ``empty_model`` builds the same network without weights,
    for whole pictures; it is called only where something is to be computed.

    Returns:
        By split, float32 (n, 2, d): of each picture, and of the picture flipped left to right.
    """

    def compute(pictures: Pictures | np.ndarray) -> Iterator[np.ndarray]:
        whole = empty_model()
        whole.set_weights(model.get_weights())
        return compute_features(features_model(whole), pictures, show=sys.stderr.isatty())

    code = code_digest("training.features")
    key = {
        "backbone": config.model.backbone,
        "alpha": config.model.alpha,
        "weights": weights_digest(str(config.model.weights)),
        "image_size": config.image_size,
        "resize": config.resize,
        "precision": keras.config.dtype_policy().compute_dtype,
        "seed": config.seed if config.model.weights == "none" else None,
        # Other libraries and other code may compute other ones.
        "computed_by": f"keras {keras.__version__}, tensorflow {tf.__version__}, {code[:16]}",
    }

    def of(name: str, part: Split) -> np.ndarray | Rows:
        if part.part_of:
            return Rows(of("whole", part.part_of.whole), part.part_of.places)
        pictures = {"pictures": part.digest}
        return cached_array(folder, key | pictures, name, lambda: compute(part.pictures))

    return {split: of(split, part) for split, part in data.items()}


def compute_features(
    extractor: keras.Model, pictures: Pictures | np.ndarray, *, batch_size: int = 32, show: bool
) -> Iterator[np.ndarray]:
    """Compute the features of every picture and of its mirror image, a batch at a time.

    Args:
        extractor: from uint8 pictures (n, size, size, 3) to float32 features (n, d).
        pictures: uint8 (n, size, size, 3), read in slices.
        batch_size: pictures per call, at least 1. Defaults to 32.
        show: whether to show a progress bar on stderr.

    Yields:
        float32 (up to batch_size, 2, d): of the picture, and of the picture flipped left to right.
    """
    # One signature for batches of any length: the last one is shorter, and is not traced again.
    signature = tf.TensorSpec((None, *pictures.shape[1:]), tf.uint8)
    call = tf.function(lambda batch: extractor(batch, training=False), input_signature=[signature])
    count = len(pictures)
    with tqdm(total=count, unit=" pictures", dynamic_ncols=True, disable=not show) as bar:
        for start in range(0, count, batch_size):
            batch = pictures[start : start + batch_size]
            yield np.stack([call(batch), call(batch[:, :, ::-1])], axis=1)
            bar.update(len(batch))


class Rows:
    """Some rows of an array on disk, in an order of their own; read as they are indexed.

    Args:
        array: (n, ...).
        rows: (m,), which of its rows.
    """

    def __init__(self, array: np.ndarray | Rows, rows: np.ndarray) -> None:
        self._array, self._rows = array, rows
        self.shape: tuple[int, ...] = (len(rows), *array.shape[1:])
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> np.ndarray:
        return self._array[self._rows[index]]


def weights_digest(weights: str) -> str:
    """The sha256 (64 hex digits) of a weights file, or the word "imagenet" or "none" itself.

    Raises:
        UserError: it is neither a word nor a file that is there.
    """
    path = weights_file(weights)
    if path is None:
        return weights
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
