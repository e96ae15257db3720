import hashlib
import io
import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from keras import layers

from pawprint.config.schema import Model
from pawprint.system.errors import UserError
from pawprint.training.array_cache import cached_array
from pawprint.training.features import Rows, compute_features, weights_digest

KEY = {"backbone": "MobileNet", "alpha": None, "image_size": 32, "pictures": "0123"}


def pictures(count, seed=0, side=8):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def extractor():
    """Sees the mean of each quarter of a picture: left is not right."""
    given = keras.Input((8, 8, 3), dtype="uint8")
    x = layers.AveragePooling2D(4)(layers.Rescaling(1.0, dtype="float32")(given))
    return keras.Model(given, layers.Flatten()(x))


class Slices:
    """Pictures that can be read in slices only, and remember how many at a time."""

    def __init__(self, array):
        self.array, self.shape, self.lengths = array, array.shape, []

    def __len__(self):
        return len(self.array)

    def __getitem__(self, index):
        assert isinstance(index, slice)
        self.lengths.append(len(self.array[index]))
        return self.array[index]


class Computing:
    """Features, and how often they were computed."""

    def __init__(self, value=1.0):
        self.value, self.times = value, 0

    def __call__(self):
        self.times += 1
        for count in (2, 1):
            yield np.full((count, 2, 4), self.value, np.float32)


def saved(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def computed(*arguments, **settings):
    return np.concatenate(list(compute_features(*arguments, **settings)))


def test_features_are_of_each_picture_and_of_its_mirror_image(extractor):
    found = computed(extractor, pictures(5), batch_size=2, show=False)
    assert (found.shape, found.dtype) == ((5, 2, 12), np.float32)
    np.testing.assert_allclose(found[:, 0], extractor(pictures(5)), rtol=1e-6)
    np.testing.assert_allclose(found[:, 1], extractor(pictures(5)[:, :, ::-1]), rtol=1e-6)
    quarters = found.reshape(5, 2, 2, 2, 3)
    np.testing.assert_allclose(quarters[:, 1], quarters[:, 0, :, ::-1], rtol=1e-6)
    assert np.abs(found[:, 0] - found[:, 1]).max() > 1


@pytest.mark.parametrize(("batch_size", "lengths"), [(3, [3, 3, 1]), (7, [7]), (64, [7])])
def test_every_picture_is_read_once_a_batch_at_a_time(extractor, batch_size, lengths):
    source = Slices(pictures(7))
    found = computed(extractor, source, batch_size=batch_size, show=False)
    assert source.lengths == lengths
    np.testing.assert_allclose(found[:, 0], extractor(pictures(7)), rtol=1e-6)


@pytest.mark.parametrize("show", [True, False])
def test_progress_is_shown_only_where_it_is_asked_for(extractor, capfd, show):
    computed(extractor, pictures(4), batch_size=2, show=show)
    shown = capfd.readouterr()
    assert shown.out == ""
    assert ("4/4" in shown.err and "pictures/s" in shown.err) == show


def test_features_are_computed_once_and_then_read_from_the_disk(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    compute = Computing(0.5)
    first = cached_array(tmp_path, KEY, "train", compute)
    second = cached_array(tmp_path, dict(reversed(KEY.items())), "train", compute)
    assert compute.times == 1
    for found in (first, second):
        assert isinstance(found, np.memmap)
        assert not found.flags.writeable
        np.testing.assert_array_equal(found, np.full((3, 2, 4), 0.5, np.float32))
    computed, taken = caplog.messages
    assert "features of train: 3 pictures, computed in" in computed
    assert "pictures/s" in computed
    assert "features of train: 3 pictures, taken from" in taken


def test_another_split_and_every_other_key_have_features_of_their_own(tmp_path):
    kept = cached_array(tmp_path, KEY, "train", Computing(0))
    others = [{**KEY, name: 7} for name in KEY]
    for value, (key, split) in enumerate([(KEY, "test"), *((key, "train") for key in others)], 1):
        compute = Computing(value)
        found = cached_array(tmp_path, key, split, compute)
        assert compute.times == 1
        assert float(found.max()) == value
    assert float(kept.max()) == 0


def test_a_person_can_read_what_features_are_of(tmp_path):
    cached_array(tmp_path, KEY, "train", Computing())
    cached_array(tmp_path, KEY, "validation", Computing())
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert len(bytes.fromhex(folder.name)) == 8
    names = {path.name for path in folder.iterdir()}
    assert names == {"key.json", "train.npy", "validation.npy"}
    assert json.loads((folder / "key.json").read_text()) == KEY


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:5],
        lambda content: content[:100],
        lambda content: content[:-1],
        lambda content: b"x" * len(content),
        lambda content: content[:130] + bytes(40) + content[170:],
        lambda content: saved(np.zeros((3, 2, 4), np.float32)),
    ],
    ids=[
        *("empty", "in its magic", "in its header", "one byte short", "something else"),
        *("zeros in it", "written by others"),
    ],
)
def test_a_damaged_file_is_computed_anew(tmp_path, caplog, damage):
    cached_array(tmp_path, KEY, "train", Computing(1))
    (path,) = tmp_path.glob("*/train.npy")
    path.write_bytes(damage(path.read_bytes()))
    compute = Computing(2)
    assert float(cached_array(tmp_path, KEY, "train", compute).min()) == 2
    assert compute.times == 1
    assert caplog.text.count(f"{path} is damaged") == 1
    assert float(cached_array(tmp_path, KEY, "train", compute).min()) == 2
    assert compute.times == 1


