"""Answers for many files: each core decodes and computes, while the answers are written."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pawprint.inference.predictor import Answers, Prediction, Predictor

AT_A_TIME = 64  # files for a process; so few are answered sooner than processes are started
MOST_TOLD = 10


def classify(
    files: Iterable[str], predictor: Predictor, *, measure: bool = False
) -> Iterator[Prediction]:
    """Yield a prediction per file, in their order, as ``predictor`` gives it.

    Files are taken as they are needed, a few hundred ahead. Many are shared out among processes
    that read, decode and answer; each opens the network for itself, with one thread.

    Args:
        files: their paths.
        predictor: who answers.
        measure: whether to tell the pictures' brightness too. Defaults to False.

    Raises:
        UserError: a process was killed, for lack of memory perhaps.
    """
    size = min(AT_A_TIME, predictor.batch_size)
    files = iter(files)
    parts = iter(lambda: list(itertools.islice(files, size)), [])
    few = list(itertools.islice(parts, 2))
    if len(few) < 2:  # sooner here, with all threads
        for part in few:
            yield from predictor.predictions(part, predictor.answer(part, measure=measure))
        return
    from pawprint.data.reading.workers import on_all_cores

    ahead: list[list[str]] = []  # whose answers are still to come

    def note_ahead() -> Iterator[list[str]]:
        for part in itertools.chain(few, parts):
            ahead.append(part)
            yield part

    answer = functools.partial(_answer, predictor.path, measure)
    for answers in on_all_cores(answer, note_ahead()):
        yield from predictor.predictions(ahead.pop(0), answers)


def _answer(network: Path, measure: bool, files: list[str]) -> Answers:
    return _open_predictor(network).answer(files, measure=measure)


@functools.cache  # once in each process
def _open_predictor(network: Path) -> Predictor:
    return Predictor(network, threads=1)


class Tally:
    """Counts predictions, and tells what could not be read.

    Args:
        tell: called with a sentence for each of the first files that are no pictures, and at
            ``end`` with one for the others.

    Attributes:
        files: how many there were.
        unread: how many of them are no pictures.
    """

    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell
        self.files = self.unread = 0

    def of(self, predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        """Yield the predictions, counted."""
        for prediction in predictions:
            self.files += 1
            if prediction.problem:
                self.unread += 1
                if self.unread <= MOST_TOLD:
                    self._tell(f"{prediction.path} {prediction.problem}")
            yield prediction

    def end(self) -> None:
        """Tell how many more files could not be read than were told of."""
        if (more := self.unread - MOST_TOLD) > 0:
            self._tell(f"{more} more files are no pictures; their rows say why")
