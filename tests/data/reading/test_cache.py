import os
import resource
import shutil
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pawprint.data.copies.fingerprint import THUMB_BYTES, thumbs_of
from pawprint.data.layout import find_pictures
from pawprint.data.reading import cache as memory
from pawprint.data.reading.cache import HEADER, RECORD, Memory, settings_key, status_of
from pawprint.data.reading.files import read_files

SIZE = 8
BYTES = SIZE * SIZE * 3  # of one picture
JOURNAL = ("journal", "pictures.part", "thumbs.part")
LAST = (
    "records.npy",
    "pairs.npy",
    "compared.npy",
    "pictures.npy",
    "search.npy",
    "sums.npy",
    "thumbs",
)


@pytest.fixture(scope="module")
def images(tmp_path_factory, paint_textures):
    """Six pictures and a file that is none, all of them older than a moment."""
    root = paint_textures(tmp_path_factory.mktemp("images"), {"a": 3, "b": 3}, size=(40, 30))
    (root / "b" / "notes.txt").write_text("no picture")
    time.sleep(0.15)
    return root


class Run:
    """What prepare does with the memory, step by step."""

    def __init__(self, base, key="key"):
        self.out = base / "pictures.npy"
        self.memory = Memory(base / "memory", key, self.out)

    def read(self, images):
        self.files = find_pictures(images, images).files
        self.reading = read_files(self.files, self.memory, image_size=SIZE, resize="squash")
        return self

    def hand_over(self):
        """Write the pixels for others to read."""
        new = self.out.with_suffix(".new")
        self.starts = self.memory.write_pictures(self.reading.places, new)
        os.replace(new, self.out)
        self.thumbs = self.memory.thumbs(self.reading.places)
        return self

    def keep(self, pairs=(), compared=None):
        pairs = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        read = self.reading
        compared = read.places >= 0 if compared is None else compared
        self.memory.keep(read.places, read.statuses, self.starts, pairs, compared)
        return self

    def stop(self):
        """End as a kill would: what is on disk stays as it is."""
        self.memory.close()
        return self

    @property
    def pixels(self):
        return self.out.read_bytes()[HEADER:]

    def result(self):
        """All that later steps learn from the memory, whatever it knew."""
        records = self.memory.records(self.reading.places)
        facts = [name for name in RECORD.names if name not in ("status", "start", "seal")]
        return self.pixels, self.thumbs.tobytes(), records[facts].tolist(), self.starts.tolist()


@pytest.fixture(scope="module")
def expected(images, tmp_path_factory):
    """The result of a run that nothing disturbed."""
    run = Run(tmp_path_factory.mktemp("undisturbed")).read(images).hand_over()
    assert run.reading.decoded == 7
    result = run.result()
    run.stop()
    return result


@pytest.fixture
def kept(images, tmp_path):
    """The folder of a run that ended well."""
    Run(tmp_path).read(images).hand_over().keep([(0, 2), (1, 4)])
    return tmp_path


@pytest.fixture(scope="module")
def killed(images, tmp_path_factory):
    """The folder of a run that was killed when all was read."""
    base = tmp_path_factory.mktemp("killed")
    Run(base).read(images).stop()
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
    assert run.memory.of_files(statuses).tolist() == list(range(7))
    assert run.memory.last == 7
    run.read(images).hand_over()
    assert run.reading.decoded == 0
    assert run.result() == expected


def test_copies_of_files_are_known_by_their_content(kept, images, expected, tmp_path):
    shutil.copytree(images, tmp_path / "moved")
    run = Run(kept)
    statuses = np.array([status_of(f) for f in map(str, (tmp_path / "moved").rglob("*.jpg"))])
    assert (run.memory.of_files(statuses) == -1).all()
    run.read(tmp_path / "moved").hand_over()
    assert run.reading.decoded == 0
    assert run.result() == expected


def test_copies_of_files_are_known_by_who_they_are_from_then_on(kept, images, tmp_path):
    shutil.copytree(images, tmp_path / "moved")
    time.sleep(0.12)
    Run(kept).read(tmp_path / "moved").hand_over().keep()
    memory = Run(kept).memory
    files = find_pictures(tmp_path / "moved", "").files
    statuses = np.array([status_of(file.location) for file in files])
    assert memory.of_files(statuses).tolist() == list(range(7))
    memory.close()


def test_what_a_killed_run_had_read_is_known(killed, images, expected, tmp_path):
    shutil.copytree(killed, tmp_path / "copy")
    assert again(tmp_path / "copy", images, expected) == 0


def test_an_empty_status_or_content_is_never_known(kept):
    memory = Run(kept).memory
    assert memory.of_files(np.array([b""], "S40")).tolist() == [-1]
    assert memory.of_contents(np.array([b""], "S32")).tolist() == [-1]
    memory.close()


