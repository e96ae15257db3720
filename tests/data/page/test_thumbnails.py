import io
import shutil

import numpy as np
import pytest
from PIL import Image

from pawprint.data.layout import find_pictures
from pawprint.data.page.audit_page import thumbnails_of


@pytest.fixture
def images(tmp_path, paint_textures):
    return paint_textures(tmp_path / "images", {"cats": 1, "dogs": 1}, size=(400, 300))


def thumbnails(images, side=160):
    make = thumbnails_of(find_pictures(images, images).files)
    return lambda path: make(path, side)


def opened(content):
    image = Image.open(io.BytesIO(content))
    assert (image.format, image.mode) == ("JPEG", "RGB")
    return image


@pytest.mark.parametrize(("side", "size"), [(160, (160, 120)), (40, (40, 30)), (999, (400, 300))])
def test_a_thumbnail_shows_the_picture_in_its_shape_and_never_larger(images, side, size):
    image = opened(thumbnails(images, side=side)("cats/000.jpg"))
    assert image.size == size
    with Image.open(images / "cats" / "000.jpg") as original:
        expected = np.asarray(original.resize(size).convert("L")).astype(int)
    assert np.abs(expected - np.asarray(image.convert("L"))).mean() < 4


def test_a_thumbnail_stands_upright(images):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (300, 100), "red").save(images / "cats" / "000.jpg", exif=exif)
    assert opened(thumbnails(images)("cats/000.jpg")).size == (53, 160)


def test_the_same_picture_gives_the_same_bytes(images):
    assert thumbnails(images)("cats/000.jpg") == thumbnails(images)("cats/000.jpg")


@pytest.mark.parametrize("content", [b"", b"no picture", None, "folder", "cut"])
def test_what_cannot_be_shown_is_none(images, content):
    path = images / "cats" / "000.jpg"
    make = thumbnails(images)
    sound = path.read_bytes()
    path.unlink()
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(sound[: len(sound) // 2] if content == "cut" else content)
    assert make("cats/000.jpg") is None


@pytest.mark.parametrize("shape", [(1, 1), (1, 1000), (3000, 2)])
def test_a_picture_of_any_shape_is_shown(images, shape):
    Image.new("RGB", shape, "red").save(images / "cats" / "000.jpg")
    assert max(opened(thumbnails(images)("cats/000.jpg")).size) <= 160


def test_names_of_any_kind_are_found(images):
    name = "a, 'b'\n🐈.jpg"
    shutil.move(images / "cats" / "000.jpg", images / "cats" / name)
    assert thumbnails(images)(f"cats/{name}") is not None
