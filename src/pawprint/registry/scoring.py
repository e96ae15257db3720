"""Which test pictures a network gets right."""

import csv
from pathlib import Path

import numpy as np

from pawprint.config.paths import Paths
from pawprint.data.originals import labelled_originals
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
        with labelled_originals(
            test.paths,
            summary,
            paths.pictures(summary.images),
            size=predictor.image_size,
            resize=predictor.resize,
            prepared=paths.prepared,
            downloads=paths.downloads,
        ) as pictures:
            probabilities = predictor.probabilities(pictures)
    answers = np.array(predictor.class_names)[probabilities.argmax(axis=1)]
    return answers == np.array(test.class_names)[test.labels]
