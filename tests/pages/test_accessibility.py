"""Every page that is a file, in a real browser: what axe-core finds at both widths and colours."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from pawprint.comparison.compare import compare_runs
from pawprint.comparison.output import comparison_page
from pawprint.evaluation.plots import compared_curves_figure, png_of, reliability_figure
from pawprint.evaluation.report import Origin, Plot, report_page
from pawprint.evaluation.result import compute_result
from pawprint.inference.calibration import SurePoint
from pawprint.pages.render import jpeg_of
from pawprint.tracking.recorded import RecordedRun

NAMES = ["cats", "dogs", "a class with a longer name"]
MANY = [f"class {n}" for n in range(30)]
PAGES = ("report", "many", "compare")


def split(count, seed, names):
    """A split of ``count`` noisy pictures, and answers of which a fifth is wrong."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % len(names)
    logits = random.normal(0, 0.3, (count, len(names)))
    said = np.where(random.random(count) < 1 / 5, (labels + 1) % len(names), labels)
    logits[np.arange(count), said] += 3
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return (
        SimpleNamespace(
            pictures=random.integers(0, 256, (count, 6, 6, 3), np.uint8).repeat(8, 1).repeat(8, 2),
            labels=labels,
            paths=[f"{names[label]}/some_folder/{n:03}.jpg" for n, label in enumerate(labels)],
            class_names=names,
        ),
        probabilities.astype(np.float32),
    )


def report(path, names, count):
    (test, answers), (validation, before) = split(count, 0, names), split(120, 1, names)
    held_out = np.concatenate([validation.pictures, test.pictures])
    result = compute_result(
        test,
        answers,
        validation,
        before,
        sizes=np.arange(count) + 100,
        temperature=0.5,
        wanted=0.98,
        thresholds=[SurePoint(0.9, 0.99, 0.5)],
    )
    plots = [png_of(reliability_figure(result.before, result.after, dark=d)) for d in (False, True)]
    page = report_page(
        result,
        origin=Origin(
            name="resnet depth=4",
            run_id="a" * 32,
            address="http://127.0.0.1:5000/#/experiments/1/runs/" + "a" * 32,
            local=True,
            parameters={"optimizer": "adam", "optimizer.learning_rate": 0.001},
            data={"images": "pictures", "digest of all": "b" * 64},
            environment={"Python": "3"},
        ),
        plots=[Plot("reliability", *plots)],
        explained=lambda example: (jpeg_of(test.pictures[example.index]),) * 2,
        jpeg=lambda index: jpeg_of(held_out[index]),
        notes=["One picture is in two folders."],
    )
    path.write_text(page)


def compare(folder):
    runs = []
    for place, wrong in enumerate((40, 10, 22)):
        rows = ["path,label,predicted,cats,dogs"]
        for n in range(200):
            label, other = ("cats", "dogs")[:: 1 if n % 2 else -1]
            cats = 0.9 if (label == "cats") == (n >= wrong) else 0.1
            said = other if n < wrong else label
            rows.append(f"{label}/{n}_x.jpg,{label},{said},{cats},{1 - cats}")
        accuracy = 1 - wrong / 200
        figures = {"test_accuracy": accuracy, "test_log_loss": 0.1 + wrong / 100}
        figures |= {"test_accuracy_low": accuracy - 0.05, "test_accuracy_high": accuracy + 0.03}
        figures |= {"test_recall_cats": accuracy, "test_recall_dogs": accuracy}
        runs.append(
            RecordedRun(
                id=f"{place}" * 32,
                name=f"cnn depth={place}",
                address=f"http://127.0.0.1:5000/#/runs/{place}",
                started=1_700_000_000_000 + place * 10**8,
                parameters={"depth": f"{place}", "optimizer.learning_rate": f"0.{place}01"},
                tags={"test_digest": "1234", "git_commit": "abcd" * 10, "git_dirty": "true"},
                metrics={
                    **figures,
                    "best_epoch": 10 + place,
                    "weights": 10**6 + place,
                    "seconds_of_training": 61.5 - place,
                },
                curves={"val_accuracy": [(1, 0.5), (2, 0.75 + place / 10)]},
                answers="\n".join(rows) + "\n",
            )
        )
    curves = {"A": runs[0].curves, "B": runs[1].curves}
    drawn = [
        png_of(compared_curves_figure(curves, ["val_accuracy"], dark=dark))
        for dark in (False, True)
    ]
    page = comparison_page(
        compare_runs(runs),
        curves={"val_accuracy": tuple(drawn)},
        picture=lambda path: jpeg_of(np.full((24, 24, 3), 90, np.uint8)),
    )
    (folder / "compare.html").write_text(page)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    report(folder / "report.html", NAMES, 240)
    report(folder / "many.html", MANY, 150)
    compare(folder)
    return folder


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_wrong_with_a_page_at_any_width_in_any_colours(
    chromium, violations, folder, name
):
    address = (folder / f"{name}.html").as_uri()
    views = itertools.product((1280, 390), ("light", "dark"))
    found = [one for view in views for one in violations(chromium, address, *view)]
    assert not found, "\n".join(found)


