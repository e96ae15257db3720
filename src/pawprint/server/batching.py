"""Answering many at once: threads decode, and one asks the network about all that wait."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import numpy as np

from pawprint.data.decode import PictureError
from pawprint.inference.predictor import Predictor
from pawprint.server.limits import decode_cost
from pawprint.system.machine import give_back_memory, usable_cores

log = logging.getLogger(__name__)

LARGE = 10_000_000  # pixels as ``decode_cost`` counts them: such are decoded one at a time
_MOST_DECODERS = 4  # of others; as many keep up with all that HTTP brings


@dataclass(frozen=True)
class Answer:
    """A picture's answer.

    Attributes:
        pixels: as the network saw it, uint8 (size, size, 3).
        size: width and height in its file, in pixels.
        probabilities: float32 (classes,).
    """

    pixels: np.ndarray
    size: tuple[int, int]
    probabilities: np.ndarray


@dataclass(slots=True, eq=False)
class _Job:
    """A picture on its way to an answer."""

    predictor: Predictor
    content: bytes
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Answer | PictureError]
    pixels: np.ndarray
    size: tuple[int, int] = (0, 0)


_NOT_DECODED = np.zeros((0, 0, 3), np.uint8)


class Batcher:
    """Threads that answer pictures; those that wait at the same time are answered together.

    Nobody waits for a batch to fill: while the network answers one, the next one gathers. Large
    pictures have a thread for themselves: they wait for each other, so that they are never in
    memory together, and others do not wait for them.

    Args:
        on_batch: is called with the number of pictures of each batch.
    """

    def __init__(self, on_batch: Callable[[int], None] = lambda _: None) -> None:
        self._on_batch = on_batch
        self._sent: SimpleQueue[_Job | None] = SimpleQueue()
        self._large: SimpleQueue[_Job | None] = SimpleQueue()
        self._decoded: SimpleQueue[_Job | None] = SimpleQueue()
        self._following: deque[_Job | None] = deque()  # decoded, for another batch than the last
        self.waiting = 0  # pictures without an answer; counted in the event loop
        self._decoders = [
            threading.Thread(target=self._decode_all, name=f"decode-{i}", daemon=True)
            for i in range(min(len(usable_cores()), _MOST_DECODERS))
        ]
        self._large_decoder = threading.Thread(
            target=self._decode_large, name="decode-large", daemon=True
        )
        self._network = threading.Thread(target=self._answer_all, name="network", daemon=True)
        for thread in (*self._decoders, self._large_decoder, self._network):
            thread.start()

    async def classify(self, predictor: Predictor, content: bytes) -> Answer | PictureError:
        """The answer to a picture file, or why it is none."""
        loop = asyncio.get_running_loop()
        job = _Job(predictor, content, loop, loop.create_future(), _NOT_DECODED)
        self.waiting += 1
        self._sent.put(job)
        try:
            return await job.answer
        finally:
            self.waiting -= 1

    def close(self) -> None:
        """End the threads, after what was asked is answered."""
        for _ in self._decoders:
            self._sent.put(None)
        for thread in self._decoders:
            thread.join()
        self._large.put(None)
        self._large_decoder.join()
        self._decoded.put(None)
        self._network.join()

    def _decode_all(self) -> None:
        while (job := self._sent.get()) is not None:
            self._decode(job)

    def _decode_large(self) -> None:
        while (job := self._large.get()) is not None:
            self._decode(job, large=True)
            if self._large.empty():
                give_back_memory()

    def _decode(self, job: _Job, *, large: bool = False) -> None:
        if job.answer.cancelled():  # who asked is gone
            return
        try:
            if not large and decode_cost(job.content) > LARGE:
                self._large.put(job)
                return
            job.pixels, job.size = job.predictor.read_with_size(job.content)
        except PictureError as error:  # a new one: it would keep what was read alive
            _deliver([job], PictureError(str(error), error.kind))
        except Exception as error:  # noqa: BLE001 - whatever a file does, the next is decoded
            _deliver([job], error)
        else:
            self._decoded.put(job)
        job.content = b""

    def _answer_all(self) -> None:
        first = self._decoded.get()
        while first is not None:
            batch = self._gather(first)
            self._on_batch(len(batch))
            try:
                pixels = np.stack([job.pixels for job in batch])
                answers = batch[0].predictor.probabilities(pixels)
            except Exception as error:  # the next batch may be answered
                log.exception("the network failed")
                _deliver(batch, error)
            else:
                _deliver(batch, answers)
            first = self._following.popleft() if self._following else self._decoded.get()

    def _gather(self, first: _Job) -> list[_Job]:
        """What waits for the same network as ``first``."""
        batch = [first]
        while len(batch) < first.predictor.batch_size:
            try:
                job = self._decoded.get_nowait()
            except Empty:
                break
            if job is None or job.predictor is not first.predictor:
                self._following.append(job)
                break
            batch.append(job)
        return batch


def _deliver(batch: list[_Job], outcome: np.ndarray | Exception) -> None:
    """Hand answers to the event loop, all at once: waking it up takes longer than an answer."""
    loop = batch[0].loop
    if not loop.is_closed():
        loop.call_soon_threadsafe(_set_results, batch, outcome)


def _set_results(batch: list[_Job], outcome: np.ndarray | Exception) -> None:
    for place, job in enumerate(batch):
        if job.answer.done():  # cancelled: who asked is gone
            continue
        if isinstance(outcome, PictureError):
            job.answer.set_result(outcome)
        elif isinstance(outcome, Exception):
            job.answer.set_exception(outcome)
        else:
            job.answer.set_result(Answer(job.pixels, job.size, outcome[place]))
