import inspect
import os
import sys
import unicodedata
from pathlib import Path

import pytest

from pawprint.data.layout import find_pictures
from pawprint.system.errors import UserError


def found(root, splits=None):
    return find_pictures(root, root, splits)


def summary_of(layout):
    counts = {}
    for file in layout.files:
        counts[file.split, file.label] = counts.get((file.split, file.label), 0) + 1
    return counts


def refusal(root, images=None, splits=None):
    with pytest.raises(UserError) as caught:
        find_pictures(root, images or root, splits)
    return str(caught.value)


# Class folders


def test_each_folder_is_a_class(tmp_path, paint_folder):
    layout = found(paint_folder(tmp_path, {"dogs": 2, "cats": 3}))
    assert layout.class_names == ["cats", "dogs"]
    assert summary_of(layout) == {(None, "cats"): 3, (None, "dogs"): 2}
    assert [file.path for file in layout.files][:2] == ["cats/000.png", "cats/001.png"]
    assert layout.files[0].location == str(tmp_path / "cats" / "000.png")
    assert (layout.ignored, layout.notes) == ([], [])


def test_class_names_are_ordered_as_python_sorts_them(tmp_path, paint_folder):
    layout = found(paint_folder(tmp_path, {"b": 1, "B": 1, "a10": 1, "a9": 1}))
    assert layout.class_names == ["B", "a10", "a9", "b"]


def test_class_folders_are_walked_all_the_way_down(tmp_path, paint_folder):
    paint_folder(tmp_path, {"cats/young/grey": 1, "cats/old": 1, "cats": 1, "dogs": 1})
    paths = [file.path for file in found(tmp_path).files if file.label == "cats"]
    assert paths == ["cats/000.png", "cats/old/000.png", "cats/young/grey/000.png"]


def test_hidden_files_and_folders_are_passed_over_everywhere(tmp_path, paint_folder):
    paint_folder(tmp_path, {"cats": 1, "dogs": 1, ".git": 1, "__MACOSX": 1, "cats/.thumbs": 1})
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "cats/.DS_Store", "cats/Thumbs.db"):
        (tmp_path / name).write_bytes(b"x")
    layout = found(tmp_path)
    assert [file.path for file in layout.files] == ["cats/000.png", "dogs/000.png"]


@pytest.mark.parametrize(
    "junk",
    ["@eaDir", "$RECYCLE.BIN", "lost+found", "System Volume Information", "__MACOSX", ".Trash-1000",
     ".Trashes", "cats/@eaDir/000.png", "cats/._more", "#recycle", "@Recycle", "RECYCLER",
     "#snapshot", "@Recently-Snapshot", "found.000", "Network Trash Folder", "Temporary Items"],
)  # fmt: skip
def test_what_systems_leave_is_passed_over_without_a_word(tmp_path, paint_folder, junk):
    paint_folder(tmp_path, {"cats": 1, "dogs": 1, junk: 2})
    for name in ("cats/._000.png", "dogs/Thumbs.db", "desktop.ini"):
        (tmp_path / name).write_bytes(b"x")
    layout = found(tmp_path)
    assert [file.path for file in layout.files] == ["cats/000.png", "dogs/000.png"]
    assert layout.class_names == ["cats", "dogs"]
    assert layout.notes == []


def test_what_holds_pictures_and_is_passed_over_is_noted(tmp_path, paint_folder):
    counts = {"wrap/C++": 1, "wrap/Java": 1, "wrap/.NET": 2, "wrap/.git": 0, "wrap/Java/.old/a": 1}
    paint_folder(tmp_path, counts)
    (tmp_path / "wrap/.git/config").touch()
    for name in ("a.jpg", "wrap/b.PNG", "wrap/README.txt"):
        (tmp_path / name).touch()
    layout = found(tmp_path)
    assert layout.class_names == ["C++", "Java"]
    assert layout.notes == [
        'pictures beside the class folders were passed over ("wrap/b.PNG", "a.jpg"): move them '
        "into one if they are wanted",
        'hidden pictures were passed over ("wrap/.NET", "wrap/Java/.old"): give what holds them a '
        "name that does not begin with a dot if they are wanted",
    ]


