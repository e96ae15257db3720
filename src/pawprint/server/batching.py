"""Answering many at once: threads decode, and one asks the network about all that wait."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import numpy as np

from pawprint.data.decode import PictureError
from pawprint.inference.predictor import Predictor
from pawprint.server.decode_cost import effort_of
from pawprint.system.machine import give_back_memory, usable_cores

log = logging.getLogger(__name__)

LARGE = 10_000_000  # pixels as ``effort_of`` counts them: such pictures are decoded one at a time
_MOST_DECODERS = 4  # of others; as many keep up with all that HTTP brings


@dataclass(frozen=True)
class Answered:
    """A picture's answer.

    Attributes:
        pixels: as the network saw it, uint8 (size, size, 3).
        size: width and height in its file, in pixels.
        probabilities: float32 (classes,).
    """

    pixels: np.ndarray
    size: tuple[int, int]
    probabilities: np.ndarray


class _Question:
    """A picture on its way to an answer."""

    __slots__ = ("answer", "content", "loop", "pixels", "predictor", "size")

    def __init__(self, predictor: Predictor, content: bytes) -> None:
        self.predictor = predictor
        self.content = content
        self.pixels: np.ndarray | None = None
        self.size = (0, 0)
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Answered | PictureError] = self.loop.create_future()


class Batcher:
    """Threads that answer pictures; those that wait at the same time are answered together.

    Nobody waits for a batch to fill: while the network answers one, the next one gathers. Large
    pictures have a thread for themselves: they wait for each other, so that they are never in
    memory together, and others do not wait for them.

    Args:
        told: is called with the number of pictures of each batch.
    """

    def __init__(self, told: Callable[[int], None] = lambda _: None) -> None:
        self._told = told
        self._sent: SimpleQueue[_Question | None] = SimpleQueue()
        self._large: SimpleQueue[_Question | None] = SimpleQueue()
        self._decoded: SimpleQueue[_Question | None] = SimpleQueue()
        self.waiting = 0  # pictures without an answer; counted in the event loop
        self._decoders = [
            threading.Thread(target=self._decode_all, name=f"decode-{i}", daemon=True)
            for i in range(min(len(usable_cores()), _MOST_DECODERS))
        ]
        self._alone = threading.Thread(target=self._decode_large, name="decode-large", daemon=True)
        self._network = threading.Thread(target=self._answer_all, name="network", daemon=True)
        for thread in (*self._decoders, self._alone, self._network):
            thread.start()

    async def ask(self, predictor: Predictor, content: bytes) -> Answered | PictureError:
        """The answer to a picture file, or why it is none."""
        question = _Question(predictor, content)
        self.waiting += 1
        self._sent.put(question)
        try:
            return await question.answer
        finally:
            self.waiting -= 1

    def close(self) -> None:
        """End the threads, after what was asked is answered."""
        for _ in self._decoders:
            self._sent.put(None)
        for thread in self._decoders:
            thread.join()
        self._large.put(None)
        self._alone.join()
        self._decoded.put(None)
        self._network.join()

    def _decode_all(self) -> None:
        while (question := self._sent.get()) is not None:
            self._decode(question)

    def _decode_large(self) -> None:
        while (question := self._large.get()) is not None:
            self._decode(question, alone=True)
            if self._large.empty():
                give_back_memory()

    def _decode(self, question: _Question, *, alone: bool = False) -> None:
        if question.answer.cancelled():  # who asked is gone
            return
        try:
            if not alone and effort_of(question.content) > LARGE:
                self._large.put(question)
                return
            question.pixels, question.size = question.predictor.look(question.content)
        except PictureError as error:  # a new one: it would keep what was read alive
            _deliver([question], PictureError(str(error), error.kind))
        except Exception as error:  # whatever a file does, the next one is decoded
            _deliver([question], error)
        else:
            self._decoded.put(question)
        question.content = b""

    def _answer_all(self) -> None:
        first = self._decoded.get()
        while first is not None:
            batch, first = self._gather(first)
            self._told(len(batch))
            try:
                pixels = np.stack([question.pixels for question in batch])
                answers = batch[0].predictor.probabilities(pixels)
            except Exception as error:  # the next batch may be answered
                log.exception("the network failed")
                _deliver(batch, error)
            else:
                _deliver(batch, answers)
            if first is _NOBODY:
                first = self._decoded.get()

    def _gather(self, first: _Question) -> tuple[list[_Question], _Question | object | None]:
        """What waits for the same network as ``first``, and who comes next."""
        batch = [first]
        while len(batch) < first.predictor.batch_size:
            try:
                question = self._decoded.get_nowait()
            except Empty:
                return batch, _NOBODY
            if question is None or question.predictor is not first.predictor:
                return batch, question
            batch.append(question)
        return batch, _NOBODY


_NOBODY = object()


def _deliver(batch: list[_Question], outcome: np.ndarray | Exception) -> None:
    """Hand answers to the event loop, all at once: waking it up takes longer than an answer."""
    loop = batch[0].loop
    if not loop.is_closed():
        loop.call_soon_threadsafe(_settle, batch, outcome)


def _settle(batch: list[_Question], outcome: np.ndarray | Exception) -> None:
    for place, question in enumerate(batch):
        if question.answer.done():  # cancelled: who asked is gone
            continue
        if isinstance(outcome, PictureError):
            question.answer.set_result(outcome)
        elif isinstance(outcome, Exception):
            question.answer.set_exception(outcome)
        else:
            question.answer.set_result(Answered(question.pixels, question.size, outcome[place]))
