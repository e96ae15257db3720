"""The report, drawn from real answers of a made-up network to painted pictures."""

import base64
import csv
import hashlib
import io
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pawprint.evaluation.metrics import confusion_matrix
from pawprint.evaluation.report import (
    MOST_BYTES,
    MOST_CELLS,
    MOST_EXPLAINED,
    Origin,
    Plot,
    report_page,
    verdict,
)
from pawprint.evaluation.result import compute_result
from pawprint.evaluation.tables import COMPARED, named_intervals, named_metrics, write_tables
from pawprint.inference.calibration import SurePoint, scale
from pawprint.suspects.report import agreement

PNG = io.BytesIO()
Image.new("RGB", (8, 6)).save(PNG, "PNG")
SCRIPT = "<script>alert(1)</script>"


def split(count, names, seed):
    """A split of ``count`` noisy pictures, and answers of which an eighth is wrong."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % len(names)
    paths = [f"{names[label]}/{place:03}.jpg" for place, label in enumerate(labels)]
    logits = random.normal(0, 0.3, (count, len(names)))
    said = np.where(random.random(count) < 1 / 8, (labels + 1) % len(names), labels)
    logits[np.arange(count), said] += 2
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    pictures = random.integers(0, 256, (count, 12, 12, 3)).astype(np.uint8)
    return (
        SimpleNamespace(pictures=pictures, labels=labels, paths=paths, class_names=list(names)),
        probabilities.astype(np.float32),
    )


def judged(names=("cats", "dogs"), count=160, boldness=1, **more):
    test, answers = split(count, names, 0)
    answers = scale(answers, 1 / boldness).astype(np.float32)
    validation, before = split(80, names, 1)
    sizes = np.arange(count) + 100
    return compute_result(test, answers, validation, before, sizes=sizes, temperature=0.5, **more)


def drawn(result, jpeg=lambda index: b"jpeg", **more):
    origin = {
        "name": "resnet depth=4",
        "run_id": "a" * 32,
        "address": "http://127.0.0.1:5000/#/experiments/1/runs/" + "a" * 32,
        "local": True,
        "parameters": {"optimizer": "adam"},
        "data": {"images": "pictures"},
        "environment": {"Python": "3"},
    }
    return report_page(
        result,
        origin=Origin(**(origin | more)),
        plots=[Plot("reliability", PNG.getvalue(), PNG.getvalue())],
        explained=lambda answer: (b"plain", b"drawn"),
        jpeg=jpeg,
    )


@pytest.fixture(scope="module")
def two():
    return judged()


def test_the_verdict_says_how_often_how_sure_what_is_worst_and_what_probabilities_are_worth(two):
    result = two
    sentence = verdict(result)
    low, high = result.intervals["accuracy"]
    accuracy = (result.probabilities.argmax(axis=1) == result.test.labels).mean()
    assert f"{100 * accuracy:.1f} % of 160 test pictures" in sentence
    assert f"{100 * low:.1f} to {100 * high:.1f} %" in sentence
    worst = min(("cats", "dogs"), key=lambda name: result.metrics[f"recall_{name}"])
    assert f"least often on {worst}" in sentence
    assert "can be taken at their word" in sentence  # an eighth is wrong, and 0.88 is said


def test_of_few_pictures_nobody_can_tell_what_probabilities_are_worth():
    sentence = verdict(judged(count=6))
    assert "too few pictures to tell" in sentence


def test_probabilities_that_are_off_beyond_chance_are_to_be_taken_with_care():
    assert ": take them with care" in verdict(judged(boldness=8))


def test_the_page_shows_every_figure_with_its_interval(two):
    page = drawn(two)
    for name, (low, high) in two.intervals.items():
        if name.partition("_")[0] not in ("precision", "recall", "f1"):
            assert f"{low:.4f} to {high:.4f}" in page, name


def test_the_page_shows_mistakes_slices_suspects_parameters_and_the_way_to_the_run(two):
    result = two
    page = drawn(result)
    assert all(result.test.paths[one.index].split("/")[1] in page for one in result.mistakes)
    assert {one.kind for one in result.slices} == {"class", "size", "brightness"}
    assert all(one.name in page for one in result.slices)
    assert f"pictures {agreement(result.held_out, len(result.suspects))}" in page
    assert "optimizer" in page
    assert not re.search(r">(None|True|False)<", drawn(result, parameters={"a": None, "b": True}))
    assert f'href="http://127.0.0.1:5000/#/experiments/1/runs/{"a" * 32}"' in page


def test_the_page_needs_nothing_else_and_runs_no_script_but_its_own(two):
    page = drawn(two)
    (content,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'\"" in page
    assert not re.search(r"<[^>]* on[a-z]+=", page.replace(content, ""))
    assert not re.search(r'(src|srcset)="(?!data:)', page)
    assert "default-src 'none'" in page
    assert not re.search(r"url\(|@import", page)


def test_a_name_in_an_attribute_holds_no_markup(two):
    page = drawn(two)
    assert not re.search(r'="[^"]*(<|&lt;)', page)
    first = two.mistakes[0]
    label, path = two.test.class_names[first.label], two.test.paths[first.index]
    assert re.findall(r'alt="([^"]*/[^"]*)"', page)[0] == f"{label}: {path}"


def test_no_name_becomes_markup():
    result = judged(names=(SCRIPT, "dogs {x}"))
    page = drawn(result, name=SCRIPT, parameters={SCRIPT: SCRIPT})
    assert page.count("<script") == 1  # its own
    assert "&lt;script&gt;" in page
    assert "dogs {x}" in page


def test_many_classes_are_shown_the_weakest_first_and_the_rest_folded():
    names = [f"class {index:02}" for index in range(14)]
    result = judged(names, count=280)
    page = drawn(result)
    assert "and 4 more classes" in page
    listed = re.findall(
        r"<bdi>(class \d\d)</bdi>", page.split("By class")[1].split("</section>")[0]
    )
    scores = [result.metrics[f"f1_{name}"] for name in listed]
    assert len(listed) == 14
    assert scores == sorted(scores)


def test_a_threshold_is_told_with_what_it_does_to_test_pictures():
    point = SurePoint(0.9, 0.99, 0.5)
    result = judged(wanted=0.98, thresholds=[point])
    answered = result.probabilities.max(axis=1) >= 0.9
    assert result.sure.coverage == pytest.approx(answered.mean())
    page = drawn(result)
    assert "below 0.9000" in page
    assert "surely answered" in page


def test_a_threshold_that_no_test_picture_reaches_is_no_obstacle(tmp_path):
    result = judged(wanted=0.98, thresholds=[SurePoint(0.9999, 0.99, 0.5)])
    assert result.sure.coverage == 0
    page = drawn(result)
    assert "none is answered" in page
    assert "nan" not in re.sub(r"base64,[^\"]*", "", page)


def test_a_precision_that_no_threshold_reaches_is_told_and_all_else_is_there():
    result = judged(wanted=0.99, thresholds=[SurePoint(0.5, 0.9, 1.0)])
    assert result.sure.chosen is None
    page = drawn(result)
    assert "No threshold makes 99.0 %" in page
    assert "surely answered" not in page


def test_an_interval_that_resampling_cannot_give_is_shown_as_none():
    result = judged()
    del result.intervals["roc_auc"]
    page = drawn(result)
    assert "–" in page
    assert "nan" not in re.sub(r"base64,[^\"]*", "", page)


def test_tables_have_all_figures_under_the_same_names_and_no_half(two, tmp_path):
    result = two
    write_tables(tmp_path, result)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    intervals = json.loads((tmp_path / "intervals.json").read_text())
    assert intervals == named_intervals(result)
    assert metrics.items() <= named_metrics(result).items()
    assert metrics.keys() == {f"test_{name}" for name in COMPARED}
    with (tmp_path / "slices.csv").open() as file:
        rows = list(csv.DictReader(file))
    dark = [row for row in rows if row["kind"] == "brightness" and row["figure"] == "accuracy"]
    assert len(dark) == 3
    assert sum(int(row["pictures"]) for row in dark) == 160
    assert all(float(row["low"]) <= float(row["value"]) <= float(row["high"]) for row in dark)
    with (tmp_path / "suspects.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["split"] for row in rows} <= {"validation", "test"}
    assert len(rows) == len(result.suspects)
    assert not list(tmp_path.glob(".*"))


def test_all_mistakes_are_shown_the_surest_with_where_it_looked(two):
    page = drawn(two)
    listed = page.split('id="all-mistakes"')[1].split("</section>")[0].split("<h3")[0]
    paths = re.findall(r'data-path="([^"]*)"', listed)
    assert paths == [two.test.paths[one.index] for one in two.mistakes]
    assert len(paths) == (two.probabilities.argmax(axis=1) != two.test.labels).sum()
    assert listed.count("where the network looked") == min(len(paths), MOST_EXPLAINED)
    assert "predictions.csv</a>" not in listed


def test_mistakes_beyond_the_size_of_a_page_are_counted_and_found_in_the_table():
    result = judged(count=400)
    page = drawn(result, jpeg=lambda index: bytes(MOST_BYTES // 3))  # as text, a third more
    assert page.count("data-path=") == MOST_EXPLAINED + 2
    left = len(result.mistakes) - MOST_EXPLAINED - 2
    assert f"and {left} less sure mistakes without a picture here, in <a" in page
    assert 'href="predictions.csv"' in page


def test_the_confusion_matrix_is_a_table_whose_mistakes_are_links(two):
    page = drawn(two)
    (table,) = re.findall(r'<table class="matrix">(.*?)</table>', page, re.DOTALL)
    assert re.search("<caption[^>]*>Confusion matrix", table)
    cells = re.findall(r'<td class="cell[^>]*>(?:<a href="#([^"]*)"[^>]*>)?(\d+)', table)
    predicted = two.probabilities.argmax(axis=1)
    counts = confusion_matrix(two.test.labels, predicted, 2)
    assert [int(count) for _, count in cells] == counts.ravel().tolist()
    assert [link for link, _ in cells] == ["", "mistake-0-1", "mistake-1-0", ""]
    for link in ("mistake-0-1", "mistake-1-0"):
        assert page.count(f'id="{link}"') == 1


def test_many_classes_are_confused_in_a_list_the_most_frequent_first():
    names = [f"class {index:02}" for index in range(MOST_CELLS + 1)]
    result = judged(names, count=130)
    page = drawn(result)
    assert 'class="matrix' not in page
    section = page.split('id="confusions"')[1].split("</section>")[0]
    counts = [int(n) for n in re.findall(r'data-cell="[^"]*"[^>]*>(\d+)</a>', section)]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) == len(result.mistakes)