@pytest.mark.parametrize("splits", ["", "train/"])
def test_the_two_forms_of_a_name_in_unicode_are_one_class(tmp_path, paint_folder, splits):
    composed, apart = (unicodedata.normalize(form, "Bär") for form in ("NFC", "NFD"))
    counts = {splits + composed: 2, splits + apart: 3, f"{splits}Igel": 1}
    if splits:
        counts |= {f"test/{apart}": 1, "test/Igel": 1}
    layout = found(paint_folder(tmp_path, counts))
    assert layout.class_names == [composed, "Igel"]
    given = "train" if splits else None
    assert summary_of(layout)[given, composed] == 5
    assert layout.notes == []


def test_links_that_make_one_folder_two_classes_are_refused(tmp_path, paint_folder):
    paint_folder(tmp_path, {"cats": 1, "dogs": 1})
    (tmp_path / "lynxes").symlink_to(tmp_path / "cats")
    message = refusal(tmp_path)
    assert message == (
        f'"{tmp_path}/cats" is "cats", and "{tmp_path}/lynxes" is "lynxes", but they are one '
        "folder: take one of the two away"
    )
    paint_folder(tmp_path / "images" / "train", {"cats": 1, "dogs": 1})
    (tmp_path / "images" / "test").symlink_to("train")
    message = refusal(tmp_path / "images")
    assert '/train" is "train", and ' in message
    assert '/test" is "test", but they are one folder' in message


def test_stray_files_beside_class_folders_are_passed_over(tmp_path, paint_folder):
    paint_folder(tmp_path, {"cats": 1, "dogs": 1})
    (tmp_path / "README.txt").write_text("about")
    assert len(found(tmp_path).files) == 2


def test_files_that_are_no_pictures_are_listed_for_the_audit(tmp_path, paint_folder):
    paint_folder(tmp_path, {"cats": 1, "dogs": 1})
    (tmp_path / "cats" / "notes.txt").write_text("about")
    assert "cats/notes.txt" in [file.path for file in found(tmp_path).files]


def test_a_class_may_be_called_train_and_have_sub_folders(tmp_path, paint_folder):
    counts = {"bus": 1, "train/steam": 2, "train/electric": 1, "plane": 1}
    layout = found(paint_folder(tmp_path, counts))
    assert layout.class_names == ["bus", "plane", "train"]
    assert {file.split for file in layout.files} == {None}
    assert layout.notes == [
        '"train" is taken for a class, as the folders beside it: if it is the training split, name '
        "the folders of training and testing in splits"
    ]
    assert found(tmp_path, []).notes == []


@pytest.mark.parametrize("other", ["steam train", "crash test"])
def test_classes_may_have_the_word_for_a_split_in_their_names(tmp_path, paint_folder, other):
    layout = found(paint_folder(tmp_path, {"model train": 1, other: 1, "bus": 1}))
    assert layout.class_names == sorted(["model train", other, "bus"])


def test_a_class_may_be_called_train(tmp_path, paint_folder):
    layout = found(paint_folder(tmp_path, {"bus": 1, "train": 2, "plane": 1}))
    assert layout.class_names == ["bus", "plane", "train"]
    assert {file.split for file in layout.files} == {None}


@pytest.mark.parametrize("wrapping", ["pictures", "data/pictures"])
def test_a_folder_around_everything_is_stepped_into(tmp_path, paint_folder, wrapping):
    paint_folder(tmp_path / wrapping, {"cats": 1, "dogs": 1})
    (tmp_path / "LICENSE.txt").write_text("terms")
    layout = found(tmp_path)
    assert layout.class_names == ["cats", "dogs"]
    assert layout.files[0].path == f"{wrapping}/cats/000.png"


def test_links_to_folders_are_followed_but_not_in_circles(tmp_path, paint_folder):
    paint_folder(tmp_path / "elsewhere", {"cats": 2})
    paint_folder(tmp_path / "images", {"dogs": 1})
    (tmp_path / "images" / "cats").symlink_to(tmp_path / "elsewhere" / "cats")
    (tmp_path / "images" / "dogs" / "again").symlink_to(tmp_path / "images" / "dogs")
    paths = [file.path for file in found(tmp_path / "images").files]
    assert paths == ["cats/000.png", "cats/001.png", "dogs/000.png"]


