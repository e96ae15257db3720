import json
import logging
import os
import shutil
import subprocess
import sys
import tarfile

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet

from pawprint.data.decode import read_picture
from pawprint.data.store import load_split, load_summary
from pawprint.stages.prepare import prepare
from pawprint.system.errors import UserError

COLUMNS = [
    *("path", "label", "split", "row", "sha256", "bytes", "format", "mode"),
    *("width", "height", "orientation", "frames", "perceptual_hash", "group"),
    *("problem_kind", "problem"),
]
BESIDE = [".prepared.lock", ".prepared.memory", "prepared"]  # all that may stay


def run(images, out, **changes):
    settings = {"image_size": 8, "seed": 0, "validation_fraction": 0.2, "test_fraction": 0.2}
    return prepare(images, out, **settings | changes)


def content_of(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def digests(summary):
    return {name: split.digest for name, split in summary.splits.items()} | {"all": summary.digest}


def manifest_of(out):
    return parquet.read_table(out / "manifest.parquet").to_pylist()


@pytest.fixture
def pictures(tmp_path, paint_folder):
    return paint_folder(tmp_path / "pictures", {"cats": 10, "dogs": 10})


@pytest.fixture
def out(tmp_path):
    return tmp_path / "data" / "prepared"


# What it writes


def test_a_folder_elsewhere_gives_what_a_folder_here_gives(pictures, out, tmp_path):
    run(pictures, out, source="pets")
    run(pictures.as_uri(), tmp_path / "other" / "prepared", source="pets")
    assert content_of(tmp_path / "other" / "prepared") == content_of(out)
    assert len(list((tmp_path / "other" / "downloads").glob("*-pictures/cats/*.png"))) == 10


def test_the_folder_holds_pictures_manifest_and_summary(pictures, out):
    run(pictures, out)
    assert list(content_of(out)) == ["manifest.parquet", "pictures.npy", "summary.json"]
    stored = np.load(out / "pictures.npy", mmap_mode="r")
    assert (stored.dtype, stored.shape) == (np.uint8, (20, 8, 8, 3))


def test_pictures_above_128_pixels_are_stored_as_jpegs(pictures, out):
    run(pictures, out, image_size=129)
    names = ["manifest.parquet", "offsets.npy", "pictures.jpegs", "summary.json"]
    assert list(content_of(out)) == names
    assert len(np.load(out / "offsets.npy")) == 21


@pytest.mark.parametrize("image_size", [8, 130])
@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
def test_training_reads_what_a_prediction_sees(pictures, out, image_size, resize):
    run(pictures, out, image_size=image_size, resize=resize)
    for split in ("train", "validation", "test"):
        loaded = load_split(out, split)
        for picture, path in zip(loaded.pictures, loaded.paths, strict=True):
            seen = read_picture(pictures / path, image_size, resize).astype(int)
            assert np.abs(seen - picture).mean() < (1.5 if image_size > 128 else 1e-9)


def test_the_summary_says_what_is_in_it(pictures, out):
    summary = run(pictures, out, seed=7)
    content = json.loads((out / "summary.json").read_text())
    assert content["images"] == str(pictures)
    assert content["image_size"] == 8
    assert content["resize"] == "squash"
    assert content["seed"] == 7
    assert content["class_names"] == ["cats", "dogs"]
    assert {name: part["pictures"] for name, part in content["splits"].items()} == {
        "train": 12,
        "validation": 4,
        "test": 4,
    }
    assert content["splits"]["test"]["per_class"] == {"cats": 2, "dogs": 2}
    assert content["digest"] == summary.digest
    assert content["refused"] == content["ignored"] == content["notes"] == []
    assert set(content["found"].values()) == {0}


def test_the_manifest_has_a_row_per_file_sorted_by_path(pictures, out):
    (pictures / "dogs" / "000.png").write_bytes(b"no picture")
    run(pictures, out)
    rows = manifest_of(out)
    assert list(rows[0]) == COLUMNS
    assert [row["path"] for row in rows] == sorted(row["path"] for row in rows)
    assert len(rows) == 20
    refused = next(row for row in rows if row["path"] == "dogs/000.png")
    assert refused["problem"] == "is not a picture"
    assert (refused["split"], refused["row"], refused["bytes"]) == (None, None, 10)
    assert [row["row"] for row in rows if row["problem"] is None] == list(range(19))


def test_three_classes_are_prepared_as_well(tmp_path, paint_folder, out):
    paint_folder(tmp_path / "zoo", {"newts": 6, "owls": 5, "asps": 7}, suffix=".jpg")
    summary = run(tmp_path / "zoo", out)
    assert summary.class_names == ["asps", "newts", "owls"]
    assert summary.splits["train"].per_class == {"asps": 5, "newts": 4, "owls": 3}


def test_given_splits_ignored_folders_and_notes_are_in_the_summary_and_on_the_terminal(
    tmp_path, paint_folder, out, caplog
):
    counts = {"training_set/cats": 5, "training_set/dogs": 5, "test_set/cats": 3}
    paint_folder(tmp_path / "pictures", counts | {"single_prediction": 2})
    summary = run(tmp_path / "pictures", out)
    assert summary.splits["test"].per_class == {"cats": 3, "dogs": 0}
    assert summary.splits["validation"].per_class == {"cats": 1, "dogs": 1}
    assert summary.ignored == ["single_prediction"]
    assert summary.notes == [
        '"single_prediction" is no split and was passed over',
        'the class "dogs" has no pictures in "test_set"',
    ]
    assert [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING] == summary.notes


def test_splits_names_the_folders_of_given_splits_and_the_summary_keeps_them(
    tmp_path, pictures, out, paint_folder
):
    other = paint_folder(tmp_path / "other", {"cats": 4, "dogs": 4}, seed=7)
    images = given_splits(tmp_path / "images", A=other, B=pictures)
    with pytest.raises(UserError, match=r"splits: \[TRAINING, TESTING\]"):
        run(images, out)
    summary = run(images, out, splits=["B", "A"])
    assert summary.splits["test"].per_class == {"cats": 4, "dogs": 4}
    assert load_summary(out).given_splits == ["B", "A"]


def test_an_archive_gives_the_same_data_as_its_folder(tmp_path, pictures, out):
    archive = tmp_path / "pictures.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(pictures, arcname="pictures")
    summary = run(archive, out)
    assert digests(summary) == digests(run(pictures, tmp_path / "other"))
    assert summary.images == str(archive)
    assert names_in(out.parent) == sorted([*BESIDE, ".prepared.pictures.lock"])


def test_refused_files_are_listed_and_one_warning_says_where(pictures, out, caplog):
    (pictures / "cats" / "003.png").write_bytes(b"")
    (pictures / "dogs" / "readme.txt").write_text("about")
    with caplog.at_level(logging.INFO):
        summary = run(pictures, out)
    assert [(refused["path"], refused["problem"]) for refused in summary.refused] == [
        ("cats/003.png", "is empty (0 bytes)"),
        ("dogs/readme.txt", "is not a picture"),
    ]
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert warnings[0].startswith("left out 2 of 21 files")
    assert str(out / "summary.json") in warnings[0]
    assert len(caplog.records) == 3
    said = caplog.records[-1].getMessage()
    assert said == f"wrote 11 train, 4 validation, 4 test pictures to {out}; 21 were decoded"


def test_a_report_is_written_where_it_is_asked_for(tmp_path, pictures, out):
    run(pictures, out, report=tmp_path / "reports")
    assert names_in(tmp_path / "reports") == [
        "audit.html",
        "copies.csv",
        "metrics.json",
        "problems.csv",
    ]
    figures = json.loads((tmp_path / "reports" / "metrics.json").read_text())
    assert figures == {"refused": 0, "left_out": 0}
    page = (tmp_path / "reports" / "audit.html").read_text()
    assert str(pictures) in page
    run(pictures, out)
    assert (tmp_path / "reports" / "audit.html").read_text() == page


def test_a_report_that_cannot_be_written_costs_nothing_of_what_was_read(
    tmp_path, pictures, out, caplog, paint_picture
):
    run(pictures, out)
    paint_picture(pictures / "cats" / "new.png", seed=5)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot be written .* Not a directory .*file"):
        run(pictures, out, report=tmp_path / "file" / "reports")
    with caplog.at_level(logging.INFO):
        run(pictures, out)
    assert caplog.records[-1].getMessage().endswith("; 0 were decoded")


def test_a_pipe_among_the_pictures_is_listed_and_does_not_stop_the_run(pictures, out):
    os.mkfifo(pictures / "cats" / "pipe.jpg")
    (refused,) = run(pictures, out).refused
    assert refused["path"] == "cats/pipe.jpg"
    assert refused["problem"] == "cannot be read: it is a pipe, a device or the like"


def given_splits(root, **sources):
    """Copy class folders into splits: ``given_splits(root, test=pictures)``."""
    for split, source in sources.items():
        shutil.copytree(source, root / split)
    return root


def test_a_given_split_of_which_nothing_is_left_is_an_error(tmp_path, pictures, out, paint_folder):
    other = paint_folder(tmp_path / "other", {"cats": 4, "dogs": 4}, seed=7)
    images = given_splits(tmp_path / "images", train=pictures, val=other, test=other)
    with pytest.raises(UserError, match=r"of the validation split .* left out: 8 leak"):
        run(images, out, max_refused_fraction=1)
    with pytest.raises(
        UserError, match=r"8 of 36 files .* \(8 leak\), .*: take them away, or raise"
    ):
        run(images, out)


def test_a_class_of_which_a_given_split_has_nothing_left_is_noted(
    tmp_path, pictures, out, paint_folder, caplog
):
    other = paint_folder(tmp_path / "other", {"cats": 4, "dogs": 4}, seed=7)
    images = given_splits(tmp_path / "images", train=pictures, test=other)
    for index in range(4):
        shutil.copy(images / f"test/cats/{index:03}.png", images / f"test/dogs/copy {index:03}.png")
    summary = run(images, out, max_refused_fraction=1)
    assert summary.notes == ['no picture of the class "cats" is left in the test split']
    assert summary.notes[0] in caplog.messages


def test_a_folder_that_is_once_more_inside_itself_is_named(tmp_path, paint_textures, out):
    images = paint_textures(tmp_path / "flowers", {"rose": 8, "tulip": 8})
    shutil.copytree(images, tmp_path / "copy")
    (tmp_path / "copy").rename(images / "flowers")
    cure = 'take away "flowers", a folder or link with 16 files that are twice'
    with pytest.raises(UserError) as caught:
        run(images, out)
    assert str(caught.value) == (
        f'32 of 32 files in "{images}" would be left out (32 two labels), more than '
        "max_refused_fraction: 0.1 allows; 32 pictures are under two labels: "
        '"flowers/rose/000.jpg" and "rose/000.jpg"; "flowers/rose/001.jpg" and "rose/001.jpg"; '
        f'"flowers/rose/002.jpg" and "rose/002.jpg"; …: {cure}, or raise max_refused_fraction'
    )
    with pytest.raises(UserError, match=f"or {cure}"):
        run(images, out, max_refused_fraction=1)


def test_pictures_of_two_classes_that_look_alike_are_told(tmp_path, paint_textures, out, caplog):
    images = paint_textures(tmp_path / "letters", {"O": 30, "0": 30})
    for index in range(2):
        with Image.open(images / f"O/{index:03}.jpg") as image:
            image.resize((100, 80)).save(images / f"0/{index:03}.jpg")
    run(images, out)
    assert caplog.messages[0] == (
        '4 pictures are under two labels: "0/000.jpg" and "O/000.jpg"; "0/001.jpg" and '
        '"O/001.jpg"; none is in a split: keep each in the folder of its class only, or set '
        "near_duplicates to false if pictures of two classes look alike"
    )


# The same in, the same out


def test_the_same_input_and_seed_give_the_same_bytes(pictures, out):
    (pictures / "cats" / "003.png").write_bytes(b"")
    run(pictures, out)
    first = content_of(out)
    run(pictures, out)
    assert content_of(out) == first


def test_another_resize_gives_other_pictures_of_the_same_data(pictures, out):
    first = run(pictures, out)
    stored = (out / "pictures.npy").read_bytes()
    second = run(pictures, out, resize="pad")
    assert digests(second) == digests(first)
    assert (out / "pictures.npy").read_bytes() != stored


def test_another_seed_draws_other_splits_of_the_same_data(pictures, out):
    first, second = run(pictures, out, seed=1), run(pictures, out, seed=2)
    assert first.digest == second.digest
    assert first.splits["test"].digest != second.splits["test"].digest


def test_digests_depend_neither_on_image_size_nor_on_names(tmp_path, pictures, out):
    first = digests(run(pictures, out, image_size=8))
    assert digests(run(pictures, out, image_size=13)) == first
    for path in sorted(pictures.rglob("*.png")):
        path.rename(path.with_name(f"renamed_{path.name}"))
    pictures.rename(tmp_path / "moved")
    assert digests(run(tmp_path / "moved", out)) == first


def test_what_a_training_goes_by_follows_how_pixels_are_made(tmp_path, pictures):
    def digest(name, **settings):
        run(pictures, tmp_path / name, **settings)
        return load_split(tmp_path / name, "train").digest

    assert digest("one", resize="crop") == digest("same", resize="crop") != digest("other")


def test_digests_follow_the_class_of_a_picture(pictures, out):
    first = run(pictures, out)
    (pictures / "cats").rename(pictures / "lynxes")
    assert run(pictures, out).digest != first.digest


# What it refuses, leaving the earlier output as it was


def break_missing(pictures):
    shutil.rmtree(pictures)


def break_no_archive(pictures):
    shutil.rmtree(pictures)
    pictures.write_text("hello")


def break_empty(pictures):
    shutil.rmtree(pictures)
    pictures.mkdir()


def break_one_class(pictures):
    shutil.rmtree(pictures / "dogs")


def break_empty_class(pictures):
    for path in (pictures / "dogs").iterdir():
        path.unlink()


def break_unreadable_class(pictures):
    for path in (pictures / "dogs").iterdir():
        path.write_bytes(b"no picture")


def break_too_few(pictures):
    for path in sorted((pictures / "dogs").iterdir())[2:]:
        path.unlink()


def break_no_class_folders(pictures):
    for path in (pictures / "cats").iterdir():
        path.rename(pictures / path.name)
    shutil.rmtree(pictures / "cats")
    shutil.rmtree(pictures / "dogs")


def break_many(pictures):
    for path in sorted((pictures / "dogs").iterdir())[:3]:
        path.write_bytes(b"no picture")


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (break_missing, "were not found"),
        (break_no_archive, "neither a folder nor an archive"),
        (break_empty, "is empty"),
        (break_one_class, "only one class folder"),
        (break_empty_class, "holds no pictures"),
        (break_unreadable_class, "has no readable pictures"),
        (break_too_few, "has 2 different usable pictures but needs at least 3"),
        (break_no_class_folders, "make a sub-folder per class"),
        (break_many, "3 of 20 files .* raise max_refused_fraction"),
    ],
)
def test_bad_pictures_are_one_sentence_and_the_earlier_output_survives(
    pictures, out, break_it, said
):
    run(pictures, out)
    earlier = content_of(out)
    break_it(pictures)
    with pytest.raises(UserError, match=said) as caught:
        run(pictures, out)
    message = str(caught.value)
    assert str(pictures) in message
    assert "\n" not in message
    assert not message.endswith(".")
    assert content_of(out) == earlier
    assert set(names_in(out.parent)) - {".prepared.pictures.lock"} == set(BESIDE)


