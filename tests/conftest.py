"""What many tests share: tiny folders of real pictures, the same on every run, and a browser.

Also which tests are slow (``make test-fast`` leaves them out), and what is said about skipped ones.
"""

import colorsys
import importlib.util
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TESTS = Path(__file__).parent
# Folders and modules whose tests start pipelines, servers or trainings of seconds.
SLOW = (
    "pipeline",
    "server",
    "evaluation/test_intervals.py",
    "evaluation/test_overlay.py",
    "export",
    "stages/prepare/test_interrupted.py",
    "training/test_loop.py",
    "training/test_resume.py",
    "training/test_teacher.py",
    "training/test_trainer.py",
    "training/test_two_devices.py",
)
# Best practice too, the size of touch targets, which is off by default, and no sideways scrolling.
_AXE = """
const done = arguments[arguments.length - 1];
for (const one of document.querySelectorAll("details")) one.open = true;
axe.run(document, {
  runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
  rules: {"target-size": {enabled: true}},
}).then(({violations}) => {
  const found = violations.flatMap((one) => one.nodes.map((node) =>
    `${one.id}: ${node.target.join(" ")}: ${node.html.slice(0, 200)}: ${node.failureSummary}`));
  const {scrollWidth, clientWidth} = document.scrollingElement;
  if (scrollWidth > clientWidth) found.push(`${scrollWidth - clientWidth} pixels are beside it`);
  done(found);
}, (error) => done([String(error)]));
"""


def pytest_collection_modifyitems(items):
    """Mark slow tests, and let them come first, so that no worker is left alone with them."""
    if gone := [place for place in SLOW if not (TESTS / place).exists()]:
        raise pytest.UsageError(f"tests/conftest.py calls {gone} slow, which are not there")
    for item in items:
        place = item.path.relative_to(TESTS).as_posix()
        if place.startswith(SLOW) or "browser" in item.fixturenames:
            item.add_marker("slow")
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_terminal_summary(terminalreporter):
    """Say how many tests were skipped and why, which is to say what to install."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    for reason, count in reasons.most_common():
        tests = "test" if count == 1 else "tests"
        terminalreporter.write_line(f"skipped: {count} {tests}: {reason}", yellow=True)


@pytest.fixture(autouse=True)
def own_store():
    """No store of an earlier test: MLflow writes the variables for the whole process."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    os.environ.pop("MLFLOW_REGISTRY_URI", None)


@pytest.fixture(scope="session")
def paint_picture():
    """A function that paints one small picture: a colour of its class, and noise of its own."""
    return _paint_picture


@pytest.fixture(scope="session")
def paint_folder():
    """A function that paints class folders: paint_folder(root, {"cats": 6, "dogs": 6})."""

    def paint(root: Path, counts: dict[str, int], *, size=(16, 12), suffix=".png", seed=0) -> Path:
        for place, (name, count) in enumerate(counts.items()):
            hue = place / len(counts)
            (root / name).mkdir(parents=True, exist_ok=True)
            for index in range(count):
                path = root / name / f"{index:03}{suffix}"
                _paint_picture(path, hue=hue, size=size, seed=(seed, place, index))
        return root

    return paint


@pytest.fixture(scope="session")
def texture():
    """A function that makes a smooth picture unlike any other: texture(seed, (width, height))."""
    return _texture


@pytest.fixture(scope="session")
def paint_textures():
    """A function that paints class folders of such pictures, "cats/000.jpg" and so on."""

    def paint(root: Path, counts: dict[str, int], *, size=(160, 120), suffix=".jpg", seed=0):
        for place, (name, count) in enumerate(counts.items()):
            (root / name).mkdir(parents=True, exist_ok=True)
            for index in range(count):
                image = _texture((seed, place, index), size)
                image.save(root / name / f"{index:03}{suffix}", quality=90)
        return root

    return paint


@pytest.fixture(scope="session")
def browser():
    """The paths of Chromium and of its driver."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not (path and driver):
        # .ci/run sets the variable: there no test of a page may be skipped.
        give_up = pytest.fail if os.environ.get("PAWPRINT_REQUIRE_BROWSER") else pytest.skip
        give_up("pages need Chromium: apt-get install chromium chromium-driver")
    return path, driver


@pytest.fixture(scope="module")
def chromium(browser, tmp_path_factory):
    """A browser without a window."""
    from selenium import webdriver

    path, driver = browser
    options = webdriver.ChromeOptions()
    options.binary_location = path
    folder = tmp_path_factory.mktemp("chromium")
    for argument in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "window-size=1280,1000",
        "use-fake-device-for-media-stream",  # a camera, which it may use unasked
        "use-fake-ui-for-media-stream",
        f"user-data-dir={folder}",
    ):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chromium = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield chromium
    chromium.quit()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def violations():
    """A function that lists what axe-core finds wrong with a page, with all that is folded open.

    violations(chromium, address, width, scheme): the width is in CSS pixels, the scheme "light" or
    "dark"; without an address it is the page that is open, as it stands. Nothing found is [].
    """
    package = importlib.util.find_spec("axe_playwright_python")
    if not (package and package.origin):
        give_up = pytest.fail if os.environ.get("PAWPRINT_REQUIRE_BROWSER") else pytest.skip
        give_up("accessibility needs axe-core: pip install axe-playwright-python")
    axe = Path(package.origin).with_name("axe.min.js").read_text(encoding="utf-8")
    return lambda *page: _violations(axe, *page)


def _violations(axe: str, chromium, address: str | None, width: int, scheme: str) -> list[str]:
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    feature = {"name": "prefers-color-scheme", "value": scheme}
    try:
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        if address:
            chromium.get(address)
        chromium.execute_script(axe)
        found = chromium.execute_async_script(_AXE)
    finally:
        chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    return [f"{scheme} at {width}: {one}" for one in found]


def _texture(seed, size=(160, 120)) -> Image.Image:
    grid = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC)


def _paint_picture(path: Path, *, hue=0.0, size=(16, 12), seed=0) -> Path:
    width, height = size
    noise = np.random.default_rng(seed).normal(0, 20, (height, width, 3))
    colour = np.array(colorsys.hsv_to_rgb(hue, 0.8, 0.8)) * 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(colour + noise, 0, 255).astype(np.uint8)).save(path)
    return path