def test_a_link_that_leads_nowhere_is_listed_for_the_audit(tmp_path, paint_folder):
    paint_folder(tmp_path, {"cats": 1, "dogs": 1})
    (tmp_path / "cats" / "gone.png").symlink_to(tmp_path / "nothing.png")
    assert "cats/gone.png" in [file.path for file in found(tmp_path).files]


def test_a_name_that_is_no_utf8_becomes_text(tmp_path, paint_folder, paint_picture):
    paint_folder(tmp_path, {"cats": 1, "dogs": 1})
    odd = os.fsdecode(b"caf\xe9.png")
    (tmp_path / "cats" / "000.png").rename(tmp_path / "cats" / odd)
    file = found(tmp_path).files[0]
    assert file.path.encode()
    assert Path(file.location).is_file()


@pytest.mark.parametrize("root", [".", "../pets", "./../pets", "wrapped/..", "{here}/", "{here}"])
def test_paths_begin_with_the_class_however_the_folder_is_called(
    tmp_path, paint_folder, monkeypatch, root
):
    here = paint_folder(tmp_path / "pets", {"cats": 1, "dogs": 1})
    (here / ".git").mkdir()
    monkeypatch.chdir(here)
    root = root.replace("wrapped", ".git").replace("{here}", str(here))
    layout = find_pictures(Path(root), root)
    assert [file.path for file in layout.files] == ["cats/000.png", "dogs/000.png"]
    assert all(Path(file.location).is_file() for file in layout.files)


def test_a_folder_called_as_a_picture_is_walked_and_a_pipe_is_a_file(tmp_path, paint_folder):
    paint_folder(tmp_path, {"cats/a.jpg": 1, "dogs": 1})
    os.mkfifo(tmp_path / "dogs" / "pipe.jpg")
    paths = [file.path for file in found(tmp_path).files]
    assert paths == ["cats/a.jpg/000.png", "dogs/000.png", "dogs/pipe.jpg"]


def test_folders_may_lie_deeper_than_python_calls_itself(tmp_path, paint_folder):
    paint_folder(tmp_path, {"cats": 1, "dogs": 1})
    (tmp_path / "cats" / "/".join(["d"] * 250)).mkdir(parents=True)
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 200)
    try:
        assert len(found(tmp_path).files) == 2
    finally:
        sys.setrecursionlimit(before)


@pytest.mark.parametrize(
    "name",
    ["a b.png", 'it\'s "so".png', "a,b;c.png", "two\nlines.png", "🐈.png", "tab\t.png", "é" * 127],
)
def test_odd_names_stay_as_they_are(tmp_path, paint_folder, name):
    paint_folder(tmp_path, {"cats": 1, "dogs": 1})
    (tmp_path / "cats" / "000.png").rename(tmp_path / "cats" / name)
    file = found(tmp_path).files[0]
    assert file.path == f"cats/{name}"
    assert Path(file.location).is_file()


def test_two_odd_names_are_two_files(tmp_path, paint_folder):
    paint_folder(tmp_path, {"cats": 2, "dogs": 1})
    for old, odd in (("000.png", b"\xe9.png"), ("001.png", b"\xe8.png")):
        (tmp_path / "cats" / old).rename(tmp_path / "cats" / os.fsdecode(odd))
    paths = [file.path for file in found(tmp_path).files]
    assert paths == ["cats/\\udce8.png", "cats/\\udce9.png", "dogs/000.png"]


# Given splits


@pytest.mark.parametrize("train", ["train", "training", "training_set", "Train", "train2017"])
def test_a_training_folder_of_folders_is_a_split(tmp_path, paint_folder, train):
    layout = found(paint_folder(tmp_path, {f"{train}/cats": 2, f"{train}/dogs": 1}))
    assert summary_of(layout) == {("train", "cats"): 2, ("train", "dogs"): 1}


