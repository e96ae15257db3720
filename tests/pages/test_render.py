import subprocess
import sys

import pytest
from jinja2 import DictLoader, UndefinedError

from pawprint.pages import render as rendering
from pawprint.pages.render import counted, percent, points, render, shortened


@pytest.fixture
def draw():
    """A function that fills a template given as text, with all that pages have."""
    environment = rendering._environment().overlay(loader=DictLoader({}))
    return lambda template, **values: environment.from_string(template).render(**values)


@pytest.mark.parametrize("place", ["<p>{{ name }}</p>", '<img alt="{{ name }}">'])
def test_no_value_becomes_markup(draw, place):
    drawn = draw(place, name="<b> \"x\" & 'y' {{ z }}")
    shown = place.replace("{{ name }}", "&lt;b&gt; &#34;x&#34; &amp; &#39;y&#39; {{ z }}")
    assert drawn == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("two\nlines\x1b", r"two\nlines\x1b"),
        ("caf\udce9 \ud800", r"caf\xe9 \ud800"),
        ("שלום 🐈‍⬛ café", "שלום 🐈‍⬛ café"),
    ],
)
@pytest.mark.parametrize(
    "template", ["{{ text }}", "{{ text|breakable }}", "{{ text|shortened(99) }}"]
)
def test_what_cannot_be_seen_is_made_visible_whatever_the_filter(draw, template, text, shown):
    assert draw(template, text=text) == shown


def test_numbers_are_written_as_people_do(draw):
    assert draw("{{ a }} {{ b }} {{ c }} {{ a|string }}", a=1234, b=0.50, c=33.33) == (
        "1,234 0.5 33.33 1234"
    )


def test_a_path_breaks_after_its_slashes_and_a_key_after_its_points_too(draw):
    assert draw("{{ 'a/<b>_c.d'|breakable }}") == "a/<wbr>&lt;b&gt;_c.d"
    assert draw("{{ 'a/<b>_c.d'|breakable_key }}") == "a/<wbr>&lt;b&gt;_<wbr>c.<wbr>d"


def test_a_variable_without_a_value_is_an_error(draw):
    with pytest.raises(UndefinedError, match="'nothing' is undefined"):
        draw("{{ nothing }}")


def test_templates_are_found_by_their_place_in_the_package():
    found = render("suspects/tiles.html", suspects={"shown": [], "hidden": 2})
    assert found.strip().endswith(">and 2 more</p>")


def test_a_share_rounds_neither_up_to_all_nor_down_to_none():
    assert [percent(part, 10_000) for part in (0, 1, 5000, 9999, 10_000)] == [
        "0 %",
        "< 0.1 %",
        "50.0 %",
        "99.9 %",
        "100 %",
    ]
    assert points(0.9384) == "93.8 %"


def test_a_count_has_its_word():
    assert counted(1, "file", "files") == "1 file"
    assert counted(1200, "file", "files") == "1,200 files"


def test_a_long_text_loses_its_beginning_or_its_middle():
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefg", 4) == "… defg"
    assert shortened("abcdefg", 4, middle=True) == "ab … fg"


def test_jinja_is_loaded_with_the_first_page_only():
    code = "import sys, pawprint.stages.prepare, pawprint.evaluation.report, pawprint.server.app; "
    code += "assert 'pawprint.pages.render' in sys.modules; assert 'jinja2' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
