"""Stage predict: the champion classifies the pictures of `predict_images`."""

import logging
from itertools import chain

from pawprint.config.compose import project_root
from pawprint.config.paths import Paths
from pawprint.config.schema import Config
from pawprint.data.picture import pixels_at_most
from pawprint.data.sources.address import is_address, shown
from pawprint.inference.batch_prediction import Tally, classify, find_files
from pawprint.inference.predictor import Predictor
from pawprint.inference.table import Columns, write_csv
from pawprint.registry.source import find_champion, with_class_note
from pawprint.system.errors import UserError
from pawprint.system.files import replacing_table

log = logging.getLogger(__name__)


def predict(config: Config) -> None:
    """Classify every file of ``predict_images`` and write `predictions.csv`.

    Raises:
        UserError: there are no such pictures, none of them can be read, or there is no champion.
    """
    paths = Paths(project_root())
    if is_address(config.predict_images):
        raise UserError(
            f"predict_images is a URL, {shown(config.predict_images)}; give a picture or a folder, "
            "or run `pawprint predict URL`"
        )
    images = paths.given(config.predict_images)
    if not images.exists():
        raise UserError(f"predict_images: {images} does not exist; give a picture or a folder")
    champion = find_champion(config.tracking.uri, config.tracking.registered_model)
    predictor = Predictor(champion.network, config.sure_precision)
    for note in with_class_note(champion, predictor.class_names).notes:
        log.warning("%s", note)
    columns = Columns(tuple(predictor.class_names), root=paths.root)
    tally = Tally(log.warning)
    limit = pixels_at_most(int(config.max_megapixels * 1e6))
    with limit, replacing_table(paths.predictions) as file:
        files = find_files([str(images)], recursive=True)
        first = next(files)
        if first == str(images) and images.is_dir():
            raise UserError(f"predict_images: {images} holds no file; put pictures into it")
        files = chain([first], files)
        write_csv(file, tally.of(classify(files, predictor)), columns)
        tally.end()
        if tally.unread == tally.files:
            raise UserError(
                f"predict_images: none of the {tally.files} files in {images} is a picture"
            )
    read = tally.files - tally.unread
    who = f"{champion.model} version {champion.version}"
    log.info("%d pictures classified by %s: %s", read, who, paths.predictions)
