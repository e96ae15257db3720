import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pawprint.inference.batch_prediction import Tally, classify, find_files, read_list
from pawprint.system.errors import UserError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def found(*given, **options):
    return list(find_files(map(str, given), **options))


def test_a_folder_is_its_files_sorted_and_recursive_those_of_sub_folders_too(tmp_path):
    touch(tmp_path, "b.jpg", "a.jpg", "sub/c.png", "sub/deeper/d.txt")
    assert [os.path.relpath(path, tmp_path) for path in found(tmp_path)] == ["a.jpg", "b.jpg"]
    names = [os.path.relpath(path, tmp_path) for path in found(tmp_path, recursive=True)]
    assert names == ["a.jpg", "b.jpg", "sub/c.png", "sub/deeper/d.txt"]


def test_folders_that_are_not_entered_are_told(tmp_path):
    touch(tmp_path, "a.jpg", "sub/c.png", "other/d.png", ".hidden/e.png")
    told = []
    found(tmp_path, skipped=lambda *words: told.append(words))
    assert told == [(str(tmp_path), 2)]
    found(tmp_path, recursive=True, skipped=lambda *words: told.append(words))
    assert len(told) == 1


def test_hidden_files_and_folders_inside_a_folder_are_skipped(tmp_path):
    touch(tmp_path, "a.jpg", ".b.jpg", ".git/c.jpg", "sub/.d.jpg", "Thumbs.db", ".DS_Store")
    assert found(tmp_path, recursive=True) == [str(tmp_path / "a.jpg")]


def test_a_folder_below_a_hidden_one_can_be_given(tmp_path):
    touch(tmp_path, ".cache/pictures/a.jpg")
    assert len(found(tmp_path / ".cache" / "pictures")) == 1


def test_files_and_folders_come_in_the_order_given(tmp_path):
    touch(tmp_path, "z.jpg", "folder/b.jpg", "folder/a.jpg", ".hidden.jpg")
    paths = found(tmp_path / "z.jpg", tmp_path / "folder", tmp_path / ".hidden.jpg")
    assert [Path(path).name for path in paths] == ["z.jpg", "a.jpg", "b.jpg", ".hidden.jpg"]


@pytest.mark.parametrize("recursive", [False, True])
@pytest.mark.parametrize("made", [(), (".hidden.jpg",)], ids=["empty", "only hidden files"])
def test_a_folder_without_files_stays_for_a_row_of_its_own(tmp_path, made, recursive):
    touch(tmp_path, *made)
    assert found(tmp_path, recursive=recursive) == [str(tmp_path)]


def test_a_folder_of_folders_alone_stays_and_they_are_told(tmp_path):
    touch(tmp_path, "cats/a.jpg", "dogs/b.jpg")
    told = []
    assert found(tmp_path, skipped=lambda *words: told.append(words)) == [str(tmp_path)]
    assert told == [(str(tmp_path), 2)]


def test_a_sub_folder_that_cannot_be_read_stays_and_the_others_are_entered(tmp_path):
    touch(tmp_path, "a/1.jpg", "b/2.jpg", "c/3.jpg")
    files = find_files([str(tmp_path)], recursive=True)
    assert next(files) == str(tmp_path / "a/1.jpg")
    shutil.rmtree(tmp_path / "b")
    assert list(files) == [str(tmp_path / "b"), str(tmp_path / "c/3.jpg")]


def test_what_is_written_meanwhile_is_no_picture(tmp_path):
    touch(tmp_path, "a.jpg", "answers.csv", "sub/answers.csv", "seen.jsonl")
    (tmp_path / "link.csv").symlink_to("answers.csv")
    but = [tmp_path / "link.csv", tmp_path / "seen.jsonl"]
    names = [str(tmp_path / name) for name in ("a.jpg", "sub/answers.csv")]
    assert found(tmp_path, recursive=True, but=but) == names
    with pytest.raises(UserError, match=r"answers\.csv is to be read and to be written"):
        found(tmp_path / "answers.csv", but=but)


