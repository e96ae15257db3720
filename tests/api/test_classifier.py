"""What `pawprint.load` opens, and what it takes for a picture."""

import io
import shutil
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import pawprint
from pawprint.inference.predictor import Predictor
from pawprint.registry.source import record_of


@pytest.fixture(scope="module")
def classifier(network):
    return pawprint.load(network)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, paint_textures):
    """Six pictures in two folders, and a file that is none."""
    root = paint_textures(
        tmp_path_factory.mktemp("pictures"), {"a": 3, "b": 3}, size=(40, 30), suffix=".png"
    )
    (root / "a" / "notes.txt").write_text("hello")
    return root


@pytest.fixture(scope="module")
def file(folder):
    return folder / "b" / "001.png"


@pytest.fixture(scope="module")
def expected(network, file):
    """What `pawprint predict` answers to the file."""
    (prediction,) = Predictor(network).classify([file])
    return prediction.probabilities


ONE = {
    "text": str,
    "path": Path,
    "bytes": lambda file: file.read_bytes(),
    "bytearray": lambda file: bytearray(file.read_bytes()),
    "memoryview": lambda file: memoryview(file.read_bytes()),
    "Pillow image": Image.open,
    "Pillow image without a file": lambda file: Image.open(file).copy(),
    "array": lambda file: np.asarray(Image.open(file)),
    "array upside down": lambda file: np.asarray(Image.open(file))[::-1].copy()[::-1],
    "array with alpha": lambda file: np.asarray(Image.open(file).convert("RGBA")),
}


@pytest.mark.parametrize("form", ONE)
def test_one_picture_in_any_form_gets_the_answer_of_its_file_bit_for_bit(
    classifier, file, expected, form
):
    picture = ONE[form](file)
    (answer,) = classifier.predict(picture)
    assert answer.probabilities == expected
    assert list(answer.probabilities) == classifier.class_names == ["red", "green", "blue"]
    assert answer.label == max(expected, key=expected.get)
    assert answer.probability == max(expected.values())
    assert answer.problem is None
    (in_a_list,) = classifier.predict([picture])
    assert in_a_list == answer


def test_a_sequence_mixes_forms_and_folders_mean_all_pictures_below_them(classifier, folder, file):
    pixels = np.asarray(Image.open(file))
    given = [folder, pixels, np.stack([pixels, pixels]), file.read_bytes(), Image.open(file)]
    answers = classifier.predict(one for one in [*given, Image.fromarray(pixels), str(file)])
    names = [Path(answer.picture).name for answer in answers]
    inside = ["000.png", "001.png", "002.png"]
    assert names[:7] == [*inside, "notes.txt", *inside]
    assert names[7:] == [
        "array 7",
        "array 8",
        "array 9",
        "bytes 10",
        "001.png",
        "image 12",
        "001.png",
    ]
    assert [answer.problem for answer in answers if answer.problem] == ["is not a picture"]
    assert len({tuple(answer.probabilities.values()) for answer in answers[7:]}) == 1


def test_more_files_than_one_batch_are_answered_in_their_order(classifier, folder, file):
    files = sorted(folder.rglob("*.png")) * 60  # threads or processes share them
    answers = classifier.predict([*files, np.asarray(Image.open(file))])
    assert [a.picture for a in answers[:-1]] == list(map(str, files))
    by_file = {a.picture: a.probabilities for a in classifier.predict(files[:6])}
    assert all(a.probabilities == pytest.approx(by_file[a.picture], abs=1e-6) for a in answers[:-1])


def test_an_array_of_texts_is_a_sequence_of_paths(classifier, file, expected):
    (answer,) = classifier.predict(np.array([str(file)]))
    assert answer.probabilities == expected


def test_nothing_is_a_sequence_of_nothing(classifier):
    answers = classifier.predict([])
    assert len(answers) == 0
    assert list(answers.to_pandas()) == [
        "path",
        "label",
        "probability",
        "red",
        "green",
        "blue",
        "problem",
    ]


REFUSED = {
    "is an array of float64, whose white is not known; give uint8": np.zeros((4, 4, 3)),
    "is an array of int64": np.zeros((4, 4, 3), int),
    "is an array of bool": np.zeros((4, 4), bool),
    "is an array of complex128": np.zeros((4, 4), complex),
    "is an array of 3 × 8 × 9; give height × width, with 1, 3 or 4 channels": np.zeros(
        (3, 8, 9), np.uint8
    ),
    "is an array of 4; give height": np.zeros(4, np.uint8),
    "has no pixels": np.zeros((0, 4, 3), np.uint8),
    "is too long (70,000 × 1 pixels": np.zeros((1, 70_000), np.uint8),
    "is not a picture": b"hello",
    "cannot be read: No such file or directory": "/nowhere/cat.jpg",
}


@pytest.mark.parametrize("problem", REFUSED)
def test_what_is_no_picture_gets_an_answer_that_says_why(classifier, problem):
    (answer,) = classifier.predict(REFUSED[problem])
    assert answer.problem.startswith(problem)
    assert answer.label is answer.probability is None
    assert answer.probabilities == {}