@pytest.mark.parametrize("validation", ["val", "valid", "validation_set", "Val", "dev"])
@pytest.mark.parametrize("test", ["test", "testing", "test_set", "eval", "Evaluation", "holdout"])
def test_validation_and_test_folders_keep_their_split(tmp_path, paint_folder, validation, test):
    counts = {f"{s}/{c}": 1 for s in ("train", validation, test) for c in ("cats", "dogs")}
    layout = found(paint_folder(tmp_path, counts))
    assert set(summary_of(layout)) == {
        (split, label) for split in ("train", "validation", "test") for label in ("cats", "dogs")
    }
    assert layout.class_names == ["cats", "dogs"]


def test_other_folders_beside_given_splits_are_named_as_ignored(tmp_path, paint_folder):
    counts = {"training_set/cats": 1, "training_set/dogs": 1, "single_prediction": 2}
    layout = found(paint_folder(tmp_path, counts))
    assert layout.ignored == ["single_prediction"]
    assert layout.notes == ['"single_prediction" is no split and was passed over']
    assert len(layout.files) == 2


@pytest.mark.parametrize(
    ("train", "test"),
    [("seg_train/seg_train", "seg_test/seg_test"), ("Training Data", "Testing Data"),
     ("TrainingData", "TestData"), ("flowers-train", "flowers-val-test/flowers-val-test")],
)  # fmt: skip
def test_splits_are_told_by_words_in_their_names(tmp_path, paint_folder, train, test):
    counts = {f"{train}/cats": 2, f"{train}/dogs": 1, "seg_pred/seg_pred": 1}
    if "val" not in test:
        counts |= {f"{test}/cats": 1, f"{test}/dogs": 1}
    else:
        counts |= {"flowers-test/cats": 1, "flowers-test/dogs": 1}
    layout = found(paint_folder(tmp_path / "wrap", counts))
    assert summary_of(layout) == {
        ("train", "cats"): 2, ("train", "dogs"): 1, ("test", "cats"): 1, ("test", "dogs"): 1
    }  # fmt: skip
    assert layout.notes == ['"seg_pred" is no split and was passed over']


def test_folders_with_the_same_sub_folders_are_splits_or_classes_as_splits_says(
    tmp_path, paint_folder
):
    counts = {f"{part}/{label}": 1 for part in ("A", "B", "C") for label in ("cats", "dogs")}
    paint_folder(tmp_path / "wrap", counts)
    message = refusal(tmp_path)
    assert '("cats", "dogs"): if they are splits, name the one of training' in message
    assert message.endswith("splits: [TRAINING, TESTING]; if they are classes, set splits: []")
    assert found(tmp_path, []).class_names == ["A", "B", "C"]
    assert {split for split, _ in summary_of(found(tmp_path, ["B", "C"]))} == {"train", "test"}
    layout = found(tmp_path, ["A", "C", "B"])
    assert next(f.split for f in layout.files if "/C/" in f.path) == "validation"
    assert layout.class_names == ["cats", "dogs"]
    assert layout.notes == []


@pytest.mark.parametrize(
    ("folders", "offered"),
    [
        (("extra", "train"), '["train", "extra"]'),
        (("p1", "test"), '["p1", "test"]'),
        (("a", "b", "train"), '["train", TESTING]'),
    ],
)
def test_what_splits_may_be_begins_with_the_folder_that_trains(
    tmp_path, paint_folder, folders, offered
):
    counts = {f"{folder}/{label}": 1 for folder in folders for label in ("cats", "dogs")}
    assert f"as in splits: {offered}; if" in refusal(paint_folder(tmp_path, counts))


def test_splits_inside_of_classes_are_refused_as_such(tmp_path, paint_folder):
    counts = {f"{label}/{split}": 1 for label in ("rose", "tulip") for split in ("test", "train")}
    message = refusal(paint_folder(tmp_path, counts))
    assert 'look like splits: class folders must lie within splits, as "train/rose"; ' in message
    assert 'splits: ["' not in message
    assert found(tmp_path, []).class_names == ["rose", "tulip"]


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        (["A", "nowhere"], '/nowhere", which is no folder with class folders in'),
        (["A", "../B"], "which is no folder with class folders in"),
        (["A", "/etc"], "splits names /etc, which is no folder"),
        (["A", "A"], 'A" is "test", but they are one folder: take one'),
        (["A", "B", "A", "B"], "splits names 4 folders"),
    ],
)
def test_splits_that_are_not_there_are_refused(tmp_path, paint_folder, splits, said):
    counts = {f"{part}/{label}": 1 for part in ("A", "B") for label in ("cats", "dogs")}
    assert said in refusal(paint_folder(tmp_path, counts), splits=splits)


