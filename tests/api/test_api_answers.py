"""Answers as tables and as a notebook shows them."""

import pickle
import re

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import pawprint
from pawprint.cli import main


@pytest.fixture(scope="module")
def classifier(network):
    return pawprint.load(network)


@pytest.fixture(scope="module")
def files(tmp_path_factory, paint_folder):
    root = paint_folder(tmp_path_factory.mktemp("pictures"), {"a": 3, "b": 3}, size=(300, 200))
    (root / "notes.txt").write_text("hello")
    return [*map(str, sorted(root.rglob("*.png"))), str(root / "notes.txt")]


def test_tables_are_those_that_the_command_writes(classifier, files, network, tmp_path):
    answers = classifier.predict(files)
    table = tmp_path / "table.parquet"
    with pytest.raises(SystemExit):
        main(["predict", *files, "--model", str(network), "-o", str(table)])
    assert answers.to_arrow() == pq.read_table(table)
    assert answers.to_pandas().equals(pq.read_table(table).to_pandas())


def test_answers_are_a_sequence(classifier, files):
    answers = classifier.predict(files)
    assert len(answers) == 7
    assert answers[-1].problem == "is not a picture"
    assert isinstance(answers[2:4], pawprint.Answers)
    assert list(answers[2:4]) == [answers[2], answers[3]]
    assert answers == classifier.predict(files) != answers[1:]
    assert pickle.loads(pickle.dumps(answers)) == answers
    lines = repr(answers).splitlines()
    assert lines[0] == "7 answers"
    assert lines[1].startswith(f"  {files[0]}: {answers[0].label} 0.")
    assert lines[-1] == f"  {files[-1]}: is not a picture"


def images(html):
    return re.findall(r'<img src="data:image/jpeg;base64,([^"]+)" alt="([^"]*)"', html)


def test_a_notebook_shows_an_answer_with_its_picture_label_and_bars(classifier, files):
    pixels = np.asarray(Image.open(files[0]))
    for picture, name in ((files[0], files[0]), (pixels, "array 0")):
        (answer,) = classifier.predict(picture)
        html = answer._repr_html_()
        ((content, alt),) = images(html)
        assert alt == name
        assert len(content) < 20_000
        assert f"<strong>{answer.label}</strong> {100 * answer.probability:.1f} %" in html
        assert html.count("width:") - html.count("max-width:") >= 3  # a bar for each class


def test_a_notebook_shows_the_first_of_many_answers_and_how_many_more_there_are(classifier, files):
    html = classifier.predict(files[:6] * 5)._repr_html_()
    assert len(images(html)) == 20
    assert "and 10 more answers" in html
    assert "no answers" in classifier.predict([])._repr_html_()


def test_names_and_problems_are_no_markup(classifier, tmp_path):
    bad = tmp_path / '<b>&".png'
    bad.write_text("hello")
    good = tmp_path / "<i>.png"
    Image.new("RGB", (20, 20), "red").save(good)
    html = classifier.predict([bad, good])._repr_html_()
    assert "<b>" not in html
    assert "<i>" not in html
    assert "&lt;b&gt;&amp;" in html
    assert "is not a picture" in html


def test_a_picture_that_is_gone_since_is_shown_without_it(classifier, tmp_path):
    file = tmp_path / "red.png"
    Image.new("RGB", (20, 20), "red").save(file)
    answers = classifier.predict(file)
    file.unlink()
    assert images(answers._repr_html_()) == []
    assert "red" in answers._repr_html_()