def test_more_refused_files_pass_where_they_are_allowed(pictures, out):
    break_many(pictures)
    assert len(run(pictures, out, max_refused_fraction=0.15).refused) == 3


@pytest.mark.parametrize("place", [".", "..", "prepared"])
def test_an_output_over_or_inside_the_pictures_is_refused(pictures, place):
    before = sorted(pictures.rglob("*"))
    with pytest.raises(UserError, match="lie one in the other"):
        run(pictures, pictures / place)
    assert sorted(pictures.rglob("*")) == before


def test_an_output_folder_that_holds_something_else_is_not_replaced(pictures, out):
    out.mkdir(parents=True)
    (out / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match="holds something else"):
        run(pictures, out)
    assert (out / "letter.txt").read_text() == "dear"


def test_pictures_that_the_disk_cannot_hold_are_refused_before_reading(pictures, out, monkeypatch):
    usage = shutil.disk_usage(pictures)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match="MB free"):
        run(pictures, out)
    assert not out.exists()


# How it starts


def test_importing_it_loads_no_heavy_library():
    code = (
        "import sys, pawprint.stages.prepare; "
        "print([m for m in ('tensorflow', 'keras', 'mlflow', 'pandas', 'pyarrow', 'matplotlib') "
        "if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert result.stdout.strip() == "[]"
