"""Predictions for many files: which they are, answers from all cores, and a count of them."""

import codecs
import functools
import itertools
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from io import BufferedReader
from pathlib import Path

from pawprint.data.folders import files_below, visible
from pawprint.inference.predictor import Answers, Prediction, Predictor
from pawprint.system.errors import UserError

LIST = "-"  # in place of a path: read them from standard input
_AT_A_TIME = 64  # files for a process; so few are answered sooner than processes are started
_MOST_TOLD = 10


def find_files(
    given: Iterable[str],
    *,
    recursive: bool = False,
    skipped: Callable[[str, int], object] | None = None,
    but: Collection[Path] = (),
) -> Iterator[str]:
    """Yield the given files, and those inside the given folders, sorted; hidden ones are skipped.

    A path that leads nowhere is yielded too, and so is a folder that holds no file or cannot be
    read: its own row will say so.

    Args:
        given: paths of files and folders, taken as they are needed.
        recursive: also enter the sub-folders of the folders. Defaults to False.
        skipped: called with each folder whose sub-folders are not entered, and their number.
        but: files that are no pictures, but written meanwhile.

    Raises:
        UserError: one of ``but`` is given itself.
    """
    own = {os.path.realpath(path) for path in but}
    names = {path.name for path in but} | {os.path.basename(path) for path in own}  # noqa: PTH119

    def is_own(path: str) -> bool:
        return os.path.basename(path) in names and os.path.realpath(path) in own  # noqa: PTH119

    for path in given:
        if not os.path.isdir(path):  # noqa: PTH112 - a Path for each of very many takes longer
            if is_own(path):
                raise UserError(f"{path} is to be read and to be written; write elsewhere")
            yield path
            continue
        folders, files = _inside(path, recursive)
        found = False
        for file in files:
            if not is_own(file):
                found = True
                yield file
        if folders and skipped:
            skipped(path, len(folders))
        if not found:
            yield path


def _inside(folder: str, recursive: bool) -> tuple[list[str], Iterable[str]]:
    """The folders that are not entered, and the files."""
    if recursive:
        return [], files_below(folder, keep_unreadable=True)
    try:
        return visible(folder)
    except UserError:
        return [], []


def read_list(stream: BufferedReader) -> Iterator[str]:
    """Yield the paths on the lines of ``stream``, or between its zero bytes if it has some.

    Names are bytes to the system: those that are not UTF-8 come through as they are.
    """
    rest, separator = b"", b""
    while True:
        block = stream.read1(2**16)  # what is there, without waiting for more
        if not separator:
            block = block.removeprefix(codecs.BOM_UTF8)
        separator = separator or (b"\0" if b"\0" in block else b"\n")
        *lines, rest = (rest + block).split(separator)
        for line in lines if block else [rest]:
            if name := line.removesuffix(b"\r") if separator == b"\n" else line:
                yield os.fsdecode(name)
        if not block:
            return


def classify(
    files: Iterable[str], predictor: Predictor, *, measure: bool = False
) -> Iterator[Prediction]:
    """Yield a prediction per file, in their order, as ``predictor`` gives it.

    Files are taken as they are needed, a few hundred ahead. Many are shared out among processes
    that read, decode and answer; each opens the network for itself, with one thread. Beside other
    threads, as in a notebook, it is threads that share the network. Brightness is told where
    ``measure`` asks for it.

    Raises:
        UserError: a process was killed, for lack of memory perhaps, or the network's file was
            changed since it was read.
    """
    size = min(_AT_A_TIME, predictor.batch_size)
    files = iter(files)
    parts = iter(lambda: list(itertools.islice(files, size)), [])
    few = list(itertools.islice(parts, 2))
    if len(few) < 2:  # sooner here, with all threads
        for part in few:
            yield from predictor.predictions(part, predictor.answer(part, measure=measure))
        return
    from pawprint.data.reading.workers import may_fork, on_all_cores

    names, parts = itertools.tee(itertools.chain(few, parts))
    answer = functools.partial(predictor.answer, measure=measure)
    if may_fork():
        predictor.check_unchanged()
        answer = functools.partial(_answer, predictor.path, measure)
    for answers, part in zip(on_all_cores(answer, parts), names, strict=True):
        yield from predictor.predictions(part, answers)


def _answer(network: Path, measure: bool, files: list[str]) -> Answers:
    return _open_predictor(network).answer(files, measure=measure)


@functools.cache  # once in each process
def _open_predictor(network: Path) -> Predictor:
    return Predictor(network, threads=1)


class Tally:
    """Counts predictions in ``files``, those of no pictures in ``unread``.

    Args:
        tell: called with a sentence for each of the first files that are no pictures, and at
            ``end`` with one for the others.
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
                if self.unread <= _MOST_TOLD:
                    self._tell(f"{prediction.path} {prediction.problem}")
            yield prediction

    def end(self) -> None:
        """Tell how many more files could not be read than were told of."""
        if (more := self.unread - _MOST_TOLD) > 0:
            self._tell(f"{more} more files are no pictures; their rows say why")
