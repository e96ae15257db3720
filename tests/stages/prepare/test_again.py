"""A second run decodes only what is new, and writes what a run that knows nothing writes."""

import os
import resource
import shutil
import tarfile
import time
import zipfile

import numpy as np
import pytest
from PIL import Image

from pawprint.system.errors import UserError

COUNTS = {"cats": 12, "dogs": 12}


@pytest.fixture
def images(tmp_path, paint_textures):
    return paint_textures(tmp_path / "images", COUNTS, size=(60, 45))


@pytest.fixture
def again(preparation, images):
    """A preparation that ran once, when its pictures had rested."""
    time.sleep(0.12)
    made = preparation(images)
    assert made.run() == 24
    return made


def assert_as_undisturbed(again, **changes):
    assert again.content() == again.undisturbed(**changes)


# What costs nothing


def test_nothing_is_decoded_where_nothing_changed(again):
    before = again.content()
    assert again.run() == 0
    assert again.run() == 0
    assert again.content() == before
    assert_as_undisturbed(again)


@pytest.mark.parametrize("changes", [{"seed": 7}, {"test_fraction": 0.4}, {"source": "pets"}])
def test_another_split_decodes_nothing(again, changes):
    assert again.run(**changes) == 0
    assert_as_undisturbed(again, **changes)


def test_removed_pictures_decode_nothing(again):
    for name in ("cats/000.jpg", "cats/005.jpg", "dogs/011.jpg"):
        (again.images / name).unlink()
    assert again.run() == 0
    assert_as_undisturbed(again)


def test_renamed_and_moved_pictures_decode_nothing(again):
    (again.images / "cats" / "003.jpg").rename(again.images / "cats" / "zzz.jpg")
    (again.images / "cats" / "sub").mkdir()
    (again.images / "cats" / "004.jpg").rename(again.images / "cats" / "sub" / "004.jpg")
    (again.images / "dogs").rename(again.images / "wolves")
    assert again.run() == 0
    assert_as_undisturbed(again)


def test_a_copied_folder_decodes_nothing(again, tmp_path):
    shutil.copytree(again.images, tmp_path / "copy")
    again.images = tmp_path / "copy"
    assert again.run() == 0
    assert_as_undisturbed(again)


def test_touched_pictures_decode_nothing(again):
    for path in again.images.rglob("*.jpg"):
        os.utime(path, ns=(1, 1))
    assert again.run() == 0
    assert_as_undisturbed(again)


def test_copies_of_known_pictures_decode_nothing(again):
    shutil.copy(again.images / "cats" / "003.jpg", again.images / "cats" / "copy.jpg")
    os.link(again.images / "dogs" / "003.jpg", again.images / "dogs" / "link.jpg")
    (again.images / "dogs" / "symbolic.jpg").symlink_to(again.images / "dogs" / "005.jpg")
    assert again.run() == 0
    assert_as_undisturbed(again)
    assert again.manifest()["cats/copy.jpg"]["problem"] == "is a duplicate of cats/003.jpg"


# What costs what is new


@pytest.mark.parametrize("image_size", [8, 130])
@pytest.mark.parametrize("count", [1, 3, 80])
def test_only_added_pictures_are_decoded(again, paint_textures, count, image_size):
    again.run(image_size=image_size)
    paint_textures(again.images, {"cats/more": count, "owls": 5}, size=(50, 40), seed=1)
    assert again.run(image_size=image_size) == count + 5
    assert_as_undisturbed(again, image_size=image_size)


def test_a_changed_picture_is_decoded(again, texture):
    texture(77, (60, 45)).save(again.images / "cats" / "004.jpg")
    assert again.run() == 1
    assert_as_undisturbed(again)


def test_a_picture_exchanged_a_moment_after_it_was_read_is_decoded(again, texture):
    path = again.images / "cats" / "004.png"
    pixels = np.asarray(texture(1, (8, 8)))
    Image.fromarray(pixels).save(path, compress_level=0)
    seen = path.stat()
    assert again.run() == 1
    Image.fromarray(255 - pixels).save(path, compress_level=0)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert path.stat().st_size == seen.st_size
    assert again.run() == 1
    assert_as_undisturbed(again)


def test_a_near_copy_of_a_known_picture_is_found(again):
    with Image.open(again.images / "cats" / "003.jpg") as image:
        image.save(again.images / "cats" / "smaller file.jpg", quality=60)
    assert again.run() == 1
    problem = again.manifest()["cats/smaller file.jpg"]["problem"]
    assert problem == "is a near-duplicate of cats/003.jpg"
    assert again.run() == 0
    assert_as_undisturbed(again)


