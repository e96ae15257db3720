"""Which test pictures a network gets right."""

import csv
from pathlib import Path

import numpy as np

from pawprint.config.paths import Paths
from pawprint.data.layout import find_pictures
from pawprint.data.sources.source import name_of, open_images
from pawprint.data.store import Split, Summary
from pawprint.inference.predictor import Predictor
from pawprint.system.errors import UserError
from pawprint.system.files import read_rows


def correct_in_table(predictions: Path, test: Split) -> np.ndarray:
    """Which test pictures got their right class from the network that was evaluated, bool (n,).

    Args:
        predictions: `predictions.csv` of the evaluate stage.
        test: the test split, whose order the result is in.

    Raises:
        UserError: the file is missing, or has not one answer for each of these pictures.
    """
    try:
        # Names of files need not be UTF-8.
        with predictions.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            header, *rows = read_rows(file)
        place, answer = header.index("path"), header.index("predicted")
        predicted = {row[place]: row[answer] for row in rows}
    except (OSError, ValueError, IndexError, csv.Error):
        predicted = {}
    if set(predicted) != set(test.paths):
        raise UserError(
            f"{predictions} has no answers for exactly these test pictures; evaluate first with "
            "`dvc repro evaluate` or `pawprint evaluate`"
        )
    truth = np.array(test.class_names)[test.labels]
    return np.array([predicted[path] for path in test.paths]) == truth


def correct_by_network(
    predictor: Predictor, test: Split, summary: Summary, paths: Paths
) -> np.ndarray:
    """Which test pictures another network gets right, bool (n,).

    A network of another picture size sees the files themselves, at its own; a picture of a class
    that it does not know is wrong.

    Raises:
        UserError: the files are needed, but not there any more.
    """
    if (predictor.image_size, predictor.resize) == (summary.image_size, summary.resize):
        probabilities = predictor.probabilities(test.pictures)
    else:
        probabilities = _from_files(predictor, test, summary, paths)
    answers = np.array(predictor.class_names)[probabilities.argmax(axis=1)]
    return answers == np.array(test.class_names)[test.labels]


def _from_files(predictor: Predictor, test: Split, summary: Summary, paths: Paths) -> np.ndarray:
    """Probabilities from the files themselves, at the size that the network sees."""
    images = paths.pictures(summary.images)
    with open_images(images, paths.prepared, paths.downloads) as folder:
        files = find_pictures(folder, name_of(images), summary.given_splits).files
        locations = {file.path: Path(file.location) for file in files}
        gone = [path for path in test.paths if path not in locations]
        if gone:
            raise UserError(
                f'{len(gone)} test pictures are gone from "{name_of(images)}", {gone[0]!a} among '
                "them; prepare again with `dvc repro`"
            )
        parts = [
            predictor.probabilities(np.stack([predictor.read(locations[p]) for p in batch]))
            for batch in (test.paths[i : i + 256] for i in range(0, len(test.paths), 256))
        ]
    return np.concatenate(parts)