def test_a_test_folder_without_classes_is_ignored_and_noted(tmp_path, paint_folder):
    layout = found(paint_folder(tmp_path, {"train/cats": 1, "train/dogs": 1, "test": 3}))
    assert layout.ignored == ["test"]
    assert layout.notes == ['"test" has no class folders, so it is no test split']


def test_a_split_folder_inside_its_twin_is_stepped_into(tmp_path, paint_folder):
    inner = "wrap/training_set/training_set"
    layout = found(paint_folder(tmp_path, {f"{inner}/cats": 1, f"{inner}/dogs": 1}))
    assert summary_of(layout) == {("train", "cats"): 1, ("train", "dogs"): 1}


def test_a_class_that_a_test_split_lacks_is_noted(tmp_path, paint_folder):
    layout = found(paint_folder(tmp_path, {"train/cats": 1, "train/dogs": 1, "test/cats": 1}))
    assert layout.notes == ['the class "dogs" has no pictures in "test"']
    paint_folder(tmp_path, {f"train/{number}": 1 for number in range(7)})
    (note,) = found(tmp_path).notes
    assert note.startswith('the classes "0", "1", "2", "3", "4" and 3 more have no pictures in')


@pytest.mark.parametrize("split", ["test", "validation"])
def test_a_class_that_training_lacks_is_refused(tmp_path, paint_folder, split):
    paint_folder(tmp_path, {"train/cats": 1, "train/dogs": 1, f"{split}/Cats": 1})
    message = refusal(tmp_path)
    assert '"Cats"' in message
    assert f'"{tmp_path / split}"' in message
    assert '"cats", "dogs"' in message


def test_two_folders_for_one_split_are_refused(tmp_path, paint_folder):
    counts = {"train/cats": 1, "train/dogs": 1, "val/cats": 1, "valid/cats": 1}
    message = refusal(paint_folder(tmp_path, counts))
    assert "are both a validation split" in message


# Bad input


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / ".DS_Store").write_bytes(b"x")
    assert refusal(tmp_path).startswith(f'"{tmp_path}" is empty: ')


def test_pictures_without_class_folders_are_refused(tmp_path, paint_folder):
    paint_folder(tmp_path, {".": 3})
    message = refusal(tmp_path)
    assert "holds 3 files but no class folders" in message
    assert "make a sub-folder per class" in message


def test_one_class_only_is_refused(tmp_path, paint_folder):
    message = refusal(paint_folder(tmp_path, {"cats": 3}))
    assert 'only one class folder ("cats")' in message


def test_one_training_class_only_is_refused(tmp_path, paint_folder):
    message = refusal(paint_folder(tmp_path, {"train/cats": 3, "test/cats": 1}))
    assert str(tmp_path / "train") in message


def test_a_class_folder_without_files_is_refused(tmp_path, paint_folder):
    paint_folder(tmp_path, {"cats": 3, "dogs": 0})
    (tmp_path / "dogs" / ".gitkeep").touch()
    message = refusal(tmp_path)
    assert f'"{tmp_path / "dogs"}" holds no pictures' in message


def test_flat_splits_are_not_taken_for_classes(tmp_path, paint_folder):
    message = refusal(paint_folder(tmp_path, {"train": 3, "test": 2}))
    assert '"test", "train"' in message
    assert "make a sub-folder per class" in message


def test_messages_name_the_source_as_it_was_given(tmp_path, paint_folder):
    paint_folder(tmp_path / "unpacked", {"cats": 3, "dogs": 0})
    message = refusal(tmp_path / "unpacked", tmp_path / "pictures.zip")
    assert str(tmp_path / "pictures.zip" / "dogs") in message
    assert "unpacked" not in message
