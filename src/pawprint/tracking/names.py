"""Names and sentences of the store that others need without importing MLflow."""

import re

from pawprint.system.errors import UserError

NETWORK_FILE = "model.onnx"  # in the folder of a logged model

# Aliases of registered versions.
CHAMPION, CHALLENGER = "champion", "challenger"

# Tags of any run.
MODEL_ID_TAG, ERROR_TAG, RESTORED_FROM_TAG = "model_id", "error", "restored_from"

# Tags of a trial's run.
TRIAL_TAG, PRUNED_TAG, OVERRIDES_TAG, AXES_TAG = "trial", "pruned", "overrides", "axes"

LONGEST_NAME = 250  # of a metric or a tag
NOT_IN_NAMES = re.compile(r"[^\w.\- :/]")  # MLflow refuses them; a class may have them
# What a network may be called.
FORMS = "models:/NAME@ALIAS, models:/NAME/VERSION, runs:/RUN or a file"


def mlflow_name(name: str) -> str:
    """A name of a metric or a tag as MLflow takes it."""
    return NOT_IN_NAMES.sub("_", name)[:LONGEST_NAME]


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


def is_file(name: str) -> bool:
    """Whether a network's name is the path of a file, and nothing that MLflow knows."""
    return not name.startswith(("models:", "runs:"))
