"""The parts of the evaluation report, and how its numbers are written."""

from pathlib import Path

from pawprint.pages.markup import Parts

draw = Parts(Path(__file__).with_name("report.html")).draw


def points(share: float) -> str:
    """Write a share of 0 to 1 as "93.8 %"."""
    return f"{100 * share:.1f} %"


def four(value: float) -> str:
    """Write a figure with four digits after the point."""
    return f"{value:.4f}"


def span(interval: tuple[float, float] | None, digits: int = 4) -> str:
    """Write both ends of an interval of a figure, or that there is none."""
    if interval is None:
        return "–"
    return f"{interval[0]:.{digits}f} to {interval[1]:.{digits}f}"
