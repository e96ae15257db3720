import os
import resource
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pawprint.data.copies.fingerprint import THUMB_BYTES, thumbs_of
from pawprint.data.image_array import HEADER
from pawprint.data.layout import find_pictures
from pawprint.data.reading import cache as cache_module
from pawprint.data.reading import files as files_module
from pawprint.data.reading.cache import RECORD, PictureCache, read_columns, write_columns
from pawprint.data.reading.files import read_files, settings_key, status_of

SIZE = 8
BYTES = SIZE * SIZE * 3  # of one picture
SUFFIXES = (".arrow", ".pixels")  # of the two files of a batch
ROWS = np.array(
    [(b"a", 1, -1, True), (b"b\0c", 2**32 - 1, 2**62, False)],
    [("name", "S5"), ("size", "<u4"), ("place", "<i8"), ("is_blank", "?")],
)


@pytest.fixture(scope="module")
def images(tmp_path_factory, paint_textures):
    """Six pictures and a file that is none, all of them older than a moment."""
    root = paint_textures(tmp_path_factory.mktemp("images"), {"a": 3, "b": 3}, size=(40, 30))
    (root / "b" / "notes.txt").write_text("no picture")
    time.sleep(0.15)
    return root


class Run:
    """What prepare does with the cache, step by step."""

    def __init__(self, base, key="key"):
        self.out = base / "pictures.npy"
        self.cache = PictureCache(base / "memory", key, self.out)

    def read(self, images):
        self.files = find_pictures(images, images).files
        self.reading = read_files(self.files, self.cache, image_size=SIZE, resize="squash")
        return self

    def hand_over(self):
        """Write the pixels for others to read."""
        new = self.out.with_suffix(".new")
        self.starts = self.cache.write_pictures(self.reading.places, new)
        os.replace(new, self.out)
        self.thumbs = self.cache.thumbs(self.reading.places)
        return self

    def keep(self, pairs=(), compared=None):
        pairs = np.array(pairs, dtype=np.int64).reshape(-1, 3)
        read = self.reading
        compared = read.places >= 0 if compared is None else compared
        self.cache.keep(read.places, read.statuses, self.starts, pairs, compared)
        return self

    @property
    def pixels(self):
        return self.out.read_bytes()[HEADER:]

    def result(self):
        """All that later steps learn from the cache, whatever it knew."""
        records = self.cache.records(self.reading.places)
        facts = [name for name in RECORD.names if name not in ("status", "start")]
        return self.pixels, self.thumbs.tobytes(), records[facts].tolist(), self.starts.tolist()


@pytest.fixture(scope="module")
def expected(images, tmp_path_factory):
    """The result of a run that nothing disturbed."""
    run = Run(tmp_path_factory.mktemp("undisturbed")).read(images).hand_over()
    assert run.reading.decoded == 7
    result = run.result()
    return result


@pytest.fixture
def kept(images, tmp_path):
    """The folder of a run that ended well."""
    Run(tmp_path).read(images).hand_over().keep([(0, 2, 0), (1, 4, 1)])
    return tmp_path


