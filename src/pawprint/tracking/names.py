"""Names and sentences of the store that others need without importing MLflow."""

import re
from collections.abc import Sequence

NETWORK_FILE = "model.onnx"  # in the folder of a logged model
CARD = "evaluate/model_card.md"  # a run's artifact

# Aliases of registered versions.
CHAMPION, CHALLENGER = "champion", "challenger"

# Tags of any run.
MODEL_ID_TAG, ERROR_TAG, RESTORED_FROM_TAG = "model_id", "error", "restored_from"
NETWORK_TAG = "network_sha256"  # of the file of the run's, or the version's, network
DATA_TAG, KIND_TAG = "data_digest", "kind"  # one of them is on every run with results of ours

# Tags of a student's run: whom it learned from, and the sha256 of that network's file.
TEACHER_TAG, TEACHER_DIGEST_TAG = "teacher", "teacher_sha256"

# Tags of a trial's run.
TRIAL_TAG, PRUNED_TAG, OVERRIDES_TAG, AXES_TAG = "trial", "pruned", "overrides", "axes"

LONGEST_NAME = 250  # of a metric or a tag
LONGEST_TAG = 5000  # MLflow takes more in some stores only
LONGEST_RUN_NAME = 80
NOT_IN_NAMES = re.compile(r"[^\w.\- :/]")  # MLflow refuses them; a class may have them
# What a network may be called.
FORMS = "models:/NAME@ALIAS, models:/NAME/VERSION, runs:/RUN or a file"


def mlflow_name(name: str) -> str:
    """A name of a metric or a tag as MLflow takes it."""
    return NOT_IN_NAMES.sub("_", name)[:LONGEST_NAME]


def joined(words: Sequence[str], longest: int, separator: str = " ") -> str:
    """As many of the words, whole, as have room; the rest is counted."""
    if len(text := separator.join(words)) <= longest:
        return text
    kept, length = 0, len(f"and {len(words)} more")
    while (length := length + len(words[kept]) + len(separator)) <= longest:
        kept += 1
    return separator.join([*words[:kept], f"and {len(words) - kept} more"])


def class_names_tag(names: Sequence[str]) -> str:
    """The tag ``class_names`` of a run and a version; all of them are in the run's artifacts."""
    return joined(names, LONGEST_TAG, ", ")


def is_file(name: str) -> bool:
    """Whether a network's name is the path of a file, and nothing that MLflow knows."""
    return not name.startswith(("models:", "runs:"))
