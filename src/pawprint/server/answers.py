"""Answers to the files of requests: threads decode, one asks the network about all that wait."""

import asyncio
import base64
import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from pawprint.data.brightness import brightness
from pawprint.data.decode import TOO_LARGE, PictureError
from pawprint.inference.prediction_log import PredictionLog, log_entry
from pawprint.inference.predictor import Prediction, Predictor
from pawprint.server.limits import Limits, Problem, decode_cost, problem_of
from pawprint.server.metrics import Metrics
from pawprint.server.model import Model
from pawprint.server.uploads import Upload
from pawprint.system.machine import give_back_memory, usable_cores

log = logging.getLogger(__name__)

LARGE = 10_000_000  # pixels as ``decode_cost`` counts them: such are decoded one at a time
_MOST_DECODERS = 4  # of others; as many keep up with all that HTTP brings
_AT_ONCE = 8  # files of a request
_DECIMALS = 6  # as the command line prints them


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
    pixels: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 3), np.uint8))
    size: tuple[int, int] = (0, 0)


class Batcher:
    """Threads that answer pictures; those that wait at the same time are answered together.

    Nobody waits for a batch to fill: while the network answers one, the next one gathers. Large
    pictures have a thread for themselves: they wait for each other, so that they are never in
    memory together, and others do not wait for them. ``on_batch`` is told how many pictures are
    in each batch.
    """

    def __init__(self, on_batch: Callable[[int], None] = lambda _: None) -> None:
        self._on_batch = on_batch
        self._sent: SimpleQueue[_Job | None] = SimpleQueue()
        self._large: SimpleQueue[_Job | None] = SimpleQueue()
        self._decoded: SimpleQueue[_Job | None] = SimpleQueue()
        self._following: deque[_Job | None] = deque()  # decoded, for another batch than the last
        self.waiting = 0  # pictures without an answer; counted in the event loop
        self._decoders = [
            _start(f"decode-{i}", self._decode_all, self._sent)
            for i in range(min(len(usable_cores()), _MOST_DECODERS))
        ]
        self._large_decoder = _start("decode-large", self._decode_all, self._large, large=True)
        self._network = _start("network", self._answer_all)

    async def classify(self, predictor: Predictor, content: bytes) -> Answer | PictureError:
        """The answer to a picture file, or why it is none."""
        loop = asyncio.get_running_loop()
        job = _Job(predictor, content, loop, loop.create_future())
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

    def _decode_all(self, jobs: SimpleQueue[_Job | None], *, large: bool = False) -> None:
        while (job := jobs.get()) is not None:
            self._decode(job, large=large)
            if large and jobs.empty():
                give_back_memory()

    def _decode(self, job: _Job, *, large: bool) -> None:
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


def _start(
    name: str, work: Callable[..., None], *values: object, **options: object
) -> threading.Thread:
    thread = threading.Thread(None, work, name, values, options, daemon=True)
    thread.start()
    return thread


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


async def classify(
    upload: Upload, model: Model, batcher: Batcher, limits: Limits
) -> Answer | Problem:
    """The answer to a file as it was sent, or why there is none."""
    if upload.problem:
        return upload.problem
    try:
        outcome = await batcher.classify(model.predictor, upload.content)
    except MemoryError:
        return Problem(f"{TOO_LARGE}: send a smaller one", 413)
    return problem_of(outcome, limits) if isinstance(outcome, PictureError) else outcome


async def predict_uploads(
    uploads: Sequence[Upload],
    model: Model,
    batcher: Batcher,
    metrics: Metrics,
    limits: Limits,
    *,
    maps: bool = False,
    prediction_log: PredictionLog | None = None,
) -> tuple[int, bytes]:
    """Status and JSON for the files of a request, one at least.

    The status is 200 where a file, at least, is a picture; else that of the problem, 422 for
    several of different kinds.
    """
    turns = asyncio.Semaphore(_AT_ONCE)  # then it is the turn of other requests

    async def in_turn(upload: Upload) -> Answer | Problem:
        async with turns:
            return await classify(upload, model, batcher, limits)

    if len(uploads) == 1:
        outcomes = [await classify(uploads[0], model, batcher, limits)]
    else:
        outcomes = await asyncio.gather(*map(in_turn, uploads))
    pairs = zip(uploads, outcomes, strict=True)
    rows = [answer_row(upload, outcome, model) for upload, outcome in pairs]
    for row in rows:
        metrics.picture(row.get("label"))
    answered = [
        (row, outcome)
        for row, outcome in zip(rows, outcomes, strict=True)
        if isinstance(outcome, Answer)
    ]
    name, run_id = model.source.name, model.source.run_id
    if prediction_log:
        entries = (
            log_entry(one.size, brightness(one.pixels), row["probabilities"], name, run_id)
            for row, one in answered
        )
        metrics.not_logged(prediction_log.add(entries))
    if maps and answered:
        pixels = np.stack([outcome.pixels for _, outcome in answered])
        drawn = await asyncio.to_thread(model.maps, pixels)
        for (row, _), png in zip(answered, drawn or (), strict=drawn is not None):
            row["map"] = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    content = {"model": name, "version": model.source.version, "predictions": rows}
    problems = [outcome for outcome in outcomes if isinstance(outcome, Problem)]
    status = 200
    if len(problems) == len(uploads):
        statuses = {problem.status for problem in problems}
        status = statuses.pop() if len(statuses) == 1 else 422
        first = f"{uploads[0].name} {problems[0].sentence}"
        others = f"none of {len(uploads)} files is a picture: " if len(uploads) > 1 else ""
        content["error"] = others + first
    return status, json.dumps(content, separators=(",", ":")).encode()


def answer_row(upload: Upload, outcome: Answer | Problem, model: Model) -> dict[str, Any]:
    """A file's answer, or its problem, as JSON has it."""
    if isinstance(outcome, Problem):
        return {"name": upload.name, "problem": outcome.sentence}
    values = outcome.probabilities.tolist()
    answers = dict(zip(model.predictor.class_names, values, strict=True))
    prediction = Prediction(Path(upload.name), answers, threshold=model.predictor.threshold)
    return {
        "name": upload.name,
        "label": prediction.label,
        "probability": round(max(values), _DECIMALS),
        "probabilities": {name: round(p, _DECIMALS) for name, p in answers.items()},
    }