def test_nothing_is_known_at_first(tmp_path, images):
    memory = Run(tmp_path).memory
    assert (memory.last, len(memory.contents), len(memory.pairs)) == (0, 0, 0)
    assert memory.of_files(np.array([b"x" * 40])).tolist() == [-1]
    assert memory.of_contents(np.array([b"x" * 32])).tolist() == [-1]
    memory.close()


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
    with pytest.raises(FileNotFoundError):
        status_of(str(tmp_path / "gone"))


# A journal that was damaged


def places_in(path):
    """A tenth of all places, the first and the last, and no regular step."""
    random = np.random.default_rng(0)
    size = path.stat().st_size
    return sorted({0, size - 1, *random.integers(0, size, 25).tolist()})


@pytest.mark.parametrize("name", JOURNAL)
def test_a_journal_cut_anywhere_costs_only_reading_again(killed, images, expected, tmp_path, name):
    decoded = set()
    for place in places_in(killed / "memory" / "key" / name):
        base = tmp_path / str(place)
        shutil.copytree(killed, base)
        os.truncate(base / "memory" / "key" / name, place)
        decoded.add(again(base, images, expected))
    assert len(decoded) > 4


@pytest.mark.parametrize("name", JOURNAL)
@pytest.mark.parametrize("bit", [1, 128])
def test_a_flipped_bit_in_the_journal_costs_only_reading_again(
    killed, images, expected, tmp_path, name, bit
):
    decoded = set()
    for place in places_in(killed / "memory" / "key" / name):
        base = tmp_path / str(place)
        shutil.copytree(killed, base)
        flip(base / "memory" / "key" / name, place, bit)
        decoded.add(again(base, images, expected))
    assert len(decoded) > 4


def flip(path, place, bit=1):
    content = bytearray(path.read_bytes())
    content[place] ^= bit
    path.write_bytes(content)


@pytest.mark.parametrize("name", JOURNAL)
@pytest.mark.parametrize("content", [None, b"", b"something else" * 99])
def test_a_journal_of_which_a_file_is_missing_or_another_one_is_read_again(
    killed, images, expected, tmp_path, name, content
):
    shutil.copytree(killed, tmp_path / "copy")
    path = tmp_path / "copy" / "memory" / "key" / name
    path.unlink() if content is None else path.write_bytes(content)
    assert again(tmp_path / "copy", images, expected) == 7


def test_pixels_that_follow_a_cut_journal_are_written_over(killed, images, expected, tmp_path):
    shutil.copytree(killed, tmp_path / "copy")
    os.truncate(tmp_path / "copy" / "memory" / "key" / "journal", 3 * RECORD.itemsize)
    run = Run(tmp_path / "copy").read(images).hand_over()
    assert run.out.stat().st_size == HEADER + 6 * BYTES
    assert run.result() == expected


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
    run.stop()
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


@pytest.mark.parametrize("name", LAST)
def test_without_a_file_of_the_last_run_all_is_read_again(kept, images, expected, name):
    (kept / "memory" / "key" / "last" / name).unlink()
    assert again(kept, images, expected) == 7


@pytest.mark.parametrize("name", ["records.npy", "pairs.npy", "compared.npy", "thumbs", "sums.npy"])
def test_a_flipped_bit_in_what_the_last_run_left_is_noticed(kept, images, expected, tmp_path, name):
    for place in (0, -1, 300, -700):
        base = tmp_path / f"flipped{place}"
        shutil.copytree(kept / "memory", base / "memory")
        shutil.copy(kept / "pictures.npy", base)
        path = base / "memory" / "key" / "last" / name
        if abs(place) < path.stat().st_size:
            flip(path, place)
            assert again(base, images, expected) == 7


def test_a_kill_while_the_last_run_is_exchanged_leaves_the_earlier_one(kept, images, expected):
    folder = kept / "memory" / "key"
    (folder / ".last.old.abcdefgh").mkdir()
    (folder / ".last.ijklmnop").mkdir()
    (folder / ".last.ijklmnop" / "records.npy").write_bytes(b"half")
    os.replace(folder / "last", folder / ".last.old.abcdefgh" / "last")
    assert again(kept, images, expected) == 0
    (folder / ".pictures.123.tmp.part").write_bytes(b"half a copy")
    Run(kept).read(images).stop()
    left = {path.name for path in folder.iterdir()}
    assert left == {"last", "thumbs.new", *JOURNAL}


def test_a_run_that_ended_well_leaves_only_what_the_next_one_needs(kept):
    folder = kept / "memory" / "key"
    assert [path.name for path in folder.iterdir()] == ["last"]
    assert sorted(path.name for path in (folder / "last").iterdir()) == sorted(LAST)


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
    run = Run(tmp_path).read(images).hand_over().stop()
    assert run.out.stat().st_nlink == 2  # handed over without copying
    before = run.out.read_bytes()
    shutil.copytree(images, tmp_path / "more")
    texture(99).save(tmp_path / "more" / "a" / "more.png")
    second = Run(tmp_path).read(tmp_path / "more")
    assert second.reading.decoded == 1
    assert run.out.read_bytes() == before
    assert run.out.stat().st_nlink == 1
    second.stop()
    assert again(tmp_path, images, expected) == 0


