"""From the files of a request to its answer."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from pawprint.data.decode import TOO_LARGE, PictureError
from pawprint.inference.prediction_log import SeenLog, see
from pawprint.inference.predictor import Prediction
from pawprint.server.batching import Answered, Batcher
from pawprint.server.limits import Limits, Problem, problem_of
from pawprint.server.metrics import Metrics
from pawprint.server.model import Model
from pawprint.server.uploads import Upload

_DECIMALS = 6  # as the command line prints them
_AT_ONCE = 8  # files of a request; then it is the turn of others
_ALONE = contextlib.nullcontext()


async def answer(
    uploads: Sequence[Upload],
    model: Model,
    batcher: Batcher,
    metrics: Metrics,
    limits: Limits,
    *,
    maps: bool = False,
    seen: SeenLog | None = None,
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
        seen: remembers the pictures.
    """
    if len(uploads) == 1:
        outcomes = [await _ask(uploads[0], model, batcher, limits)]
    else:
        turns = asyncio.Semaphore(_AT_ONCE)
        asked = (_ask(upload, model, batcher, limits, turns) for upload in uploads)
        outcomes = await asyncio.gather(*asked)
    rows = [_row(upload, outcome, model) for upload, outcome in zip(uploads, outcomes, strict=True)]
    for row in rows:
        metrics.picture(row.get("label"))
    if seen:
        metrics.not_logged(_remember(seen, rows, outcomes, model))
    if maps:
        await _add_maps(rows, outcomes, model)
    source = model.source
    content = {"model": source.name, "version": source.version, "predictions": rows}
    problems = [outcome for outcome in outcomes if isinstance(outcome, Problem)]
    status = 200
    if len(problems) == len(uploads):
        statuses = {problem.status for problem in problems}
        status = statuses.pop() if len(statuses) == 1 else 422
        content["error"] = _error(uploads, problems)
    return status, json.dumps(content, separators=(",", ":")).encode()


async def _ask(
    upload: Upload,
    model: Model,
    batcher: Batcher,
    limits: Limits,
    turns: contextlib.AbstractAsyncContextManager[Any] = _ALONE,
) -> Answered | Problem:
    if upload.problem:
        return upload.problem
    try:
        async with turns:
            outcome = await batcher.ask(model.predictor, upload.content)
    except MemoryError:
        return Problem(f"{TOO_LARGE}: send a smaller one", 413)
    return problem_of(outcome, limits) if isinstance(outcome, PictureError) else outcome


def _row(upload: Upload, outcome: Answered | Problem, model: Model) -> dict[str, Any]:
    if isinstance(outcome, Problem):
        return {"name": upload.name, "problem": outcome.sentence}
    values = outcome.probabilities.tolist()
    answers = dict(zip(model.predictor.class_names, values, strict=True))
    prediction = Prediction(upload.name, answers, threshold=model.predictor.threshold)
    return {
        "name": upload.name,
        "label": prediction.label,
        "probability": round(prediction.probability, _DECIMALS),
        "probabilities": {name: round(p, _DECIMALS) for name, p in answers.items()},
    }


def _remember(
    seen: SeenLog,
    rows: list[dict[str, Any]],
    outcomes: Sequence[Answered | Problem],
    model: Model,
) -> int:
    """How many pictures could not be logged."""
    source = model.source
    return seen.add(
        see(
            outcome.pixels,
            width=outcome.size[0],
            height=outcome.size[1],
            probabilities=row["probabilities"],
            model=source.name,
            run_id=source.run_id,
        )
        for row, outcome in zip(rows, outcomes, strict=True)
        if isinstance(outcome, Answered)
    )


async def _add_maps(
    rows: list[dict[str, Any]], outcomes: Sequence[Answered | Problem], model: Model
) -> None:
    pairs = [(row, o) for row, o in zip(rows, outcomes, strict=True) if isinstance(o, Answered)]
    if not pairs:
        return
    pixels = np.stack([outcome.pixels for _, outcome in pairs])
    drawn = await asyncio.to_thread(model.maps, pixels)
    for (row, _), png in zip(pairs, drawn or (), strict=drawn is not None):
        row["map"] = f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _error(uploads: Sequence[Upload], problems: Sequence[Problem]) -> str:
    first = f"{uploads[0].name} {problems[0].sentence}"
    return first if len(uploads) == 1 else f"none of {len(uploads)} files is a picture: {first}"