def test_a_thing_of_another_type_among_pictures_spares_the_others(classifier, file, expected):
    answers = classifier.predict([str(file), None, [str(file)], file.read_bytes()])
    assert [a.problem and a.problem.rpartition(" ")[2] for a in answers] == [
        None,
        "NoneType",
        "list",
        None,
    ]
    assert answers[3].probabilities == expected


@pytest.mark.parametrize(
    "thing",
    [
        None,
        7,
        {"cat.jpg": 1},
        io.BytesIO(b"lines"),
        pd.DataFrame({"cat.jpg": ["a.jpg"]}),
        np.array("cat.jpg"),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_what_is_neither_a_picture_nor_a_collection_is_refused(classifier, thing):
    name = type(thing).__name__
    with pytest.raises(pawprint.UserError, match=f"predict was given a {name}; give paths"):
        classifier.predict(thing)


def test_below_a_threshold_the_answer_is_not_sure(classifier, file, expected):
    (answer,) = classifier.predict(file, threshold=1)
    assert answer.label == "not sure"
    assert answer.probabilities == expected
    for wrong in (2, float("nan"), "high"):
        with pytest.raises(pawprint.UserError, match=f"threshold is {wrong}; give a number from 0"):
            classifier.predict(file, threshold=wrong)


def test_an_explanation_is_a_picture(classifier, file):
    shown = classifier.explain(file)
    assert shown.mode == "RGB"
    assert shown.size == (160, 160)
    with pytest.raises(pawprint.UserError, match="takes one picture"):
        classifier.explain([file, file])
    with pytest.raises(pawprint.UserError, match=r"/nowhere\.jpg cannot be read"):
        classifier.explain("/nowhere.jpg")
    with pytest.raises(pawprint.UserError, match=r"the picture is neither a path, .* type int"):
        classifier.explain([7])


def test_large_pictures_of_a_generator_are_not_kept(classifier):
    tracemalloc.start()
    answers = classifier.predict(np.zeros((1000, 1000, 3), np.uint8) for _ in range(40))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(answers) == 40
    assert most < 40e6  # 3 MB each


def test_a_home_folder_is_found_without_a_shell(classifier, file, expected, monkeypatch):
    monkeypatch.setenv("HOME", str(file.parent))
    (answer,) = classifier.predict("~/001.png")
    assert answer.probabilities == expected


# Names of networks


def test_a_file_is_loaded_outside_of_any_project_without_a_warning(network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(network, "mine.onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier = pawprint.load("mine.onnx")
    name = str(tmp_path / "mine.onnx")
    assert (classifier.source, classifier.version, classifier.notes) == (name, None, ())
    assert repr(classifier) == f"<Classifier {name}: red, green, blue; 16 pixels>"


def test_a_folder_that_holds_a_champion_alone_is_loaded(network, tmp_path):
    from pawprint.system.files import write_json

    champion = tmp_path / "models" / "champion"
    champion.mkdir(parents=True)
    shutil.copy(network, champion / "model.onnx")
    with pytest.warns(UserWarning, match="is not known as the champion: it has no record"):
        assert pawprint.load(tmp_path).version is None
    write_json(
        champion / "registered.json", record_of(network.read_bytes(), "flowers", 4, "ab", {})
    )
    for place in (tmp_path, champion, str(champion / "model.onnx")):
        found = pawprint.load(place)
        assert (found.source, found.version, found.run_id) == ("flowers version 4", 4, "ab")


@pytest.mark.parametrize(
    ("which", "sentence"),
    [
        ("champion", "no pawprint project found"),
        ("v3", "no pawprint project found"),
        ("runs:/0123", "no pawprint project found"),
        ("nowhere", "nowhere is no network; give champion, challenger, a version as v3, models:/"),
        ("", "an empty name is no network"),
        ("~nobody-of-that-name/model.onnx", "~nobody-of-that-name/model.onnx is no network"),
        (3, "load was given 3 of the type int; give champion, challenger, a version as v3"),
        (None, "load was given None of the type NoneType; give champion"),
        (b"model.onnx", "load was given b'model.onnx' of the type bytes; give champion"),
        (".", "no pawprint project found"),
        ("notes.onnx", "notes.onnx is not a network that pawprint exported"),
    ],
)
def test_what_is_no_network_is_one_sentence(which, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("notes.onnx").write_text("hello", encoding="utf-8")
    with pytest.raises(pawprint.UserError, match=sentence) as caught:
        pawprint.load(which)
    assert "\n" not in str(caught.value)


def test_a_network_that_was_replaced_is_not_opened_again_unnoticed(network, file, tmp_path):
    shutil.copy(network, tmp_path / "mine.onnx")
    classifier = pawprint.load(tmp_path / "mine.onnx")
    shutil.copy(network, tmp_path / "other.onnx")
    (tmp_path / "other.onnx").replace(tmp_path / "mine.onnx")
    assert classifier.predict(file)[0].problem is None
    with pytest.raises(pawprint.UserError, match=r"mine\.onnx was changed since it was read"):
        classifier.explain(file)