def test_a_path_that_does_not_exist_stays_for_a_row_of_its_own(tmp_path):
    touch(tmp_path, "a.jpg")
    given = [str(tmp_path / "a.jpg"), str(tmp_path / "b.jpg")]
    assert found(*given) == given


def lines(content):
    return list(read_list(io.BufferedReader(io.BytesIO(content))))


def test_a_list_is_a_path_a_line_or_between_zero_bytes():
    assert lines(b"a.jpg\nb c.jpg\n\n/d.jpg") == ["a.jpg", "b c.jpg", "/d.jpg"]
    assert lines(b"a.jpg\0b\nc.jpg\0") == ["a.jpg", "b\nc.jpg"]
    assert lines(b"") == []
    assert lines(b"\xef\xbb\xbfa.jpg\r\nb.jpg\r\n") == ["a.jpg", "b.jpg"]
    assert [os.fsencode(name) for name in lines(b"caf\xe9.jpg\r\n")] == [b"caf\xe9.jpg"]


def test_long_lists_come_whole():
    names = [f"folder/picture {number}.jpg" for number in range(20_000)]
    assert lines("\n".join(names).encode()) == names


def test_a_path_is_known_as_soon_as_its_line_is_there():
    read, write = os.pipe()
    with os.fdopen(read, "rb") as stream:
        os.write(write, b"a.jpg\n")
        paths = read_list(stream)
        assert next(paths) == "a.jpg"
        os.write(write, b"b.jpg")
        os.close(write)
        assert list(paths) == ["b.jpg"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory, paint_folder):
    """150 pictures, among them a file that is none."""
    folder = paint_folder(tmp_path_factory.mktemp("many") / "pictures", {"a": 149}, size=(20, 16))
    (folder / "a" / "050b.png").write_text("no picture")
    return sorted(str(path) for path in (folder / "a").iterdir())


PROGRAM = """
import multiprocessing, sys
from pathlib import Path
from pawprint.inference.batch_prediction import classify
from pawprint.inference.predictor import Predictor
answers = classify(sys.argv[2:], Predictor(Path(sys.argv[1]), threshold=0.9))
first = next(answers)
print(len(multiprocessing.active_children()))
for p in [first, *answers]:
    print(p.path, p.label, p.probability, p.size, p.problem, sep="|")
"""


@pytest.mark.parametrize("count", [1, 64, 65, 150])
def test_the_answers_are_the_predictors_in_the_files_order(network, pictures, count):
    command = [sys.executable, "-c", PROGRAM, str(network.path), *pictures[:count]]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert done.stderr == ""
    processes, *rows = done.stdout.splitlines()
    cores = len(os.sched_getaffinity(0))
    assert int(processes) == (0 if count <= 64 or cores == 1 else cores)
    for row, path, expected in zip(
        rows, pictures[:count], network.classify(pictures[:count]), strict=True
    ):
        said, label, probability, size, problem = row.split("|")
        assert said == path
        assert problem == str(expected.problem)
        assert size == str(expected.size)
        if not expected.problem:
            sure = expected.probability >= 0.9
            assert label == (expected.label if sure else "not sure")
            assert float(probability) == pytest.approx(expected.probability, abs=1e-6)


def test_files_are_taken_as_they_are_needed(network, pictures):
    taken = []

    def files():
        for path in pictures * 40:
            taken.append(path)
            yield path

    answers = classify(files(), network)
    next(answers)
    assert len(taken) < 64 * (3 * len(os.sched_getaffinity(0)) + 3)
    answers.close()


def test_a_tally_counts_and_tells_of_the_first_files_that_are_no_pictures(network, tmp_path):
    files = [str(tmp_path / f"{number}.jpg") for number in range(13)]
    told = []
    tally = Tally(told.append)
    assert len(list(tally.of(classify(files, network)))) == 13
    tally.end()
    assert (tally.files, tally.unread) == (13, 13)
    assert len(told) == 11
    assert told[0].startswith(files[0])
    assert told[-1] == "3 more files are no pictures; their rows say why"
