from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from pawprint.stages import sample


def draw(folder: Path, seed: int = 7, pictures: int = 20) -> dict[str, bytes]:
    sample.draw_sample(folder / "sample", folder / "single", seed=seed, pictures=pictures)
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_same_seed_same_bytes(tmp_path):
    assert draw(tmp_path / "one") == draw(tmp_path / "two")


def test_another_seed_draws_other_pictures(tmp_path):
    one, two = draw(tmp_path / "one", seed=1), draw(tmp_path / "two", seed=2)
    assert one.keys() == two.keys()
    assert not set(one.values()) & set(two.values())


def test_a_picture_does_not_depend_on_how_many_there_are(tmp_path):
    few, many = draw(tmp_path / "few", pictures=6), draw(tmp_path / "many", pictures=12)
    drawn = [name for name in few if name.startswith("sample/")]
    assert len(drawn) == 6
    assert all(few[name] == many[name] for name in drawn)


def test_names_and_counts(tmp_path):
    assert list(draw(tmp_path, pictures=6)) == [
        "sample/cats/cats_0001.jpg",
        "sample/cats/cats_0002.jpg",
        "sample/cats/cats_0003.jpg",
        "sample/dogs/dogs_0001.jpg",
        "sample/dogs/dogs_0002.jpg",
        "sample/dogs/dogs_0003.jpg",
        *(f"single/{kind}_{number}.jpg" for kind in ("cat", "dog") for number in range(1, 7)),
    ]


def test_pictures_are_small_rgb_jpegs(tmp_path):
    for name in draw(tmp_path, pictures=40):
        with Image.open(tmp_path / name) as picture:
            assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (96, 96))


def test_every_picture_is_drawn_once(tmp_path):
    files = draw(tmp_path, pictures=40)
    assert len(set(files.values())) == 52


def test_an_interrupted_run_leaves_the_earlier_sample(tmp_path, monkeypatch):
    before = draw(tmp_path)
    whole = sample.draw_picture

    def fail_late(seed, index):
        if index == 15:
            raise KeyboardInterrupt
        return whole(seed, index)

    monkeypatch.setattr(sample, "draw_picture", fail_late)
    with pytest.raises(KeyboardInterrupt):
        draw(tmp_path, seed=8)
    assert contents(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sample", "single"]


@pytest.mark.parametrize(
    ("images", "predict_images", "is_drawn"),
    [
        ("data/sample", "elsewhere", True),
        ("data/sample/../sample/", "elsewhere", True),
        ("elsewhere", "data/single_prediction/cat_1.jpg", True),
        ("data", "elsewhere", True),
        ("elsewhere", "data/samples", False),
        ("https://localhost/data/sample.zip", "elsewhere", False),
    ],
)
def test_the_stage_draws_where_the_pictures_are_asked_for(
    tmp_path, monkeypatch, images, predict_images, is_drawn
):
    monkeypatch.setattr(sample, "project_root", lambda: tmp_path)
    monkeypatch.setattr(sample, "draw_sample", partial(sample.draw_sample, pictures=4))
    config = SimpleNamespace(images=images, predict_images=predict_images, seed=7)
    sample.stage(config)
    before = contents(tmp_path)
    assert bool(before) == is_drawn
    assert (tmp_path / "data/sample").is_dir()
    assert (tmp_path / "data/single_prediction").is_dir()
    config.images = config.predict_images = "elsewhere"
    config.seed = 8
    sample.stage(config)
    assert contents(tmp_path) == before


def test_a_new_sample_replaces_the_whole_earlier_one(tmp_path):
    draw(tmp_path, pictures=20)
    assert len(draw(tmp_path, pictures=6)) == 18
