import io
import warnings

import numpy as np
import pytest
from PIL import Image

from pawprint.evaluation.plots import (
    compared_curves_figure,
    confusion_figure,
    curves_figure,
    precision_recall_figure,
    reliability_figure,
    roc_figure,
)
from pawprint.inference.calibration import Reliability
from pawprint.system.errors import UserError

HISTORY = """epoch,accuracy,loss,val_accuracy,val_loss,learning_rate
1,0.5,0.7,0.25,0.9,0.001
2,0.75,0.5,0.5,0.8,0.001
"""


def drawn(figure):
    """The figure as pixels; what matplotlib would warn of is an error."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(file, format="png", dpi=50)
    return np.asarray(Image.open(file).convert("RGB"))


def test_curves_show_training_and_validation_by_epoch(tmp_path):
    (tmp_path / "history.csv").write_text(HISTORY)
    figure = curves_figure(tmp_path / "history.csv")
    shown = {
        (axes.get_title(), line.get_label()): (list(line.get_xdata()), list(line.get_ydata()))
        for axes in figure.axes
        for line in axes.get_lines()
    }
    assert shown == {
        ("accuracy", "training"): ([1, 2], [0.5, 0.75]),
        ("accuracy", "validation"): ([1, 2], [0.25, 0.5]),
        ("loss", "training"): ([1, 2], [0.7, 0.5]),
        ("loss", "validation"): ([1, 2], [0.9, 0.8]),
    }
    assert drawn(figure).std() > 5


def test_curves_of_one_epoch_are_drawn(tmp_path):
    (tmp_path / "history.csv").write_text("\n".join(HISTORY.splitlines()[:2]))
    assert drawn(curves_figure(tmp_path / "history.csv")).std() > 5


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "is missing"),
        ("", "holds no epoch"),
        (HISTORY.splitlines()[0], "holds no epoch"),
        (HISTORY.replace("0.75", "x"), "is damaged"),
        (HISTORY.rsplit(",", 2)[0], "is damaged"),
        (HISTORY.replace("loss", "lose"), "is damaged"),
    ],
)
def test_a_history_without_its_epochs_is_one_sentence(tmp_path, content, problem):
    path = tmp_path / "history.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=f"{path} {problem}; train again with `dvc repro train`"):
        curves_figure(path)


def test_the_confusion_matrix_shows_each_count_in_its_cell():
    counts = np.array([[5, 2], [1, 7]])
    axes = confusion_figure(counts, ["cats", "dogs"]).axes[0]
    shown = {tuple(map(int, text.get_position())): text.get_text() for text in axes.texts}
    assert shown == {(0, 0): "5", (1, 0): "2", (0, 1): "1", (1, 1): "7"}
    assert [label.get_text() for label in axes.get_xticklabels()] == ["cats", "dogs"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cats", "dogs"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")


def test_the_colours_of_the_confusion_matrix_are_shares_of_the_true_class():
    counts = np.array([[1, 3], [20, 20]])
    (image,) = confusion_figure(counts, ["cats", "dogs"]).axes[0].get_images()
    np.testing.assert_allclose(image.get_array(), [[0.25, 0.75], [0.5, 0.5]])


@pytest.mark.parametrize("classes", [2, 3, 12])
def test_the_confusion_matrix_is_drawn_though_a_class_has_no_pictures(classes):
    counts = np.eye(classes, dtype=int) * 4
    counts[0, 0] = 0
    names = [f"class {index}" for index in range(classes)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = confusion_figure(counts, names)
    assert drawn(figure).std() > 5


def test_roc_curves_are_labelled_with_their_area():
    curves = {
        "dogs": (np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0])),
        "owls": (np.array([0.0, 1.0]), np.array([0.0, 1.0])),
    }
    figure = roc_figure(curves)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["dogs (area 1.000)", "owls (area 0.500)"]
    assert drawn(figure).std() > 5


def test_no_roc_curves_are_a_diagonal_without_a_legend():
    figure = roc_figure({})
    assert figure.axes[0].get_legend() is None
    assert len(figure.axes[0].get_lines()) == 1
    assert drawn(figure).std() > 1


def test_curves_of_several_runs_stand_in_a_panel_for_each_metric():
    curves = {
        "A": {"val_accuracy": [(1, 0.5), (2, 0.75)], "val_loss": [(1, 0.9)]},
        "B": {"val_accuracy": [(1, 0.25)]},
    }
    figure = compared_curves_figure(curves)
    shown = {
        (axes.get_title(), line.get_label()): list(zip(*line.get_data(), strict=True))
        for axes in figure.axes
        for line in axes.get_lines()
    }
    assert shown == {
        ("accuracy on validation pictures", "A"): [(1, 0.5), (2, 0.75)],
        ("accuracy on validation pictures", "B"): [(1, 0.25)],
        ("loss on validation pictures", "A"): [(1, 0.9)],
        ("loss on validation pictures", "B"): [],
    }
    assert drawn(figure).std() > 5


@pytest.mark.parametrize("dark", [False, True])
def test_ten_runs_can_be_told_apart_without_and_with_colours(dark):
    curves = {f"run {i}": {"val_loss": [(1, 0.1 * i), (2, 0.2 * i)]} for i in range(10)}
    figure = compared_curves_figure(curves, ["val_loss"], dark=dark)
    lines = figure.axes[0].get_lines()
    assert len({line.get_marker() for line in lines}) == 10
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 10
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named == list(curves)


@pytest.mark.parametrize("name", ["_hidden", "$x^$", "$", "50 % $a$ and $b", "caf\udce9", "<b>"])
def test_odd_names_of_classes_are_drawn_as_they_are(name):
    curve = np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0])
    for draw in (roc_figure, precision_recall_figure):
        figure = draw({name: curve, "dogs": curve})
        (first, _) = figure.axes[0].get_legend().get_texts()
        assert drawn(figure).std() > 5
        shown = first.get_text().strip().replace(r"\$", "$").rpartition(" (")[0]
        assert shown == name.encode(errors="backslashreplace").decode()
    assert drawn(confusion_figure(np.eye(2, dtype=int), [name, "dogs"])).std() > 5


@pytest.mark.parametrize("dark", [False, True])
def test_many_classes_are_drawn_without_their_names_and_no_larger(dark):
    names = [f"class {index}" for index in range(300)]
    figure = confusion_figure(np.eye(300, dtype=int), names, dark=dark)
    assert max(figure.get_size_inches()) < 20
    assert not figure.axes[0].texts
    curves = {
        name: (np.array([0, i / 300, 1.0]), np.array([0, 1.0, 1.0])) for i, name in enumerate(names)
    }
    shown = roc_figure(curves, dark=dark).axes[0].get_legend().get_texts()
    assert {text.get_text().split(" (")[0] for text in shown} == set(names[-8:])


def test_reliability_shows_both_curves_and_how_many_answers_there_are():
    before = [Reliability(0.6, 0.8, 30, 0.7, 0.9), Reliability(0.8, 1.0, 70, 0.9, 1.0)]
    after = [Reliability(0.8, 1.0, 100, 0.95, 0.97)]
    above, below = reliability_figure(before, after).axes
    lines = {line.get_label(): list(line.get_ydata()) for line in above.get_lines()}
    assert lines["before"] == [0.9, 1.0]
    assert lines["after scaling"] == [0.97]
    assert sorted(bar.get_height() for bar in below.patches) == [30, 70, 100]
    assert drawn(reliability_figure([], [])).std() > 1


def test_a_loss_that_begins_far_above_the_rest_is_cut_off(tmp_path):
    rows = ["epoch,accuracy,loss,val_accuracy,val_loss", "1,0.5,0.7,0.5,90"]
    rows += [f"{epoch},0.5,0.6,0.5,0.6" for epoch in range(2, 9)]
    (tmp_path / "history.csv").write_text("\n".join(rows))
    (axes,) = curves_figure(tmp_path / "history.csv", ["loss"]).axes
    assert axes.get_ylim()[1] == pytest.approx(3.0)
