"""Histograms: which bars and ticks chart.html draws, and what they are called."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

_WIDTH = 306  # of the field of the bars in chart.html
_LAST_MIDDLE = 291  # where a text still stands in the middle below its tick in chart.html
_DIGIT, _GAP = 8.0, 8.0  # width of a character at most, and room between two texts
_MOST_BARS = 20
_PER_DECADE = (96, 48, 24, 12, 6, 3, 1)  # bars for one power of ten, the finest first
_STEPS = ((1,), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), tuple(tenth / 10 for tenth in range(10, 100)))


@dataclass(frozen=True)
class Chart:
    """What chart.html draws, or the one value that all pictures have."""

    title: str
    only_value: str = ""
    summary: str = ""  # a sentence
    bars: Sequence[tuple[int, str]] = ()  # from the left: how many, and of what
    top: int = 0  # the end of the axis of counts
    step: int = 1  # from one of its grid lines to the next
    ticks: Sequence[tuple[float, str]] = ()  # places on the horizontal axis, and their values
    mark: tuple[float, str] | None = None  # place and value of what is pointed out


def size_histogram(
    title: str,
    values: np.ndarray,
    text: Callable[[float], str],
    bin_text: Callable[[float, float], str] | None = None,
    *,
    mark: float | None = None,
) -> Chart:
    """A histogram of sizes over a logarithmic axis.

    Args:
        title: of what.
        values: one or more, above 0.
        text: writes a value.
        bin_text: writes the values of a bar, from the first to below the second. Defaults to
            both, by ``text``.
        mark: a value to point out, if it is in the range. Defaults to none.
    """
    low, high = float(values.min()), float(values.max())
    if low == high:
        return Chart(title, only_value=text(low))
    median = float(np.sort(values)[len(values) // 2])  # np.median imports numpy.ma
    summary = f"From {text(low)} to {text(high)}, median {text(median)}."
    edges = _logarithmic_edges(low, high)
    bin_text = bin_text or (lambda first, last: f"{text(first)} to {text(last)}")
    texts = [bin_text(*pair) for pair in pairwise(edges.tolist())]
    ticks = [(_along(value, edges), text(value)) for value in _round_values(edges)]
    chart = Chart(title, summary=summary, ticks=_apart(ticks))
    if mark is not None and edges[0] < mark < edges[-1]:
        chart = replace(chart, mark=(_along(mark, edges), text(mark)))
    return _with_bars(chart, values, edges, texts)


def aspect_histogram(title: str, aspects: np.ndarray) -> Chart:
    """A histogram of width by height over a logarithmic axis, square in the middle.

    Args:
        title: of what.
        aspects: one or more, above 0; beyond 8 they stand in the outermost bars.
    """
    low, high = float(aspects.min()), float(aspects.max())
    if low == high:
        return Chart(title, only_value=_ratio(low))
    wide = int(np.sum(aspects > 1.01))
    tall = int(np.sum(aspects < 0.99))
    square = len(aspects) - wide - tall
    summary = f"{wide:,} wide, {tall:,} tall, {square:,} about square."
    reach = min(12, max(4, math.ceil(4 * math.log2(max(high, 1 / low)) - 0.5)))
    edges = 2.0 ** (np.arange(-reach - 0.5, reach + 1) / 4)
    ratios = (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8) if reach > 6 else (1 / 2, 3 / 4, 1, 4 / 3, 2)
    texts = [f"{low:.2f} to {high:.2f}" for low, high in pairwise(edges.tolist())]
    ticks = [(_along(r, edges), _ratio(r)) for r in ratios if edges[0] < r < edges[-1]]
    clipped = np.clip(aspects, edges[0], edges[-1])
    chart = Chart(title, summary=summary, ticks=_apart(ticks))
    return _with_bars(chart, clipped, edges, texts)


def _apart(ticks: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """Those whose texts have room beside the one before."""
    kept: list[tuple[float, str]] = []
    for place, text in ticks:
        if not kept or _span(place, text)[0] >= _span(*kept[-1])[1] + _GAP:
            kept.append((place, text))
    return kept


def _span(place: float, text: str) -> tuple[float, float]:
    """Where the text of a tick begins and ends: below it, or at the right end before it."""
    width = _DIGIT * len(text)
    end = place if place > _LAST_MIDDLE else place + width / 2
    return end - width, end


def _with_bars(chart: Chart, values: np.ndarray, edges: np.ndarray, texts: list[str]) -> Chart:
    counts = np.histogram(values, edges)[0].tolist()
    # A round step to the end of the axis: two to five of them.
    most = max(counts)
    power = 10 ** max(0, math.floor(math.log10(most)) - 1)
    step = next(s * power for s in (1, 2, 5, 10, 20, 50) if s * power * 4 >= most)
    bars = list(zip(counts, texts, strict=True))
    return replace(chart, bars=bars, top=math.ceil(most / step) * step, step=step)


def byte_text(count: float) -> str:
    """Write a size of a file: "812 B", "4.2 KB", "13 MB"."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("KB", "MB", "GB", "TB"):
        count /= 1000
        if count < 999.5 or unit == "TB":
            break
    return f"{count:.1f}".removesuffix(".0") + f" {unit}" if count < 9.95 else f"{count:.0f} {unit}"


def pixel_text(pixels: float) -> str:
    """Write a length in pixels."""
    return f"{pixels:,.0f} px"


def pixel_bin_text(low: float, high: float) -> str:
    """Write a range of lengths: the whole pixels in it."""
    first, last = math.ceil(low), math.ceil(high) - 1
    return pixel_text(first) if first >= last else f"{first:,} to {pixel_text(last)}"


def _ratio(aspect: float) -> str:
    for tall in (1, 2, 3, 9):
        wide = aspect * tall
        if wide >= tall and abs(wide - round(wide)) < 0.01:
            return f"{round(wide)}:{tall}"
        if tall / aspect > tall and abs(tall / aspect - round(tall / aspect)) < 0.01:
            return f"{tall}:{round(tall / aspect)}"
    return f"{aspect:.2f}:1"


def _logarithmic_edges(low: float, high: float) -> np.ndarray:
    """Round edges around all values, as many as there is room for."""
    for per_decade in _PER_DECADE:
        first = math.floor(math.log10(low) * per_decade) - 3  # rounding moves an edge a little
        last = math.ceil(math.log10(high) * per_decade) + 3
        powers = (10 ** (exponent / per_decade) for exponent in range(first, last + 1))
        edges = np.array(sorted({float(f"{power:.2g}") for power in powers}))
        first = int(np.searchsorted(edges, low, side="right")) - 1
        last = int(np.searchsorted(edges, high, side="right"))
        if last - first <= _MOST_BARS:
            break
    return edges[first : last + 1]


def _round_values(edges: np.ndarray) -> list[float]:
    """Three to six round values inside the edges, or the outermost two."""
    decades = range(math.floor(math.log10(edges[0])), math.ceil(math.log10(edges[-1])) + 1)
    for steps in _STEPS:
        values = [s * 10.0**d for d in decades for s in steps if edges[0] <= s * 10.0**d]
        values = [value for value in values if value <= edges[-1]]
        if len(values) >= 3:
            return values[:: math.ceil(len(values) / 6)]
    return [float(edges[0]), float(edges[-1])]


def _along(value: float, edges: np.ndarray) -> float:
    place = np.interp(math.log(value), np.log(edges), np.arange(len(edges)))
    return round(_WIDTH * float(place) / (len(edges) - 1), 1)
