"""The model card: what a network is and is worth, in Markdown as hubs of models read it."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import yaml

from pawprint.data.sources.address import is_address, shown
from pawprint.data.store import Summary
from pawprint.evaluation.report import Origin, verdict
from pawprint.evaluation.result import Result
from pawprint.evaluation.slices import FEWEST_PICTURES
from pawprint.inference.predictor import Predictor
from pawprint.pages.render import points, render_markdown

FIGURES = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "roc_auc": "area under the ROC curve",
    "log_loss": "log loss",
    "expected_calibration_error": "expected calibration error",
}
_TYPES = {"macro_f1": "f1"}  # a figure's type on a hub, where it is another word
_NO_TAG = re.compile(r"[^a-z0-9]+")


def model_card(
    result: Result,
    *,
    origin: Origin,
    summary: Summary,
    predictor: Predictor,
    network: str,
    notes: Sequence[str] = (),
) -> str:
    """Write the card, in the form of ``huggingface_hub.ModelCard``: a YAML header, then Markdown.

    Args:
        result: what was found out.
        origin: where the network comes from.
        summary: of the pictures.
        predictor: of the network.
        network: sha256 of its file, in hex.
        notes: sentences about what a person may not expect. Defaults to none.
    """
    # A card is passed on: no folders of this machine in it.
    name = PurePosixPath(summary.images).name or "pictures"
    source = shown(summary.images) if is_address(summary.images) else name
    data = PurePosixPath(source).name
    figures = [name for name in FIGURES if name in result.metrics]
    names = summary.class_names
    recalls = {n: result.metrics[k] for n in names if (k := f"recall_{n}") in result.metrics}
    body = render_markdown(
        "evaluation/card.md",
        name=origin.name,
        verdict=verdict(result),
        origin=origin,
        summary=summary,
        source=source,
        predictor=predictor,
        network=network,
        figures=[
            (FIGURES[name], result.metrics[name], _interval(result, name)) for name in figures
        ],
        recalls={n: (value, _interval(result, f"recall_{n}")) for n, value in recalls.items()},
        teacher=origin.teacher and (PurePosixPath(origin.teacher[0]).name, origin.teacher[1]),
        weakest=min(recalls, key=recalls.__getitem__),
        result=result,
        fewest_pictures=FEWEST_PICTURES,
        notes=notes,
        points=points,
    )
    header = yaml.safe_dump(
        _header(result, origin, data, figures, summary), sort_keys=False, allow_unicode=True
    )
    return f"---\n{header}---\n\n{body.strip()}\n"


def _header(
    result: Result, origin: Origin, data: str, figures: Sequence[str], summary: Summary
) -> dict[str, Any]:
    values = [
        {
            "type": _TYPES.get(name, name),
            "value": round(float(result.metrics[name]), 6),
            "name": FIGURES[name],
        }
        for name in figures
    ]
    dataset = {
        "type": _NO_TAG.sub("-", data.lower()).strip("-") or "pictures",
        "name": data,
        "split": "test",
        "revision": summary.splits["test"].digest,
    }
    task = {"type": "image-classification", "name": "image classification"}
    return {
        "library_name": "onnx",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "onnx", "pawprint", str(origin.parameters["model"])],
        "metrics": [value["type"] for value in values],
        "model-index": [
            {
                "name": origin.name,
                "results": [{"task": task, "dataset": dataset, "metrics": values}],
            }
        ],
    }


def _interval(result: Result, name: str) -> str:
    if name not in result.intervals:
        return ""
    low, high = result.intervals[name]
    return f"{low:.4f} to {high:.4f}"