def test_pixels_are_copied_where_a_link_cannot_be_made(images, tmp_path, expected):
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second disk")
    run = Run(tmp_path).read(images)
    target = elsewhere / f"pawprint test {os.getpid()}"
    try:
        run.memory.write_pictures(run.reading.places, target)
        assert target.read_bytes()[HEADER:] == expected[0]
    finally:
        target.unlink()


def test_pixels_and_thumbnails_come_in_the_order_that_is_asked_for(kept, images, expected):
    run = Run(kept).read(images)
    order = np.array([5, 0, 6, 0])
    starts = run.memory.write_pictures(run.reading.places[order], run.out.with_suffix(".new"))
    pixels = run.out.with_suffix(".new").read_bytes()
    first, last = expected[0][:BYTES], expected[0][-BYTES:]
    assert pixels == bytes(HEADER) + last + first + first
    assert starts.tolist() == [HEADER, HEADER + BYTES, -1, HEADER + 2 * BYTES]
    thumbs = run.memory.thumbs(run.reading.places[order])
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
    assert run.memory.thumbs(nowhere).shape == (0, 32, 32)
    assert len(run.memory.write_pictures(nowhere, run.out)) == 0
    assert len(run.memory.records(nowhere)) == len(run.memory.pairs_among(nowhere)) == 0
    run.stop()


# Pairs


def test_pairs_are_kept_and_told_by_the_positions_of_today(kept, images):
    memory = Run(kept).read(images).memory
    assert memory.pairs.tolist() == [[0, 2], [1, 4]]
    assert memory.pairs_among(np.arange(7)).tolist() == [[0, 2], [1, 4]]
    assert memory.pairs_among(np.array([4, 3, 2, 1, 0])).tolist() == [[4, 2], [3, 0]]
    assert memory.pairs_among(np.array([2, 99, 1, 0])).tolist() == [[3, 0]]
    assert memory.pairs_among(np.array([1, 2])).tolist() == []
    memory.close()


def test_who_was_compared_is_kept(images, tmp_path):
    compared = np.array([True, False, True, True, False, True, False])
    Run(tmp_path).read(images).hand_over().keep(compared=compared)
    memory = Run(tmp_path).memory
    assert memory.compared.tolist() == compared.tolist()
    memory.close()


# Settings


def test_another_setting_knows_nothing_and_when_it_ended_well_the_first_is_forgotten(kept, images):
    run = Run(kept, key="another").read(images)
    assert run.reading.decoded == 7
    assert sorted(path.name for path in (kept / "memory").iterdir()) == ["another", "key"]
    (kept / "pictures.npy").unlink()
    run.hand_over().keep()
    assert [path.name for path in (kept / "memory").iterdir()] == ["another"]


def test_another_code_of_the_search_forgets_pairs_but_no_pictures(kept, images, monkeypatch):
    monkeypatch.setattr(memory, "_SEARCH", ("copies/find.py",))
    run = Run(kept).read(images)
    assert run.reading.decoded == 0
    assert not run.memory.compared.any()
    assert len(run.memory.pairs) == 0
    run.stop()


def test_the_key_of_settings_differs_with_each_of_them():
    keys = {settings_key(size, way) for size in (8, 64, 128) for way in ("squash", "crop", "pad")}
    assert len(keys) == 9
    assert settings_key(64, "squash") == settings_key(64, "squash")
    assert all(key.isalnum() for key in keys)


def test_progress_of_a_long_reading_is_on_disk_before_it_ends(tmp_path, images):
    run = Run(tmp_path).read(images)
    journal = tmp_path / "memory" / "key"
    assert (journal / "journal").stat().st_size == 7 * RECORD.itemsize
    assert (journal / "thumbs.part").stat().st_size == 7 * THUMB_BYTES
    assert (journal / "pictures.part").stat().st_size == HEADER + 6 * BYTES
    run.stop()


def test_many_records_are_found_by_their_contents(tmp_path):
    memory = Run(tmp_path).memory
    random = np.random.default_rng(0)
    records = np.zeros(3000, RECORD)
    records["sha256"] = [random.bytes(32) for _ in range(3000)]
    records["check"] = zlib.crc32(bytes(THUMB_BYTES))
    places = memory.add(records, bytes(3000 * THUMB_BYTES), b"")
    assert places.tolist() == list(range(3000))
    memory.close()
    memory = Run(tmp_path).memory
    order = random.permutation(3000)
    assert np.array_equal(memory.of_contents(records["sha256"][order]), order)
    memory.close()
