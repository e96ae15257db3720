"""Names and sentences of the store that others need without importing MLflow."""

import re

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


def is_file(name: str) -> bool:
    """Whether a network's name is the path of a file, and nothing that MLflow knows."""
    return not name.startswith(("models:", "runs:"))
