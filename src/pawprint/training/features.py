"""What a frozen backbone sees in pictures: computed once, kept on disk."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from pawprint.config.paths import backbone_file, is_hub, weights_file
from pawprint.config.schema import Config, Model
from pawprint.data.image_array import Pictures
from pawprint.data.store import Split
from pawprint.models.hub import preset_files
from pawprint.models.transfer import features_model
from pawprint.system.code import code_digest
from pawprint.system.files import digest_of, sha256_of
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

    chosen = config.model
    code = code_digest("training.features")
    key = {
        "backbone": _name_of(str(chosen.backbone)),
        "alpha": chosen.alpha,
        "weights": weights_digest(chosen),
        **{name: getattr(chosen, name) for name in ("pixels", "scale", "offset")},
        "image_size": config.image_size,
        "resize": config.resize,
        "precision": keras.config.dtype_policy().compute_dtype,
        "seed": config.seed if chosen.weights == "none" else None,
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


def _name_of(backbone: str) -> str | None:
    """The name of a backbone, None for files, which their content tells from others."""
    return (
        None
        if backbone_file(backbone) or (is_hub(backbone) and preset_files(backbone))
        else backbone
    )


def weights_digest(model: Model) -> str | None:
    """What tells the weights that a network begins with from others, whatever files are called.

    The sha256 (64 hex digits) of the file of the backbone or of its weights; where there is none,
    ``weights`` itself.

    Raises:
        UserError: a file that is named is not there.
    """
    if model.backbone and (path := backbone_file(model.backbone)):
        # Random ones are of what the file says of the network.
        return f"{'random ' if model.weights == 'none' else ''}{sha256_of(path)}"
    if model.backbone and is_hub(model.backbone):
        digests = [f"{path.name} {sha256_of(path)}" for path in preset_files(model.backbone)]
        return f"{model.weights} {digest_of(digests or model.backbone)}"
    path = weights_file(model.weights) if model.weights else None
    return sha256_of(path) if path else model.weights
