"""Stage predict: the champion classifies the pictures of `predict_images`."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from pawprint.config import project_root, run_stage
from pawprint.errors import UserError
from pawprint.files import replacing_table
from pawprint.images.layout import files_below
from pawprint.paths import Paths
from pawprint.schema import Config
from pawprint.serving.source import find_champion
from pawprint.serving.predictor import Prediction, Predictor, class_columns

log = logging.getLogger(__name__)


def main() -> None:
    """Predict with the champion."""
    run_stage("predict", predict)


def predict(config: Config) -> None:
    """Classify every file of ``predict_images`` and write `predictions.csv`.

    Raises:
        UserError: there are no such pictures, none of them can be read, or there is no champion.
    """
    paths = Paths(project_root())
    images = paths.given(config.predict_images)
    if not images.exists():
        raise UserError(f"predict_images: {images} does not exist; give a picture or a folder")
    files = list_pictures([images])
    champion = find_champion(config.tracking.uri, config.tracking.registered_model)
    predictor = Predictor(champion.network, config.sure_precision)
    predictions = list(predictor.classify(files))
    unread = [p for p in predictions if p.problem]
    for prediction in unread:
        log.warning("%s %s", prediction.path, prediction.problem)
    if len(unread) == len(files):
        raise UserError(f"predict_images: none of the {len(files)} files in {images} is a picture")
    with replacing_table(paths.predictions) as file:
        write_predictions(file, predictions, predictor.class_names, relative_to=paths.root)
    log.info(
        "%d pictures classified by %s version %d",
        len(files) - len(unread),
        champion.model,
        champion.version,
    )


def list_pictures(given: Iterable[Path]) -> list[Path]:
    """The given files, and the files inside the given folders, sorted; hidden ones are skipped.

    Raises:
        UserError: a folder holds no file.
    """
    files: list[Path] = []
    for path in given:
        if path.is_dir():
            inside = sorted(map(Path, files_below(path)))
            if not inside:
                raise UserError(f"{path} holds no file; give pictures or a folder with pictures")
            files += inside
        else:
            files.append(path)  # also one that does not exist: its own row will say so
    return files


def write_predictions(
    file: TextIO,
    predictions: Iterable[Prediction],
    class_names: list[str],
    *,
    relative_to: Path | None = None,
) -> None:
    """Write path, label, probability and a column per class as CSV, a row per file.

    A file that is no picture has empty figures and its problem in the last column.
    """
    writer = csv.writer(file, lineterminator="\n")
    fixed = ("path", "label", "probability", "problem")
    writer.writerow([*fixed[:3], *class_columns(class_names, fixed), fixed[3]])
    for prediction in predictions:
        path = prediction.path
        if relative_to and path.is_relative_to(relative_to):
            path = path.relative_to(relative_to)
        if prediction.problem:
            figures = [""] * (2 + len(class_names))
        else:
            each = [f"{prediction.probabilities[name]:.6f}" for name in class_names]
            figures = [prediction.label, f"{prediction.probability:.6f}", *each]
        writer.writerow([path, *figures, prediction.problem or ""])


if __name__ == "__main__":
    main()