@pytest.fixture
def tab(chromium, folder):
    """The report as it opens."""
    chromium.get((folder / "report.html").as_uri())
    return chromium


def shown(tab):
    """The mistakes that are seen, in their order, as (true class, answer, path)."""
    return tab.execute_script(
        """return [...document.querySelectorAll("#all-mistakes .pair")]
          .filter((figure) => figure.checkVisibility())
          .map((figure) => [...figure.querySelectorAll(".chip bdi, .path")])
          .map(([path, label, answer]) => [label, answer, path].map((one) => one.textContent))"""
    )


def test_a_cell_of_the_confusion_matrix_leaves_its_mistakes_and_the_order_can_be_by_file(tab):
    everything = shown(tab)
    cell = tab.find_element("css selector", ".matrix a")
    label, answer, count = NAMES[0], NAMES[1], int(cell.text)
    cell.send_keys("\n")  # as with a keyboard
    left = shown(tab)
    assert [one[:2] for one in left] == [[label, answer]] * count
    assert 0 < count < len(everything)
    status = tab.find_element("css selector", ".of-mistakes [role=status]")
    assert status.text == f"{count} of {count} shown: is {label}, says {answer}"
    tab.switch_to.active_element.click()  # Show all
    assert shown(tab) == everything
    tab.find_element("css selector", "option[value=file]").click()
    assert shown(tab) == sorted(everything, key=lambda one: one[2])
    assert not [one for one in tab.get_log("browser") if one["level"] == "SEVERE"]


def test_a_picture_is_enlarged_with_its_words_and_the_next_one_is_a_key_away(tab, violations):
    paths = [path for _, _, path in shown(tab)]
    small = tab.find_element("css selector", "#all-mistakes .enlarge")
    width = small.find_element("css selector", "img").size["width"]
    small.click()
    dialog = tab.find_element("css selector", "dialog[open]")
    assert dialog.find_element("css selector", "img").size["width"] > 1.5 * width
    assert paths[0] in dialog.text
    tab.switch_to.active_element.send_keys("\ue014")  # the right arrow
    assert paths[1] in dialog.text
    assert violations(tab, None, 390, "dark") == []
    tab.switch_to.active_element.send_keys("\ue00c")  # Escape
    assert not dialog.is_displayed()
    focused = tab.switch_to.active_element.find_element("xpath", "..")
    assert paths[1] in focused.text


def test_without_script_all_mistakes_are_there_and_a_cell_leads_to_the_first_of_its_own(tab):
    with_script = shown(tab)
    tab.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        tab.refresh()
        assert shown(tab) == with_script
        assert not tab.find_element("css selector", ".of-mistakes").is_displayed()
        assert not tab.find_elements("css selector", ".enlarge")
        tab.find_element("css selector", ".matrix a").click()
        words = tab.find_elements("css selector", ":target .chip bdi")
        assert [word.text for word in words] == NAMES[:2]
    finally:
        tab.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize("name", PAGES)
def test_on_a_phone_no_table_is_wider_than_its_card_and_no_target_below_24_pixels(
    chromium, folder, name
):
    screen = {"width": 390, "height": 900, "deviceScaleFactor": 1, "mobile": True}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    try:
        chromium.get((folder / f"{name}.html").as_uri())
        wide = chromium.execute_script(
            """for (const one of document.querySelectorAll("details")) one.open = true;
            return [...document.querySelectorAll(".scroll")]
              .filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.ariaLabel)"""
        )
        small = chromium.execute_script(
            """return [...document.querySelectorAll("a, button, select, summary")]
              .filter((one) => one.checkVisibility() && !one.closest("p"))
              .filter((one) => {
                const {width, height} = one.getBoundingClientRect();
                return Math.min(width, height) < 24;
              }).map((one) => one.outerHTML.slice(0, 200))"""
        )
        assert chromium.find_element("css selector", ".menu summary").is_displayed()
    finally:
        chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert (wide, small) == ([], [])
