import os
import subprocess
import sys

import pytest

from pawprint.inference.parallel import Tally, classify


@pytest.fixture(scope="module")
def pictures(tmp_path_factory, paint_folder):
    """150 pictures, among them a file that is none."""
    folder = paint_folder(tmp_path_factory.mktemp("many") / "pictures", {"a": 149}, size=(20, 16))
    (folder / "a" / "050b.png").write_text("no picture")
    return sorted(str(path) for path in (folder / "a").iterdir())


PROGRAM = """
import multiprocessing, sys
from pathlib import Path
from pawprint.inference.parallel import classify
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
