import re
from itertools import pairwise

import numpy as np
import pytest

from pawprint.data.page import charts
from pawprint.pages.render import render


def drawn(chart):
    return render("data/page/chart.html", chart=chart)


def bars_of(chart):
    """The lowest and highest text, and the count, of each bar."""
    texts = re.findall(r"<rect .*?><title>(.*?): ([\d,]+)</title>", chart)
    return [(text, int(count.replace(",", ""))) for text, count in texts]


def numbers(chart, attribute):
    return [float(value) for value in re.findall(rf'<rect .*?\b{attribute}="(.*?)"', chart)]


def sizes(values):
    values = np.array(values, float)
    texts = charts.pixel_text, charts.pixel_bin_text
    return drawn(charts.size_histogram("Longer side", values, *texts, mark=64))


@pytest.mark.parametrize(
    ("low", "high"),
    [(1, 2), (1, 65_535), (5, 2400), (64, 65), (99, 101), (109, 111), (200, 260), (999, 1000)],
)
def test_every_value_stands_in_a_bar_inside_the_field(low, high):
    values = np.unique(np.rint(np.geomspace(low, high, 500)))
    chart = sizes(values)
    assert sum(count for _, count in bars_of(chart)) == len(values)
    assert 1 <= len(bars_of(chart)) <= 20
    assert min(numbers(chart, "x") + numbers(chart, "y")) >= 0
    assert max(numbers(chart, "height")) <= 148
    ends = zip(numbers(chart, "x"), numbers(chart, "width"), strict=True)
    assert max(x + width for x, width in ends) <= 306


@pytest.mark.parametrize("high", [40, 300, 1001, 1100, 2_000, 12_000, 65_535])
def test_labels_of_ticks_are_apart(high):
    values = np.geomspace(8, high, 300)
    ticks = [charts.size_histogram("Size", values * 1e5, charts.byte_text).ticks]
    ticks += [charts.size_histogram("Side", values, charts.pixel_text).ticks]
    ticks += [charts.aspect_histogram("Shape", values / 40).ticks]
    for own in ticks:
        assert len(own) >= 2
        for (one, first), (other, second) in pairwise(own):
            assert other - one >= 4 * (len(first) + len(second)) or other > 291


def test_a_bar_is_named_by_the_whole_pixels_in_it():
    assert bars_of(sizes([100] * 3 + [140] * 4 + [210])) == [
        ("100 to 109 px", 3),
        ("140 to 149 px", 4),
        ("210 to 219 px", 1),
    ]


def test_one_among_thousands_can_still_be_seen():
    assert min(numbers(sizes([200] * 10_000 + [1000]), "height")) >= 2


def test_one_size_for_all_is_said_instead_of_drawn():
    chart = sizes([200, 200])
    assert "<svg" not in chart
    assert "200 px" in chart


def test_a_value_in_the_range_is_pointed_out():
    assert 'class="mark"' in sizes([30, 100])
    assert 'class="mark"' not in sizes([100, 200])


def test_aspects_beyond_the_axis_stand_in_the_outermost_bars():
    aspects = np.array([1 / 5000, 1 / 9, 1.0, 1.0, 1.0, 400.0])
    chart = drawn(charts.aspect_histogram("Aspect", aspects))
    assert [count for _, count in bars_of(chart)] == [2, 3, 1]
    assert "1 wide, 2 tall, 3 about square." in chart


@pytest.mark.parametrize(
    ("aspect", "text"),
    [(1, "1:1"), (4 / 3, "4:3"), (2 / 3, "2:3"), (16 / 9, "16:9"), (1 / 8, "1:8")],
)
def test_a_common_aspect_is_written_as_people_do(aspect, text):
    assert f">{text}<" in drawn(charts.aspect_histogram("Aspect", np.array([aspect, aspect])))


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 KB"), (4230, "4.2 KB"), (9960, "10 KB")]
    + [(999_600, "1 MB"), (13_400_000, "13 MB"), (2e9, "2 GB")],
)
def test_a_size_of_a_file_is_written_short(count, text):
    assert charts.byte_text(count) == text
