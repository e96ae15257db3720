"""What a frozen backbone sees in pictures: computed once, kept on disk."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from pawprint.files import replacing_file, write_json
from pawprint.images.pictures import Pictures
from pawprint.models.transfer import weights_file

log = logging.getLogger(__name__)


def features(
    extractor: keras.Model,
    pictures: Pictures | np.ndarray,
    *,
    batch_size: int = 32,
    show: bool,
) -> np.ndarray:
    """Compute the features of every picture and of its mirror image.

    Besides the result and the network only a batch of pictures is in memory.

    Args:
        extractor: from uint8 pictures (n, size, size, 3) to float32 features (n, d).
        pictures: uint8 (n, size, size, 3), read in slices.
        batch_size: pictures per call, at least 1. Defaults to 32.
        show: whether to show a progress bar on stderr.

    Returns:
        float32 (n, 2, d): of the picture, and of the picture flipped left to right.
    """
    # One signature for batches of any length: the last one is shorter, and is not traced again.
    signature = tf.TensorSpec((None, *pictures.shape[1:]), tf.uint8)
    call = tf.function(lambda batch: extractor(batch, training=False), input_signature=[signature])
    count = len(pictures)
    found = np.empty((count, 2, extractor.output_shape[-1]), dtype=np.float32)
    with tqdm(total=count, unit=" pictures", dynamic_ncols=True, disable=not show) as bar:
        for start in range(0, count, batch_size):
            batch = pictures[start : start + batch_size]
            found[start : start + len(batch), 0] = call(batch)
            found[start : start + len(batch), 1] = call(batch[:, :, ::-1])
            bar.update(len(batch))
    return found


def cached_features(
    folder: Path,
    key: Mapping[str, str | int | float | None],
    split: str,
    compute: Callable[[], np.ndarray],
) -> np.ndarray:
    """Take features from the disk, or compute them and leave them there.

    They are in ``folder``, in a folder named by a hash of ``key``, as ``<split>.npy``;
    ``key.json`` beside it says in words what they are of.

    Args:
        folder: where all features are kept.
        key: everything that they depend on but the split: pictures, backbone, digest of its
            weights, size, precision; the seed too where the weights are random.
        split: train, validation or test.
        compute: computes them, array (n, ...); called only where they are not there or damaged.

    Returns:
        The features, memory-mapped and read-only.
    """
    content = dict(sorted(key.items()))
    name = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
    path = folder / name / f"{split}.npy"
    found = _read(path)
    if found is not None:
        log.info("features of %s: %d pictures, taken from %s", split, len(found), path)
        return found
    begin = time.perf_counter()
    computed = compute()
    seconds = time.perf_counter() - begin
    with replacing_file(path) as temporary:
        np.save(temporary, computed)
    write_json(path.with_name("key.json"), content)
    log.info(
        "features of %s: %d pictures, computed in %.1f s, %.0f pictures/s",
        *(split, len(computed), seconds, len(computed) / max(seconds, 1e-9)),
    )
    return np.load(path, mmap_mode="r")


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


def _read(path: Path) -> np.ndarray | None:
    try:
        return np.lib.format.open_memmap(path, mode="r")  # np.load would take other formats too
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError) as error:
        log.warning("%s is damaged (%s): its features are computed anew", path, error)
        return None
