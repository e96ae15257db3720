"""Pictures without labels: read, kept apart from held-out ones, and stored behind the others."""

import json
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet

from pawprint.data.decode import read_picture
from pawprint.data.originals import Joined, labelled_originals, unlabelled_originals
from pawprint.data.store import load_split, load_summary
from pawprint.data.unlabelled import UNLABELLED, load_with_unlabelled
from pawprint.stages.prepare import prepare
from pawprint.system.errors import UserError

SETTINGS = {"image_size": 32, "seed": 0, "validation_fraction": 0.2, "test_fraction": 0.2}


def run(images, out, **changes):
    return prepare(images, out, **SETTINGS | changes)


def listed(out):
    rows = parquet.read_table(out / UNLABELLED).to_pylist()
    return {row["path"]: row for row in rows}


@pytest.fixture
def pictures(tmp_path, paint_textures):
    return paint_textures(tmp_path / "pictures", {"cats": 10, "dogs": 10})


@pytest.fixture
def unlabelled(tmp_path, paint_textures):
    """Five pictures in folders of any depth, and a file that is none."""
    folder = paint_textures(tmp_path / "more", {"a": 3, "b/c": 2}, seed=1)
    (folder / "note.txt").write_text("no picture")
    return folder


@pytest.fixture
def out(tmp_path):
    return tmp_path / "data" / "prepared"


def test_they_stand_behind_the_training_pictures_and_have_no_label(pictures, unlabelled, out):
    summary = run(pictures, out, unlabelled=unlabelled)
    assert summary == load_summary(out)
    assert (summary.unlabelled, summary.unlabelled_pictures) == (str(unlabelled), 5)
    train, taught = load_split(out, "train"), load_with_unlabelled(out)
    count = len(train.labels)
    assert taught.labels.tolist() == [*train.labels.tolist(), *[-1] * 5]
    assert taught.paths[:count] == train.paths
    assert taught.paths[count:] == [
        "a/000.jpg",
        "a/001.jpg",
        "a/002.jpg",
        "b/c/000.jpg",
        "b/c/001.jpg",
    ]
    np.testing.assert_array_equal(taught.pictures[:count], train.pictures[:])
    for row, path in enumerate(taught.paths[count:], start=count):
        np.testing.assert_array_equal(taught.pictures[row], read_picture(unlabelled / path, 32))


def test_labelled_pictures_are_split_and_judged_as_without_them(
    pictures, unlabelled, out, tmp_path
):
    # The same picture under two labels, as a mirror image, which are two pictures.
    Image.open(pictures / "cats/000.jpg").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(
        pictures / "dogs/mirrored.jpg", quality=90
    )
    shutil.copy(pictures / "cats/000.jpg", unlabelled / "copy.jpg")
    alone = run(pictures, tmp_path / "alone" / "prepared")
    summary = run(pictures, out, unlabelled=unlabelled)
    assert (summary.splits, summary.digest) == (alone.splits, alone.digest)
    assert summary.found == alone.found
    one, other = (
        parquet.read_table(folder / "manifest.parquet").to_pylist()
        for folder in (out, tmp_path / "alone" / "prepared")
    )
    assert one == other


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_copies_of_labelled_pictures_are_left_out(pictures, unlabelled, out, split):
    run(pictures, out)
    path = load_split(out, split).paths[0]
    picture = Image.open(pictures / path)
    shutil.copy(pictures / path, unlabelled / "same.jpg")
    picture.resize((120, 90)).save(unlabelled / "smaller.png")
    picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(unlabelled / "mirrored.jpg")
    shutil.copy(unlabelled / "smaller.png", unlabelled / "a" / "again.png")
    summary = run(pictures, out, unlabelled=unlabelled)
    rows = listed(out)
    for name in ("same.jpg", "smaller.png", "mirrored.jpg", "a/again.png"):
        assert rows[name]["problem"] == f"is a copy of {path}, which has a label"
        assert rows[name]["row"] is None
    assert summary.unlabelled_pictures == 5
    (note,) = [note for note in summary.notes if "without labels" in note]
    assert note.startswith("of 10 pictures without labels 5 are left out: 4 labelled already")
    assert "1 not a picture" in note


def test_what_is_no_picture_is_listed_and_stops_nothing(pictures, unlabelled, out):
    run(pictures, out, unlabelled=unlabelled, max_refused_fraction=0)
    assert listed(out)["note.txt"]["problem"].startswith("is not a picture")


def test_an_archive_of_them_is_taken_and_nothing_of_it_stays(pictures, unlabelled, out, tmp_path):
    archive = tmp_path / "more.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in unlabelled.rglob("*.jpg"):
            file.write(path, path.relative_to(unlabelled))
    summary = run(pictures, out, unlabelled=archive)
    assert summary.unlabelled_pictures == 5
    assert not list(out.parent.glob(".*pictures"))
    taught = load_with_unlabelled(out)
    paths = taught.paths[-5:]
    where = {"size": 48, "prepared": out, "downloads": tmp_path / "downloads"}
    first = load_split(out, "train").paths
    with (
        labelled_originals(first, summary, pictures, resize="squash", **where) as labelled,
        unlabelled_originals(paths, summary, archive, **where) as others,
    ):
        joined = Joined(labelled, others)
        files = [*(pictures / path for path in first), *(unlabelled / path for path in paths)]
        for start in range(0, len(joined), 4):  # one of the parts is of both
            shown = joined[start : start + 4]
            expected = [read_picture(file, 48) for file in files[start : start + 4]]
            np.testing.assert_array_equal(shown, expected)
    assert not list(out.parent.glob(".*pictures"))


def test_another_picture_is_another_digest_and_another_name_is_not(pictures, unlabelled, out):
    before = run(pictures, out, unlabelled=unlabelled)
    (unlabelled / "a/000.jpg").rename(unlabelled / "zz.jpg")
    named = run(pictures, out, unlabelled=unlabelled)
    assert named.unlabelled_digest == before.unlabelled_digest
    first = load_with_unlabelled(out).digest
    (unlabelled / "zz.jpg").unlink()
    less = run(pictures, out, unlabelled=unlabelled)
    assert less.unlabelled_digest != before.unlabelled_digest
    assert load_with_unlabelled(out).digest != first


def test_without_them_nothing_is_left_of_them(pictures, unlabelled, out, tmp_path):
    run(pictures, out, unlabelled=unlabelled)
    run(pictures, out)
    run(pictures, tmp_path / "other" / "prepared")
    assert {file.name for file in out.iterdir()} == {
        "manifest.parquet",
        "pictures.npy",
        "summary.json",
    }
    assert json.loads((out / "summary.json").read_text())["unlabelled"] is None
    for file in out.iterdir():
        assert file.read_bytes() == (tmp_path / "other" / "prepared" / file.name).read_bytes()


def test_a_folder_of_which_nothing_is_left_is_refused_in_a_sentence(pictures, out, tmp_path):
    with pytest.raises(UserError, match=r"20 labelled already.*: set unlabelled to other"):
        run(pictures, out, unlabelled=pictures)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match='empty" holds no pictures: set unlabelled to a folder'):
        run(pictures, out, unlabelled=tmp_path / "empty")
    assert not out.exists()
