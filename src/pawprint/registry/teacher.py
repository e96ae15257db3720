"""The network that a student learns from: found by what `teacher` says, and asked."""

import hashlib
import logging
import re
from contextlib import ExitStack
from dataclasses import replace

from pawprint.config.paths import Paths
from pawprint.config.schema import Config, Tracking
from pawprint.data.originals import Joined, labelled_originals, unlabelled_originals
from pawprint.data.store import Split, Summary
from pawprint.inference.predictor import Pictures, Predictor
from pawprint.registry.source import Source, find_network, with_facts
from pawprint.system.errors import UserError
from pawprint.tracking.names import CHALLENGER, CHAMPION, is_file
from pawprint.training.augmentation import Augmentation
from pawprint.training.teacher import (
    MOST_VIEWS,
    SoftTargets,
    Teacher,
    answers_of_views,
    views_of,
)

log = logging.getLogger(__name__)

_VERSION = re.compile(r"v(\d{1,15})")


def find_teacher(name: str | None, tracking: Tracking, paths: Paths) -> Teacher | None:
    """The network to learn from, ready to answer; None where there is to be none.

    Args:
        name: champion, challenger, a version as v3, models:/…, runs:/…, or an ONNX file.
        tracking: where runs and versions are.
        paths: of the project.

    Raises:
        UserError: there is no such network, it cannot be used, or the store does not answer.
    """
    if name is None:
        return None
    try:
        source, content = _find(name, tracking, paths)
        # It was meant itself: a file need not be the champion's.
        known = replace(with_facts(source, content), notes=())
        predictor = Predictor(source.network, content=content)
    except (UserError, OSError) as error:
        raise UserError(f"teacher is {name}: {error}") from None
    for note in source.notes:
        log.warning("teacher: %s", note)
    tested = known.tags.get("test_digest")
    return Teacher(predictor, hashlib.sha256(content).hexdigest(), known.name, tested)


def teacher_digest(name: str | None, tracking: Tracking, paths: Paths) -> str | None:
    """Sha256 in hex of the file of the network that is meant now; see ``find_teacher``."""
    if name is None:
        return None
    try:
        return hashlib.sha256(_find(name, tracking, paths)[1]).hexdigest()
    except (UserError, OSError) as error:
        raise UserError(f"teacher is {name}: {error}") from None


def _find(name: str, tracking: Tracking, paths: Paths) -> tuple[Source, bytes]:
    """The network that is meant, and its content."""
    model = tracking.registered_model
    if name in (CHAMPION, CHALLENGER):
        name = f"models:/{model}@{name}"
    elif match := _VERSION.fullmatch(name):
        name = f"models:/{model}/{match[1]}"
    elif is_file(name):
        name = str(paths.given(name))
    source = find_network(name, tracking.uri)
    return source, source.network.read_bytes()


def ask(
    teacher: Teacher,
    train: Split,
    vary: Augmentation,
    config: Config,
    summary: Summary,
    paths: Paths,
) -> SoftTargets:
    """What a teacher says of pictures as its student will see them.

    A teacher of another picture size sees the files themselves, at its own.

    Args:
        teacher: whom to ask.
        train: the training pictures, and those without labels behind them, if any.
        vary: the augmentation.
        config: of the training.
        summary: of the prepared pictures.
        paths: of the project.

    Raises:
        UserError: the files are needed, but not there any more.
    """
    size, labelled = teacher.predictor.image_size, int((train.labels >= 0).sum())
    with ExitStack() as stack:
        originals: Pictures = stack.enter_context(
            labelled_originals(
                train.paths[:labelled],
                summary,
                paths.pictures(summary.images),
                size=size,
                resize=summary.resize,
                prepared=paths.prepared,
                downloads=paths.downloads,
            )
        )
        if summary.unlabelled and labelled < len(train.paths):
            others = stack.enter_context(
                unlabelled_originals(
                    train.paths[labelled:],
                    summary,
                    paths.pictures(summary.unlabelled),
                    size=size,
                    prepared=paths.prepared,
                    downloads=paths.downloads,
                )
            )
            originals = Joined(originals, others)
        answers = answers_of_views(
            teacher,
            train.pictures if size == summary.image_size else originals,
            train.digest,
            train.class_names,
            vary,
            side=summary.image_size,
            views=1 if views_of(vary) == Augmentation() else min(config.epochs, MOST_VIEWS),
            seed=config.seed,
            folder=paths.features,
        )
    return SoftTargets(answers, vary, summary.image_size, config.seed, config.label_smoothing)
