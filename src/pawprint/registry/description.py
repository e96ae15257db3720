"""What MLflow's pages tell of a version, its run and the registered model, in Markdown."""

from collections.abc import Mapping
from typing import Any

from pawprint.pages.render import render_markdown
from pawprint.registry.gate import decision_in
from pawprint.tracking.names import joined
from pawprint.tracking.registry import Registry, Version

FIGURES = {
    "test_accuracy": "accuracy",
    "test_macro_f1": "macro F1",
    "test_log_loss": "log loss",
    "test_expected_calibration_error": "expected calibration error",
}
_LONGEST_CLASSES, _LONGEST_REASON = 300, 2000  # characters; MLflow takes 5,000 in all


def describe(registry: Registry, version: Version, champion: int | None) -> None:
    """Describe a version, its run and the registered model, whose champion is ``champion``.

    What a person wrote there stays.
    """
    registry.describe(version, _text(registry, version))
    describe_champion(registry, champion)


def describe_champion(registry: Registry, number: int | None) -> None:
    """Let the registered model tell who is champion: a version, or nobody for None."""
    version = registry.version(number) if number is not None else None
    text = f"Champion is version {number}." if version else "There is no champion."
    if version:
        text += f"\n\n{_text(registry, version)}"
    registry.describe_model(text)


def _text(registry: Registry, version: Version) -> str:
    tags, run = version.tags, registry.run_of(version)
    decision = decision_in(tags)
    return render_markdown(
        "registry/description.md",
        run_id=version.run_id if run is not None else None,
        parameters=run.data.params if run is not None else {},
        tags=tags,
        class_names=joined(tags.get("class_names", "").split(", "), _LONGEST_CLASSES, ", "),
        figures=[_figure(tags, name) for name in FIGURES if name in tags],
        decision=decision,
        reason=decision.reason[:_LONGEST_REASON] if decision else "",
    ).strip()


def _figure(tags: Mapping[str, Any], name: str) -> tuple[str, str, str]:
    """Its words, its value and its interval."""
    low, high = (_four(tags.get(f"{name}_{end}")) for end in ("low", "high"))
    return FIGURES[name], _four(tags[name]), f"{low} to {high}" if low and high else ""


def _four(text: str | None) -> str:
    try:
        return "" if text is None else f"{float(text):.4f}"
    except ValueError:  # edited by hand
        return text or ""
