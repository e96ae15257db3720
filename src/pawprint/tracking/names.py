"""Names and sentences of the store that others need without importing MLflow."""

from __future__ import annotations

from pawprint.system.errors import UserError

CHAMPION = "champion"
FILE = "model.onnx"

# Tags of a trial's run.
TRIAL_TAG, PRUNED_TAG, OVERRIDES_TAG, AXES_TAG = "trial", "pruned", "overrides", "axes"


def no_champion(model: str, address: str) -> UserError:
    """The sentence for a registry without a champion."""
    return UserError(
        f"no champion of {model} is registered in {address}; run `dvc repro` to train, "
        "evaluate and register one"
    )


def no_version(model: str, which: str, address: str) -> UserError:
    """The sentence for a registry without that version or alias."""
    if which == CHAMPION:
        return no_champion(model, address)
    word = f"version {which}" if which.isdecimal() else f"alias {which}"
    return UserError(f"{address} has no {word} of {model}; `mlflow ui` shows what there is")