@pytest.fixture(scope="module")
def killed(images, tmp_path_factory):
    """The folder of a run that was killed when all was read."""
    base = tmp_path_factory.mktemp("killed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files_module, "_AT_A_TIME", 1)  # so that there is a batch for each file
        Run(base).read(images)
    return base


def again(base, images, expected):
    """How many files another run decodes; it comes to the expected result."""
    run = Run(base).read(images).hand_over()
    assert run.result() == expected
    run.keep()
    assert Run(base).read(images).hand_over().result() == expected
    return run.reading.decoded


# What is known


def test_unchanged_files_are_known_by_who_they_are(kept, images, expected):
    run = Run(kept)
    files = find_pictures(images, images).files
    statuses = np.array([status_of(file.location) for file in files])
    assert run.cache.find("status", statuses).tolist() == list(range(7))
    assert run.cache.last == 7
    run.read(images).hand_over()
    assert run.reading.decoded == 0
    assert run.result() == expected


def test_copies_of_files_are_known_by_their_content(kept, images, expected, tmp_path):
    shutil.copytree(images, tmp_path / "moved")
    run = Run(kept)
    statuses = np.array([status_of(f) for f in map(str, (tmp_path / "moved").rglob("*.jpg"))])
    assert (run.cache.find("status", statuses) == -1).all()
    run.read(tmp_path / "moved").hand_over()
    assert run.reading.decoded == 0
    assert run.result() == expected


def test_copies_of_files_are_known_by_who_they_are_from_then_on(kept, images, tmp_path):
    shutil.copytree(images, tmp_path / "moved")
    time.sleep(0.12)
    Run(kept).read(tmp_path / "moved").hand_over().keep()
    cache = Run(kept).cache
    files = find_pictures(tmp_path / "moved", "").files
    statuses = np.array([status_of(file.location) for file in files])
    assert cache.find("status", statuses).tolist() == list(range(7))


def test_what_a_killed_run_had_read_is_known(killed, images, expected, tmp_path):
    shutil.copytree(killed, tmp_path / "copy")
    assert again(tmp_path / "copy", images, expected) == 0


def test_an_empty_status_or_content_is_never_known(kept):
    cache = Run(kept).cache
    assert cache.find("status", np.array([b""], "S40")).tolist() == [-1]
    assert cache.find("sha256", np.array([b""], "S32")).tolist() == [-1]


def test_nothing_is_known_at_first(tmp_path, images):
    cache = Run(tmp_path).cache
    assert (cache.last, len(cache.contents), len(cache.pairs)) == (0, 0, 0)
    assert cache.find("status", np.array([b"x" * 40])).tolist() == [-1]
    assert cache.find("sha256", np.array([b"x" * 32])).tolist() == [-1]


def test_a_content_that_ends_with_zeros_is_known(tmp_path, kept, images):
    from hashlib import sha256

    shutil.copytree(images, tmp_path / "moved")
    path = tmp_path / "moved" / "a" / "000.jpg"
    sound = path.read_bytes()
    odd = next(
        content
        for content in (sound + number.to_bytes(3, "big") for number in range(100_000))
        if sha256(content).digest().endswith(b"\0")
    )
    path.write_bytes(odd)
    assert Run(kept).read(tmp_path / "moved").hand_over().keep().reading.decoded == 1
    assert Run(kept).read(tmp_path / "moved").hand_over().reading.decoded == 0


# Who a file is


@pytest.fixture
def old_file(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"x" * 50)
    time.sleep(0.12)
    return path


def test_a_file_that_rests_has_one_status(old_file):
    assert len(status_of(str(old_file))) == 40
    assert status_of(str(old_file)) == status_of(str(old_file))


def test_a_file_that_was_changed_a_moment_ago_has_none(old_file):
    os.utime(old_file, ns=(0, 0))  # whatever time of writing it claims
    assert status_of(str(old_file)) == b""


@pytest.mark.parametrize("change", ["content", "time", "other file", "permissions"])
def test_a_changed_file_has_another_status(old_file, change):
    before, status = status_of(str(old_file)), old_file.stat()
    if change == "content":
        old_file.write_bytes(b"y" * 50)
        os.utime(old_file, ns=(status.st_atime_ns, status.st_mtime_ns))
    elif change == "time":
        os.utime(old_file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    elif change == "permissions":
        old_file.chmod(0o600)
    else:
        shutil.copy2(old_file, old_file.with_name("b"))
        os.replace(old_file.with_name("b"), old_file)
    time.sleep(0.12)
    assert len(status_of(str(old_file))) == 40
    assert status_of(str(old_file)) != before


def test_a_file_that_is_gone_has_none(tmp_path):
    assert status_of(str(tmp_path / "gone")) == b""


# A journal that was damaged


def batches(base, suffix):
    """The files of all batches with this suffix, the largest first."""
    files = (base / "memory" / "key" / "journal").glob(f"*{suffix}")
    return sorted(files, key=lambda path: path.stat().st_size, reverse=True)


def places_in(path):
    """Some places, the first and the last, and no regular step."""
    random = np.random.default_rng(0)
    size = path.stat().st_size
    return sorted({0, size - 1, *random.integers(0, size, 9).tolist()})


@pytest.fixture
def damage(killed, images, expected, tmp_path):
    """A function that damages each batch of a copy; how many files are then read again."""

    def damage(suffix, change):
        decoded = []
        for number in range(7):
            base = tmp_path / f"{number}{suffix}"
            shutil.copytree(killed, base)
            path = batches(base, suffix)[number]
            if change(path):
                decoded.append(again(base, images, expected))
            shutil.rmtree(base)
        return decoded

    return damage


def flip(path, place, bit=1):
    content = bytearray(path.read_bytes())
    content[place] ^= bit
    path.write_bytes(content)
    return True


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_batch_cut_anywhere_costs_only_reading_it_again(damage, killed, suffix):
    for place in places_in(batches(killed, suffix)[0]):

        def cut(path, place=place):
            size = path.stat().st_size
            os.truncate(path, min(place, size))
            return size > place

        decoded = damage(suffix, cut)
        assert len(decoded) >= 6  # the pixels of a file that is no picture cannot be cut
        assert set(decoded) == {1}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("bit", [1, 128])
def test_a_flipped_bit_in_a_batch_costs_only_reading_it_again(damage, killed, suffix, bit):
    for place in places_in(batches(killed, suffix)[0]):
        decoded = damage(
            suffix, lambda path, at=place: at < path.stat().st_size and flip(path, at, bit)
        )
        assert len(decoded) >= 6
        assert set(decoded) == {1}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", [None, b"", b"something else" * 99])
def test_a_batch_of_which_a_file_is_missing_or_another_one_is_read_again(damage, suffix, content):
    def exchange(path):
        if suffix == ".pixels" and not path.stat().st_size and content is not None:
            return False  # of a file that is no picture
        path.unlink() if content is None else path.write_bytes(content)
        return True

    decoded = damage(suffix, exchange)
    assert len(decoded) >= 6
    assert set(decoded) == {1}


def test_a_batch_in_the_place_of_another_is_noticed(killed, images, expected, tmp_path):
    shutil.copytree(killed, tmp_path / "copy")
    first, second = batches(tmp_path / "copy", ".pixels")[:2]
    shutil.copy(first, second)
    assert again(tmp_path / "copy", images, expected) == 1


def test_pixels_without_a_table_are_written_over(killed, images, expected, tmp_path):
    shutil.copytree(killed, tmp_path / "copy")
    for table in batches(tmp_path / "copy", ".arrow")[3:]:
        table.unlink()
    run = Run(tmp_path / "copy").read(images).hand_over()
    assert run.reading.decoded == 4
    assert run.out.stat().st_size == HEADER + 6 * BYTES
    assert run.result() == expected


def test_a_half_written_table_is_no_batch(killed, images, expected, tmp_path):
    shutil.copytree(killed, tmp_path / "copy")
    last = batches(tmp_path / "copy", ".arrow")[-1]
    os.replace(last, last.with_name(f".{last.stem}.999999999.tmp.arrow"))
    assert again(tmp_path / "copy", images, expected) == 1


def test_a_disk_that_takes_only_half_is_an_error_and_costs_only_reading_again(
    tmp_path, images, expected
):
    run = Run(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (HEADER + 4 * BYTES + 50, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            run.read(images)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert again(tmp_path, images, expected) == 7


# The last run


def test_pixels_exchanged_for_others_of_the_same_size_are_noticed(kept, images, expected):
    out = kept / "pictures.npy"
    content = bytearray(out.read_bytes())
    content[HEADER + 100] ^= 1
    out.write_bytes(content)
    assert again(kept, images, expected) == 7


@pytest.mark.parametrize("change", ["touched", "copied"])
def test_pixels_that_are_still_the_same_are_trusted(kept, images, expected, change):
    out = kept / "pictures.npy"
    if change == "touched":
        os.utime(out)
    else:
        shutil.copy(out, kept / "copy")
        os.replace(kept / "copy", out)
    assert again(kept, images, expected) == 0


def test_pixels_that_are_gone_are_made_again(kept, images, expected):
    (kept / "pictures.npy").unlink()
    assert again(kept, images, expected) == 7


def test_without_the_table_of_the_last_run_all_is_read_again(kept, images, expected):
    (kept / "memory" / "key" / "last.arrow").unlink()
    assert again(kept, images, expected) == 7


@pytest.mark.parametrize("bit", [1, 128])
def test_a_flipped_bit_in_what_the_last_run_left_is_noticed(kept, images, expected, tmp_path, bit):
    for place in places_in(kept / "memory" / "key" / "last.arrow"):
        base = tmp_path / f"flipped{place}"
        shutil.copytree(kept / "memory", base / "memory")
        shutil.copy(kept / "pictures.npy", base)
        flip(base / "memory" / "key" / "last.arrow", place, bit)
        assert again(base, images, expected) == 7


@pytest.mark.parametrize("part", [0, 1, 40, 0.5, 0.99])
def test_a_table_of_the_last_run_that_is_cut_is_noticed(kept, images, expected, part):
    path = kept / "memory" / "key" / "last.arrow"
    os.truncate(path, int(part * path.stat().st_size) if part < 1 else part)
    assert again(kept, images, expected) == 7


def test_a_kill_while_the_last_run_is_exchanged_leaves_the_earlier_one(kept, images, expected):
    folder = kept / "memory" / "key"
    (folder / ".last.999999999.tmp.arrow").write_bytes(b"half")
    assert again(kept, images, expected) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["journal", "last.arrow"]


def test_a_run_that_ended_well_leaves_only_what_the_next_one_needs(kept):
    folder = kept / "memory" / "key"
    assert [path.name for path in folder.iterdir()] == ["last.arrow"]


# The pixels that were handed over


def test_pixels_that_were_handed_over_are_never_written_again(kept, images, tmp_path, texture):
    os.link(kept / "pictures.npy", tmp_path / "handed over.npy")
    before = (kept / "pictures.npy").read_bytes()
    shutil.copytree(images, tmp_path / "more")
    texture(99).save(tmp_path / "more" / "a" / "more.png")
    assert Run(kept).read(tmp_path / "more").hand_over().keep().reading.decoded == 1
    assert (tmp_path / "handed over.npy").read_bytes() == before
    assert (kept / "pictures.npy").stat().st_size == len(before) + BYTES


def test_pixels_that_a_killed_run_handed_over_are_never_written_again(
    images, expected, tmp_path, texture
):
    run = Run(tmp_path).read(images).hand_over()
    before = run.out.read_bytes()
    shutil.copytree(images, tmp_path / "more")
    texture(99).save(tmp_path / "more" / "a" / "more.png")
    second = Run(tmp_path).read(tmp_path / "more")
    assert second.reading.decoded == 1
    assert run.out.read_bytes() == before
    assert again(tmp_path, images, expected) == 0


def test_pixels_may_be_written_to_another_disk(images, tmp_path, expected):
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second disk")
    run = Run(tmp_path).read(images)
    target = elsewhere / f"pawprint test {os.getpid()}"
    try:
        run.cache.write_pictures(run.reading.places, target)
        assert target.read_bytes()[HEADER:] == expected[0]
    finally:
        target.unlink()


def test_pixels_and_thumbnails_come_in_the_order_that_is_asked_for(kept, images, expected):
    run = Run(kept).read(images)
    order = np.array([5, 0, 6, 0])
    starts = run.cache.write_pictures(run.reading.places[order], run.out.with_suffix(".new"))
    pixels = run.out.with_suffix(".new").read_bytes()
    first, last = expected[0][:BYTES], expected[0][-BYTES:]
    assert pixels == bytes(HEADER) + last + first + first
    assert starts.tolist() == [HEADER, HEADER + BYTES, -1, HEADER + 2 * BYTES]
    thumbs = run.cache.thumbs(run.reading.places[order])
    assert thumbs.shape == (4, 32, 32)
    whole = np.frombuffer(expected[1], np.uint8).reshape(-1, 32, 32)
    assert np.array_equal(thumbs, whole[order])


def test_thumbnails_are_those_of_the_pictures(kept, images):
    run = Run(kept).read(images).hand_over()
    for file, thumb in zip(run.files[:6], run.thumbs, strict=False):
        with Image.open(file.location) as image:
            assert np.array_equal(thumb, np.asarray(thumbs_of(image)[0]))
    assert run.thumbs[6].tobytes() == bytes(THUMB_BYTES)


def test_nothing_can_be_asked_for(tmp_path, images):
    run = Run(tmp_path).read(images)
    nowhere = np.empty(0, np.int64)
    assert run.cache.thumbs(nowhere).shape == (0, 32, 32)
    assert len(run.cache.write_pictures(nowhere, run.out)) == 0
    assert len(run.cache.records(nowhere)) == len(run.cache.pairs_among(nowhere)) == 0


# Pairs


def test_pairs_are_kept_and_told_by_the_positions_of_today(kept, images):
    cache = Run(kept).read(images).cache
    assert cache.pairs.tolist() == [[0, 2, 0], [1, 4, 1]]
    assert cache.pairs_among(np.arange(7)).tolist() == [[0, 2, 0], [1, 4, 1]]
    assert cache.pairs_among(np.array([4, 3, 2, 1, 0])).tolist() == [[4, 2, 0], [3, 0, 1]]
    assert cache.pairs_among(np.array([2, 99, 1, 0])).tolist() == [[3, 0, 0]]
    assert cache.pairs_among(np.array([1, 2])).tolist() == []


def test_who_was_compared_is_kept(images, tmp_path):
    compared = np.array([True, False, True, True, False, True, False])
    Run(tmp_path).read(images).hand_over().keep(compared=compared)
    cache = Run(tmp_path).cache
    assert cache.compared.tolist() == compared.tolist()


# Settings


def test_another_setting_knows_nothing_and_when_it_ended_well_the_first_is_forgotten(kept, images):
    run = Run(kept, key="another").read(images)
    assert run.reading.decoded == 7
    assert sorted(path.name for path in (kept / "memory").iterdir()) == ["another", "key"]
    (kept / "pictures.npy").unlink()
    run.hand_over().keep()
    assert [path.name for path in (kept / "memory").iterdir()] == ["another"]


def test_another_code_of_the_search_forgets_pairs_but_no_pictures(kept, images, monkeypatch):
    monkeypatch.setattr(cache_module, "code_digest", lambda *modules: f"another {modules}")
    run = Run(kept).read(images)
    assert run.reading.decoded == 0
    assert not run.cache.compared.any()
    assert len(run.cache.pairs) == 0


def test_the_key_of_settings_differs_with_each_of_them():
    keys = {settings_key(size, way) for size in (8, 64, 128) for way in ("squash", "crop", "pad")}
    assert len(keys) == 9
    assert settings_key(64, "squash") == settings_key(64, "squash")
    assert all(key.isalnum() for key in keys)


def test_progress_of_a_long_reading_is_on_disk_before_it_ends(tmp_path, images, monkeypatch):
    monkeypatch.setattr(files_module, "_AT_A_TIME", 3)
    cache, sizes = Run(tmp_path).cache, []
    add = cache.add

    def added(*batch):
        places = add(*batch)
        sizes.append(sorted(path.stat().st_size for path in batches(tmp_path, ".pixels")))
        assert len(batches(tmp_path, ".arrow")) == len(sizes)
        return places

    monkeypatch.setattr(cache, "add", added)
    read_files(find_pictures(images, images).files, cache, image_size=SIZE, resize="squash")
    assert sizes == [[3 * BYTES], [3 * BYTES, 3 * BYTES], [0, 3 * BYTES, 3 * BYTES]]


def test_many_records_are_found_by_their_contents(tmp_path):
    cache = Run(tmp_path).cache
    random = np.random.default_rng(0)
    records = np.zeros(3000, RECORD)
    records["sha256"] = [random.bytes(32) for _ in range(3000)]
    places = cache.add(records, bytes(3000 * THUMB_BYTES), b"")
    assert places.tolist() == list(range(3000))
    cache = Run(tmp_path).cache
    order = random.permutation(3000)
    assert np.array_equal(cache.find("sha256", records["sha256"][order]), order)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_what_is_written_is_read(tmp_path, count):
    more = np.arange(count, dtype=np.float32)
    facts = {"pairs": [[0, 1]], "key": "ü"}
    write_columns(tmp_path / "a.arrow", ROWS[:count], {"more": more}, facts)
    columns, found = read_columns(tmp_path / "a.arrow")
    assert found == facts
    assert list(columns) == ["name", "size", "place", "is_blank", "more"]
    for name in ROWS.dtype.names:
        assert columns[name].tolist() == ROWS[:count][name].tolist()
    assert columns["more"].tolist() == more.tolist()


def test_any_arrow_reader_reads_it(tmp_path):
    import pyarrow as pa

    write_columns(tmp_path / "a.arrow", ROWS, {}, {})
    with pa.OSFile(str(tmp_path / "a.arrow")) as file:
        table = pa.ipc.open_stream(file).read_all()
    assert table["size"].to_pylist() == [1, 2**32 - 1]
    assert table["name"].to_pylist() == [b"a\0\0\0\0", b"b\0c\0\0"]


def test_what_is_cut_or_changed_anywhere_is_a_value_error(tmp_path):
    path = tmp_path / "a.arrow"
    write_columns(path, ROWS, {}, {"key": "value"})
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place])
        with pytest.raises(ValueError, match=r"damaged|empty"):
            read_columns(path)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ValueError, match="damaged"):
            read_columns(path)


def test_a_file_that_is_not_there_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_columns(tmp_path / "gone.arrow")
