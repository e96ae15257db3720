"""From the files of a request to its answer."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pawprint.data.brightness import brightness
from pawprint.data.decode import TOO_LARGE, PictureError
from pawprint.inference.prediction_log import PredictionLog, log_entry
from pawprint.inference.predictor import Prediction
from pawprint.server.batching import Answer, Batcher
from pawprint.server.limits import Limits, Problem, problem_of
from pawprint.server.metrics import Metrics
from pawprint.server.model import Model
from pawprint.server.uploads import Upload

_DECIMALS = 6  # as the command line prints them
_AT_ONCE = 8  # files of a request


async def predict_uploads(
    uploads: Sequence[Upload],
    model: Model,
    batcher: Batcher,
    metrics: Metrics,
    limits: Limits,
    *,
    maps: bool = False,
    log: PredictionLog | None = None,
) -> tuple[int, bytes]:
    """Status and JSON for the files of a request.

    The status is 200 where a file, at least, is a picture; else that of the problem, 422 for
    several of different kinds.

    Args:
        uploads: one at least.
        model: who answers all of them.
        batcher: where it is asked.
        metrics: where the answers are counted.
        limits: of pictures.
        maps: whether to tell where the model looked.
        log: remembers the pictures.
    """
    # Some files of a request at once; then it is the turn of others.
    turns = asyncio.Semaphore(_AT_ONCE) if len(uploads) > 1 else contextlib.nullcontext()

    async def classify(upload: Upload) -> Answer | Problem:
        if upload.problem:
            return upload.problem
        try:
            async with turns:
                outcome = await batcher.classify(model.predictor, upload.content)
        except MemoryError:
            return Problem(f"{TOO_LARGE}: send a smaller one", 413)
        return problem_of(outcome, limits) if isinstance(outcome, PictureError) else outcome

    if len(uploads) == 1:
        outcomes = [await classify(uploads[0])]
    else:
        outcomes = await asyncio.gather(*map(classify, uploads))
    rows = [_row(upload, outcome, model) for upload, outcome in zip(uploads, outcomes, strict=True)]
    for row in rows:
        metrics.picture(row.get("label"))
    answered = [
        (row, outcome)
        for row, outcome in zip(rows, outcomes, strict=True)
        if isinstance(outcome, Answer)
    ]
    source = model.source
    if log:
        entries = (
            log_entry(
                outcome.size,
                brightness(outcome.pixels),
                row["probabilities"],
                source.name,
                source.run_id,
            )
            for row, outcome in answered
        )
        metrics.not_logged(log.add(entries))
    if maps and answered:
        pixels = np.stack([outcome.pixels for _, outcome in answered])
        drawn = await asyncio.to_thread(model.maps, pixels)
        for (row, _), png in zip(answered, drawn or (), strict=drawn is not None):
            row["map"] = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    content = {"model": source.name, "version": source.version, "predictions": rows}
    problems = [outcome for outcome in outcomes if isinstance(outcome, Problem)]
    status = 200
    if len(problems) == len(uploads):
        statuses = {problem.status for problem in problems}
        status = statuses.pop() if len(statuses) == 1 else 422
        content["error"] = _error(uploads, problems)
    return status, json.dumps(content, separators=(",", ":")).encode()


def _row(upload: Upload, outcome: Answer | Problem, model: Model) -> dict[str, Any]:
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


def _error(uploads: Sequence[Upload], problems: Sequence[Problem]) -> str:
    first = f"{uploads[0].name} {problems[0].sentence}"
    return first if len(uploads) == 1 else f"none of {len(uploads)} files is a picture: {first}"