def test_near_copies_are_still_found_when_the_first_of_equal_pictures_goes(again):
    cats = again.images / "cats"
    with Image.open(cats / "003.jpg") as image:
        image.save(cats / "near.jpg", quality=60)
    shutil.copy(cats / "003.jpg", cats / "zz copy.jpg")
    assert again.run() == 1
    (cats / "003.jpg").unlink()
    assert again.run() == 0
    problems = {path: row["problem"] for path, row in again.manifest().items() if row["problem"]}
    assert problems == {"cats/zz copy.jpg": "is a near-duplicate of cats/near.jpg"}
    assert_as_undisturbed(again)


def test_near_copies_may_be_looked_for_or_not_from_run_to_run(again):
    with Image.open(again.images / "cats" / "003.jpg") as image:
        image.save(again.images / "cats" / "near.jpg", quality=60)
    for looked_for in (True, False, True, True, False, False, True):
        again.run(near_duplicates=looked_for)
        assert bool(again.manifest()["cats/near.jpg"]["problem"]) is looked_for
        assert_as_undisturbed(again, near_duplicates=looked_for)


def test_files_that_are_no_pictures_are_remembered_too(again):
    (again.images / "cats" / "notes.txt").write_text("about")
    (again.images / "cats" / "empty.jpg").touch()
    (again.images / "cats" / "link.jpg").symlink_to("/nowhere")
    assert again.run() == 2  # and the link, which may lead somewhere some day
    assert again.run() == 0
    assert_as_undisturbed(again)


def test_a_mended_file_and_a_broken_one_are_read_again(again):
    path, other = again.images / "cats" / "004.jpg", again.images / "dogs" / "001.jpg"
    sound, whole = path.read_bytes(), other.read_bytes()
    path.write_bytes(sound[:-100])
    assert again.run() == 1
    assert again.manifest()["cats/004.jpg"]["problem"] == "is truncated"
    path.write_bytes(sound)
    other.write_bytes(whole[:-100])
    assert again.run() == 2  # the last run no longer had the sound one
    assert_as_undisturbed(again)


# Any changes, one after the other


@pytest.mark.parametrize("seed", range(8))
def test_any_changes_give_what_a_run_that_knows_nothing_gives(again, texture, seed):
    random = np.random.default_rng(seed)
    for step in range(8):
        for _ in range(random.integers(1, 5)):
            change(again.images, random, texture)
        decoded = again.run(image_size=8 if seed else 130)
        assert decoded <= 5 or (seed == 0 and step == 0)
        assert_as_undisturbed(again, image_size=8 if seed else 130)


def change(images, random, texture):
    """Do one of the things that people do to a folder of pictures."""
    files = sorted(path for path in images.rglob("*") if path.is_file())
    path, other = (files[place] for place in random.integers(0, len(files), 2))
    new = path.with_name(f"new {random.integers(10**9)}.jpg")
    match random.integers(7):
        case 0:
            texture(int(random.integers(10**9)), (50, 40)).save(new)
        case 1:
            path.unlink()
        case 2:
            path.rename(new)
        case 3:
            shutil.copy(path, new)
        case 4:
            shutil.copy(path, other)
        case 5:
            with Image.open(path) as image:
                image.resize((55, 41)).save(new)
        case 6:
            path.rename(other.with_name(f"moved {random.integers(10**9)}.jpg"))


# Settings


@pytest.mark.parametrize("changes", [{"image_size": 9}, {"image_size": 130}, {"resize": "pad"}])
def test_other_pixels_are_decoded_and_those_before_forgotten(again, changes):
    before = again.content()
    assert again.run(**changes) == 24
    assert_as_undisturbed(again, **changes)
    assert again.run(**changes) == 0
    assert again.run() == 24
    assert again.content() == before


# What happened to the output


def test_an_output_that_is_gone_is_made_again(again):
    before = again.content()
    shutil.rmtree(again.out)
    assert again.run() == 24
    assert again.content() == before


@pytest.mark.parametrize("image_size", [8, 130])
@pytest.mark.parametrize("change", ["flipped", "cut", "gone", "other"])
def test_pixels_that_were_tampered_with_are_made_again(again, change, image_size):
    again.run(image_size=image_size)
    before = again.content()
    name = next(name for name in before if name in ("pictures.npy", "pictures.jpegs"))
    content = bytearray(before[name])
    content[500] ^= 1
    if change == "gone":
        (again.out / name).unlink()
    else:
        other = {"flipped": content, "cut": content[:400], "other": b"x" * len(content)}
        (again.out / name).write_bytes(other[change])
    assert again.run(image_size=image_size) == 24
    assert again.content() == before