def test_a_failed_computation_leaves_nothing(tmp_path):
    def fail():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_array(tmp_path, KEY, "train", fail)
    assert [path.suffix for path in tmp_path.rglob("*")] == [".lock"]


def test_what_a_killed_computation_left_is_removed_by_the_next_one(tmp_path):
    cached_array(tmp_path, KEY, "train", Computing())
    (path,) = tmp_path.glob("*/train.npy")
    left = path.with_name(".train.999999999.tmp.npy")
    path.rename(left)
    cached_array(tmp_path, KEY, "train", Computing())
    assert not left.exists()


def test_two_processes_compute_the_same_features_once(tmp_path):
    compute = Computing()

    def slowly():
        time.sleep(0.3)
        yield from compute()

    with ThreadPoolExecutor(2) as pool:  # each has a lock of its own, as processes have
        first, second = pool.map(
            lambda _: np.array(cached_array(tmp_path, KEY, "train", slowly)), range(2)
        )
    assert compute.times == 1
    np.testing.assert_array_equal(first, second)


def test_the_digest_of_weights_is_that_of_their_bytes(tmp_path):
    def digest(backbone, weights):
        return weights_digest(Model("transfer", backbone=backbone, weights=weights))

    expected = hashlib.sha256(b"weights").hexdigest()
    for name in ("a.h5", "a.keras"):
        (tmp_path / name).write_bytes(b"weights")
    assert digest("MobileNet", str(tmp_path / "a.h5")) == expected
    assert digest(str(tmp_path / "a.keras"), "imagenet") == expected
    assert digest(str(tmp_path / "a.keras"), "none") == f"random {expected}"
    assert [digest("MobileNet", word) for word in ("imagenet", "none")] == ["imagenet", "none"]
    for backbone, weights in (("MobileNet", tmp_path / "b.h5"), (tmp_path / "b.keras", "none")):
        with pytest.raises(UserError, match="which is not a file"):
            digest(str(backbone), str(weights))


def test_rows_are_read_like_an_array_of_their_own():
    array, chosen = np.random.default_rng(0).normal(size=(9, 2, 3)), np.array([7, 0, 4, 4])
    rows = Rows(array, chosen)
    assert (len(rows), rows.shape, rows.ndim) == (4, (4, 2, 3), 3)
    for index in (slice(1, 3), np.array([3, 0]), 2):
        assert np.array_equal(rows[index], array[chosen][index])
