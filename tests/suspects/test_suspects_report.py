import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from pawprint.pages.render import jpeg_of, render
from pawprint.suspects.find import Suspect
from pawprint.suspects.report import (
    HeldOut,
    agreement,
    suspect_tiles,
    suspects_page,
    write_suspects,
)

PATHS = [f"cats/{n:03}.jpg" for n in range(200)]
NAMES = ["cats", "dogs"]
SPLITS = ["train"] * 150 + ["test"] * 50


def suspects(count, label=0):
    return [
        Suspect(n, label, 1 - label, 0.1 + n / 1000, 0.9 - n / 1000, 0.1, n < 9)
        for n in range(count)
    ]


def picture(index):
    return np.full((8, 8, 3), index, np.uint8)


def held_out(paths=PATHS, names=NAMES, splits=SPLITS, others=0):
    """Pictures of the first class; the first ``others`` look like the second one."""
    n = len(splits)
    probabilities = np.where(np.arange(n)[:, np.newaxis] < others, [0.1, 0.9], [0.9, 0.1])
    return HeldOut(paths, splits, np.zeros(n, int), probabilities, names)


def section(found, jpeg=lambda index: jpeg_of(picture(index)), **other):
    tiles = suspect_tiles(held_out(**other), found, jpeg)
    return render("suspects/tiles.html", suspects=tiles)


def page(found, **other):
    def jpeg(index):
        return b"a jpeg"

    pictures = held_out(others=len(found), **other)
    return suspects_page(pictures, found, jpeg, images="pets", table="suspects.csv")


def test_each_tile_shows_its_picture_both_classes_and_both_probabilities():
    drawn = section(suspects(3), splits=["train", "test", "validation"])
    contents = re.findall(r"base64,([^\"]+)", drawn)
    colours = [Image.open(io.BytesIO(base64.b64decode(c))).getpixel((4, 4)) for c in contents]
    assert colours == [(0, 0, 0), (1, 1, 1), (2, 2, 2)]
    assert re.findall(r"<bdi>(\w+)</bdi> ([\d.]+)", drawn)[:2] == [
        ("cats", "0.10"),
        ("dogs", "0.90"),
    ]
    assert re.findall(r'class="chip">(\w+)<', drawn) == ["train", "test", "validation"]


def test_only_the_first_are_shown_and_the_rest_is_counted():
    asked = []

    def jpeg(index):
        asked.append(index)
        return b"a jpeg"

    drawn = section(suspects(130), jpeg)
    assert asked == list(range(100))
    assert "and 30 more" in drawn
    assert "more" not in section(suspects(100), jpeg)


def test_large_pictures_do_not_make_a_page_too_large_to_open():
    drawn = section(suspects(100), lambda index: bytes(100_000))
    assert len(drawn) < 4_100_000
    assert 20 < drawn.count("<img") < 40
    assert f"and {100 - drawn.count('<img')} more" in drawn


def test_no_suspects_are_told():
    drawn = page([])
    assert "The network agrees with all 200 labels." in drawn
    assert "<figure" not in drawn


def test_a_network_that_knows_too_little_says_so_and_calls_no_label_wrong():
    said = (
        "the network agrees with 48.5 % of 200 labels and knows too little to call any of the "
        "others probably wrong"
    )
    assert agreement(held_out(others=103), wrong=0) == said


def test_the_page_counts_by_split_and_names_the_confusion():
    drawn = page(suspects(160))
    assert (
        "with 20.0 % of 200 labels; of the 160 others 9 are probably wrong. Most often: " in drawn
    )
    figures = re.findall(r'<dt>([^<]+)</dt><dd class="figure">([\d,]+)', drawn)
    assert figures == [
        ("labels", "200"),
        ("probably wrong", "9"),
        ("suspect", "160"),
        ("in train", "150"),
        ("in validation", "0"),
        ("in test", "10"),
    ]


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"q" & {images}', "x" * 5000])
def test_no_name_becomes_markup(name):
    tags = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attributes):
            tags.append(tag)

    Reader().feed(page(suspects(1), paths=[f"{name}.jpg", *PATHS[1:]], names=[name, "dogs"]))
    assert "script" not in tags
    assert tags.count("img") == 1


def test_a_name_in_an_attribute_holds_no_markup():
    drawn = page(suspects(3), paths=[f"train/{path}" for path in PATHS])
    assert not re.search(r'="[^"]*(<|&lt;)', drawn)
    alts = re.findall(r'alt="([^"]*)"', drawn)
    assert alts == [f"cats, or dogs: train/cats/{n:03}.jpg" for n in range(3)]


@pytest.fixture(scope="module")
def written(tmp_path_factory, paint_textures):
    """The page of a project, of pictures that are larger than the stored ones."""
    root = tmp_path_factory.mktemp("project")
    pictures = paint_textures(root / "pets", {"cats": 20, "dogs": 1}, size=(480, 400))
    (pictures / "cats" / "000.jpg").rename(pictures / "cats" / "a#b?c%d.jpg")
    paths = ["cats/a#b?c%d.jpg", *PATHS[1:]]
    folder = root / "reports" / "suspects"
    write_suspects(folder, held_out(paths, others=25), suspects(25), picture, "pets", pictures)
    return folder / "suspects.html"


def test_pictures_are_shown_from_their_files_and_linked_or_else_as_they_were_stored(written):
    drawn = written.read_text(encoding="utf-8")
    contents = re.findall(r"base64,([^\"]+)", drawn)
    widths = [Image.open(io.BytesIO(base64.b64decode(c))).width for c in contents]
    assert widths == [344] * 20 + [8] * 5  # five files are gone
    links = re.findall(r'href="((?!#)[^"]*)"', drawn)
    assert links[0] == "../../pets/cats/a%23b%3Fc%25d.jpg"
    assert links[20:] == ["suspects.csv"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_on_the_page_of_suspects(chromium, violations, written, width, scheme):
    assert violations(chromium, written.as_uri(), width, scheme) == []


def test_a_link_leads_to_the_picture(chromium, written):
    chromium.get(written.as_uri())
    chromium.get(chromium.find_element("css selector", ".tile a").get_attribute("href"))
    assert chromium.execute_script("return document.images[0].naturalWidth") == 480