def test_an_output_that_was_copied_from_a_store_of_outputs_is_as_good(again):
    before = again.content()
    shutil.copytree(again.out, again.base / "copy")
    shutil.rmtree(again.out)
    (again.base / "copy").rename(again.out)
    assert again.run() == 0
    assert again.content() == before


def test_without_its_memory_it_decodes_all_and_writes_the_same(again):
    before = again.content()
    shutil.rmtree(again.out.with_name(".prepared.memory"))
    assert again.run() == 24
    assert again.content() == before


def test_outputs_that_were_kept_elsewhere_by_links_stay_as_they_were(again, texture):
    os.link(again.out / "pictures.npy", again.base / "kept.npy")
    before = (again.base / "kept.npy").read_bytes()
    for step in range(3):
        texture(step, (60, 45)).save(again.images / "cats" / f"new{step}.jpg")
        assert again.run() == 1
    assert (again.base / "kept.npy").read_bytes() == before


# A run that failed


def test_what_a_refused_run_had_read_is_not_decoded_again(again, paint_textures):
    before = again.content()
    paint_textures(again.images, {"cats/more": 4}, size=(50, 40), seed=3)
    bad = [again.images / "dogs" / f"bad{index}.jpg" for index in range(5)]
    for path in bad:
        path.write_bytes(path.name.encode())
    with pytest.raises(UserError, match="5 of 33 files"):
        again.run(max_refused_fraction=0.1)
    assert again.content() == before
    for path in bad:
        path.unlink()
    assert again.run() == 0
    assert_as_undisturbed(again)


@pytest.mark.parametrize("room", [1000, 5000, 30_000])
def test_a_full_disk_leaves_the_earlier_output_and_what_was_read(again, paint_textures, room):
    again.run(image_size=32)
    before = again.content()
    paint_textures(again.images, {"cats/more": 4}, size=(50, 40), seed=3)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(UserError, match=r"cannot be written .* free room on the disk"):
            again.run(image_size=32)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert again.content() == before
    assert again.run(image_size=32) == (4 if room < 4 * 32 * 32 * 3 else 0)
    assert_as_undisturbed(again, image_size=32)


# Archives


def zipped(images, path, without=()):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(images.rglob("*.jpg")):
            if file.name not in without:
                archive.write(file, file.relative_to(images))
    return path


def test_an_archive_is_unpacked_again_and_nothing_decoded(preparation, images, tmp_path):
    made = preparation(zipped(images, tmp_path / "pets.zip"))
    assert made.run() == 24
    before = made.content()
    assert made.run() == 0
    assert made.content() == before


def test_a_fuller_archive_decodes_what_it_has_more(preparation, images, tmp_path):
    made = preparation(zipped(images, tmp_path / "pets.zip", without=("003.jpg",)))
    assert made.run() == 22
    zipped(images, tmp_path / "pets.zip")
    assert made.run() == 2
    assert_as_undisturbed(made)


def test_a_folder_and_its_archives_share_what_is_known(again, tmp_path):
    with tarfile.open(tmp_path / "pets.tar.gz", "w:gz") as archive:
        archive.add(again.images, arcname="pets")
    again.images = tmp_path / "pets.tar.gz"
    assert again.run() == 0
    assert_as_undisturbed(again)


def test_nothing_but_output_memory_and_lock_stays_beside(again):
    assert sorted(path.name for path in again.base.iterdir()) == [
        ".prepared.lock",
        ".prepared.memory",
        "prepared",
    ]


def test_another_limit_of_pixels_decides_again_and_about_nothing_else(again, texture):
    texture(7, (320, 240)).save(again.images / "cats" / "large.jpg")
    assert again.run(max_megapixels=0.05) == 1
    assert again.run(max_megapixels=0.05) == 1  # what was refused is looked at again
    assert again.content() == again.undisturbed(max_megapixels=0.05)
    assert again.run(max_megapixels=0.1) == 1
    assert again.content() == again.undisturbed(max_megapixels=0.1)
    assert again.run(max_megapixels=0.1) == 0
    assert again.run(max_megapixels=0.05) == 1
    assert again.content() == again.undisturbed(max_megapixels=0.05)
