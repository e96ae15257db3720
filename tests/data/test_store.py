import json

import numpy as np
import pytest
from pyarrow import parquet

from pawprint.data.decode import read_picture
from pawprint.data.store import (
    load_pool,
    load_split,
    load_summary,
    number_column,
    text_column,
)
from pawprint.stages.prepare import prepare
from pawprint.system.errors import UserError


@pytest.fixture
def pictures(tmp_path, paint_folder):
    return paint_folder(tmp_path / "pictures", {"dogs": 8, "cats": 10, "birds": 6})


@pytest.fixture
def prepared(tmp_path, pictures):
    out = tmp_path / "prepared"
    prepare(pictures, out, image_size=8, seed=0, validation_fraction=0.2, test_fraction=0.2)
    return out


def test_the_summary_comes_back_as_it_was_written(tmp_path, pictures, prepared):
    written = prepare(
        pictures, prepared, image_size=8, seed=3, validation_fraction=0.2, test_fraction=0.2
    )
    assert load_summary(prepared) == written
    assert written.class_names == ["birds", "cats", "dogs"]


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_split_comes_back_as_pictures_labels_and_paths_in_one_order(prepared, pictures, split):
    loaded = load_split(prepared, split)
    assert loaded.class_names == ["birds", "cats", "dogs"]
    assert loaded.labels.dtype == np.int64
    assert loaded.paths == sorted(loaded.paths)
    assert len(loaded.pictures) == len(loaded.labels) == len(loaded.paths) > 0
    for picture, label, path in zip(loaded.pictures, loaded.labels, loaded.paths, strict=True):
        assert path.startswith(loaded.class_names[label])
        assert np.array_equal(picture, read_picture(pictures / path, 8))


def test_every_picture_is_in_one_split_and_its_row_is_the_manifests(prepared):
    rows = parquet.read_table(prepared / "manifest.parquet").to_pylist()
    stored = np.load(prepared / "pictures.npy")
    assert [row["row"] for row in rows] == list(range(24)) == list(range(len(stored)))
    for split in ("train", "validation", "test"):
        loaded = load_split(prepared, split)
        inside = [row for row in rows if row["split"] == split]
        assert loaded.paths == [row["path"] for row in inside]
        assert np.array_equal(loaded.pictures, stored[[row["row"] for row in inside]])


def test_splits_can_be_opened_together_and_in_part(prepared):
    pool = load_pool(prepared, ("train", "validation"))
    splits = {name: load_split(prepared, name) for name in ("train", "validation")}
    assert pool.paths == sorted(splits["train"].paths + splits["validation"].paths)
    whole = pool.whole()
    for name, split in splits.items():
        places = np.array([place for place, own in enumerate(pool.splits) if own == name])
        part = pool.chosen(places, whole)
        assert part.paths == split.paths
        assert part.digest == split.digest != whole.digest
        assert np.array_equal(part.labels, split.labels)
        assert np.array_equal(part.pictures, split.pictures)
        assert np.array_equal(part.part_of.whole.pictures[part.part_of.places], split.pictures)


def test_copies_and_nothing_else_have_the_same_group(tmp_path, paint_textures):
    images = paint_textures(tmp_path / "images", {"cats": 8, "dogs": 8})
    for copy in range(2):
        (images / f"cats/copy_{copy}.jpg").write_bytes((images / "cats/000.jpg").read_bytes())
    fractions = {"validation_fraction": 0.2, "test_fraction": 0.2}
    prepare(images, tmp_path / "out", image_size=8, seed=0, **fractions)
    pool = load_pool(tmp_path / "out", ("train", "validation", "test"))
    assert len(pool.groups) == 18
    assert len(set(pool.groups)) == 16
    together = {
        path
        for path, own in zip(pool.paths, pool.groups, strict=True)
        if own == pool.groups[pool.paths.index("cats/000.jpg")]
    }
    assert together == {"cats/000.jpg", "cats/copy_0.jpg", "cats/copy_1.jpg"}


def test_pictures_cannot_be_written(prepared):
    pictures = load_split(prepared, "train").pictures
    with pytest.raises(ValueError, match="read-only"):
        pictures[0][0, 0] = 0


def test_an_unknown_split_is_a_mistake_in_the_code(prepared):
    with pytest.raises(ValueError, match="train, validation, test"):
        load_split(prepared, "val")


def test_a_missing_folder_says_what_to_run(tmp_path):
    for load in (load_summary, lambda folder: load_split(folder, "train")):
        with pytest.raises(UserError) as caught:
            load(tmp_path / "none")
        assert "was not found" in str(caught.value)
        assert "`dvc repro prepare` or `pawprint prepare`" in str(caught.value)


@pytest.mark.parametrize("name", ["summary.json", "manifest.parquet", "pictures.npy"])
@pytest.mark.parametrize("content", [None, b"", b"broken"])
def test_a_broken_folder_says_what_to_run(prepared, name, content):
    (prepared / name).unlink()
    if content is not None:
        (prepared / name).write_bytes(content)
    with pytest.raises(UserError, match=r"is not complete .*dvc repro prepare"):
        load_split(prepared, "train")


@pytest.mark.parametrize("shape", [(23, 8, 8, 3), (24, 9, 9, 3)])
def test_pictures_that_do_not_fit_the_manifest_are_refused(prepared, shape):
    np.save(prepared / "pictures.npy", np.zeros(shape, np.uint8))
    with pytest.raises(UserError, match="does not fit"):
        [load_split(prepared, split) for split in ("train", "validation", "test")]


@pytest.mark.parametrize("name", ["pictures.jpegs", "offsets.npy"])
@pytest.mark.parametrize("content", [None, b"", b"broken", "cut"])
def test_a_broken_folder_of_large_pictures_says_what_to_run(tmp_path, pictures, name, content):
    out = tmp_path / "prepared"
    prepare(pictures, out, image_size=130, seed=0, validation_fraction=0.2, test_fraction=0.2)
    assert load_split(out, "train").pictures.shape[1:] == (130, 130, 3)
    sound = (out / name).read_bytes()
    (out / name).unlink()
    if content is not None:
        (out / name).write_bytes(sound[:-20] if content == "cut" else content)
    with pytest.raises(UserError, match=r"is not complete .*dvc repro prepare"):
        load_split(out, "train")


def test_a_manifest_of_another_run_is_refused(tmp_path, pictures, prepared):
    out = tmp_path / "other"
    prepare(pictures, out, image_size=8, seed=0, validation_fraction=0.3, test_fraction=0.3)
    (prepared / "manifest.parquet").write_bytes((out / "manifest.parquet").read_bytes())
    with pytest.raises(UserError, match="does not fit"):
        load_split(prepared, "train")


def test_a_summary_of_another_shape_is_refused(prepared):
    content = json.loads((prepared / "summary.json").read_text())
    del content["splits"]["test"]
    (prepared / "summary.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="is not complete"):
        load_summary(prepared)


def test_texts_and_numbers_may_be_missing():
    assert text_column(["a", None, "", "ü"]).to_pylist() == ["a", None, "", "ü"]
    assert number_column([1, None, 0, -(2**40)]).to_pylist() == [1, None, 0, -(2**40)]
    assert text_column([]).to_pylist() == number_column([]).to_pylist() == []
