"""Finding the network that a student learns from, by what `teacher` says."""

import hashlib
import logging
import re
from dataclasses import replace

from pawprint.config.paths import Paths
from pawprint.config.schema import Config
from pawprint.inference.predictor import Predictor
from pawprint.registry.source import Source, find_network, with_facts
from pawprint.system.errors import UserError
from pawprint.tracking.names import CHALLENGER, CHAMPION, is_file
from pawprint.training.teacher import Teacher

log = logging.getLogger(__name__)

_VERSION = re.compile(r"v(\d{1,15})")


def find_teacher(config: Config, paths: Paths) -> Teacher | None:
    """The network to learn from, ready to answer; None where `teacher` is null.

    Raises:
        UserError: there is no such network, it cannot be used, or the store does not answer.
    """
    if config.teacher is None:
        return None
    try:
        source = _find(config, paths)
        content = source.network.read_bytes()
        # It was meant itself: a file need not be the champion's.
        known = replace(with_facts(source, content), notes=())
        predictor = Predictor(source.network, content=content)
    except (UserError, OSError) as error:
        raise UserError(f"teacher is {config.teacher}: {error}") from None
    for note in source.notes:
        log.warning("teacher: %s", note)
    return Teacher(predictor, hashlib.sha256(content).hexdigest(), known.name)


def _find(config: Config, paths: Paths) -> Source:
    name, model = str(config.teacher), config.tracking.registered_model
    if name in (CHAMPION, CHALLENGER):
        name = f"models:/{model}@{name}"
    elif match := _VERSION.fullmatch(name):
        name = f"models:/{model}/{match[1]}"
    elif is_file(name):
        name = str(paths.given(name))
    return find_network(name, config.tracking.uri)
