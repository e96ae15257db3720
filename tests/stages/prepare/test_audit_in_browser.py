"""The audit page of real pictures in a real browser."""

import csv
import shutil
import urllib.parse

import pytest
from PIL import Image

from pawprint.stages.prepare import prepare

# The texts of a chart that touch each other, and what stands on the page in fewer pixels than on
# a screen of two for one.
TOUCHING = """
const found = [];
for (const chart of document.querySelectorAll("svg")) {
  const boxes = [...chart.querySelectorAll("text")].map(
    (one) => [one, one.getBoundingClientRect()]);
  for (const [one, a] of boxes) for (const [other, b] of boxes) {
    if (one === other) continue;
    if (a.left < b.right + 2 && b.left < a.right + 2 && a.top < b.bottom && b.top < a.bottom) {
      found.push(`${one.textContent} | ${other.textContent}`);
    }
  }
}
return found;
"""
BLURRED = """
return [...document.images].filter((one) => {
  const {width, height} = one.getBoundingClientRect();
  return Math.max(one.naturalWidth, one.naturalHeight) < 2 * Math.min(width, height);
}).map((one) => one.alt);
"""
NAMES = ("a#b?c%d.jpg", 'it\'s "<b>" & é.jpg', "two  spaces\n.jpg")


@pytest.fixture(scope="module")
def project(tmp_path_factory, paint_textures):
    """A project with pictures of many sizes and with every kind of problem, prepared."""
    root = tmp_path_factory.mktemp("project")
    images = paint_textures(root / "pets", {"cats": 30, "dogs": 30}, size=(400, 300))
    for place, path in enumerate(sorted(images.glob("*/*.jpg"))):
        with Image.open(path) as image:
            image.resize((360 + 37 * place, 380 + 29 * place)).save(path)
    cats = images / "cats"
    for name in NAMES:
        shutil.copy(cats / "000.jpg", cats / name)
    for place in range(3):
        shutil.copy(images / "dogs" / "001.jpg", cats / f"dog {place}.jpg")
    (cats / "cut.jpg").write_bytes((cats / "004.jpg").read_bytes()[:4000])
    (cats / "=1+1.jpg").write_text("no picture")
    Image.new("RGB", (500, 400), "red").save(cats / "red.png")
    settings = {"image_size": 64, "seed": 0, "validation_fraction": 0.2, "test_fraction": 0.2}
    report = root / "reports" / "prepare"
    settings |= {"max_refused_fraction": 0.5, "report": report}
    prepare(images, root / "data" / "prepared", **settings)
    return root


@pytest.fixture(scope="module")
def address(project):
    return (project / "reports" / "prepare" / "audit.html").as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_on_the_audit_page(chromium, violations, address, width, scheme):
    assert violations(chromium, address, width, scheme) == []


@pytest.mark.parametrize("width", [1280, 700, 390])
def test_labels_of_charts_are_apart_and_pictures_sharp(chromium, address, width):
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    chromium.get(address)
    touching, blurred = chromium.execute_script(TOUCHING), chromium.execute_script(BLURRED)
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert touching == []
    assert width == 700 or blurred == []


def test_a_link_leads_to_its_file_whatever_its_name(chromium, address, project):
    chromium.get(address)
    links = chromium.find_elements("css selector", ".tile a, .contacts a")
    there = [link.get_attribute("href") for link in links]
    paths = {urllib.parse.unquote(urllib.parse.urlsplit(link).path) for link in there}
    assert {str(project / "pets" / "cats" / name) for name in NAMES} <= paths
    written = [link.get_dom_attribute("href") for link in links]
    assert all(link.startswith("../../pets/") for link in written)  # it may be moved or cloned
    (one,) = {link for link in there if "a%23b" in link}
    chromium.get(one)
    assert chromium.execute_script("return document.images[0].naturalWidth") == 360


def test_what_was_found_is_in_tables_that_spreadsheets_do_not_run(project):
    folder = project / "reports" / "prepare"
    with (folder / "problems.csv").open(newline="", encoding="utf-8") as file:
        problems = list(csv.DictReader(file))
    found = {(row["path"], row["kind"], row["left_out"]) for row in problems}
    assert {("cats/cut.jpg", "truncated", "true"), ("cats/red.png", "blank", "false")} < found
    with (folder / "copies.csv").open(newline="", encoding="utf-8") as file:
        copies = list(csv.DictReader(file))
    groups = {}
    for row in copies:
        groups.setdefault(row["group"], []).append(row["path"])
    assert sorted(groups.values()) == [
        ["cats/000.jpg", *sorted(f"cats/{name}" for name in NAMES)],
        ["cats/dog 0.jpg", "cats/dog 1.jpg", "cats/dog 2.jpg", "dogs/001.jpg"],
    ]


def test_pictures_of_an_archive_have_no_links(tmp_path, paint_textures):
    paint_textures(tmp_path / "pets", {"cats": 5, "dogs": 5})
    archive = shutil.make_archive(str(tmp_path / "pets"), "zip", tmp_path / "pets")
    settings = {"image_size": 8, "seed": 0, "validation_fraction": 0.2, "test_fraction": 0.2}
    prepare(archive, tmp_path / "prepared", report=tmp_path / "report", **settings)
    page = (tmp_path / "report" / "audit.html").read_text()
    assert page.count("<img") == 10
    assert "pets/" not in page.replace("pets.zip", "")
    assert "file:" not in page
