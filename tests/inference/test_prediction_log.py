"""What the log of pictures seen remembers, whatever happens while it is written."""

import json
import logging
import multiprocessing
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest

from pawprint.data.brightness import brightness
from pawprint.inference.prediction_log import LoggedPrediction, PredictionLog, log_entry
from pawprint.system.errors import UserError

ROW = LoggedPrediction(
    "2025-01-31T12:00:00Z", 640, 480, 117.25, "cats", 0.9, "pawprint version 3", "a" * 32
)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_picture_is_a_line_of_facts_without_its_name_or_pixels(tmp_path):
    log = PredictionLog(tmp_path / "new/seen.jsonl")
    log.add([ROW])
    log.add([replace(ROW, label='a "b"\n{"time":é', run_id=None, probability=1 / 3)])
    first, second = lines(log.path)
    assert first == {
        "time": "2025-01-31T12:00:00Z",
        "width": 640,
        "height": 480,
        "brightness": pytest.approx(117.25, abs=0.05),
        "label": "cats",
        "probability": 0.9,
        "model": "pawprint version 3",
        "run_id": "a" * 32,
    }
    assert second["label"] == 'a "b"\n{"time":é'
    assert (second["run_id"], second["probability"]) == (None, 0.333333)


def test_what_was_seen_is_made_of_the_picture_and_its_answer():
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    probabilities = {"cats": 0.2, "dogs": 0.5, "birds": 0.3}
    seen = log_entry((640, 480), brightness(pixels), probabilities, "pawprint version 3")
    assert (seen.label, seen.probability, seen.width, seen.height) == ("dogs", 0.5, 640, 480)
    assert seen.brightness == brightness(pixels)
    assert seen.run_id is None
    assert len(seen.time) == len(ROW.time)
    assert seen.time.startswith("20")
    assert seen.time.endswith("Z")


def _write(path, writer, calls):
    log = PredictionLog(path)
    for call in range(calls):
        log.add([replace(ROW, width=writer, height=call, label="x" * 50 * writer)] * 7)


def test_lines_of_several_processes_and_threads_stay_whole(tmp_path):
    path = tmp_path / "seen.jsonl"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(path, n, 100)) for n in (1, 2, 3)]
    writers += [threading.Thread(target=_write, args=(path, n, 100)) for n in (4, 5, 6)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    written = lines(path)
    assert len(written) == 6 * 100 * 7
    for number in range(1, 7):
        own = [row["height"] for row in written if row["width"] == number]
        assert own == [call for call in range(100) for _ in range(7)]


def test_a_full_disk_is_told_once_and_predicting_goes_on(tmp_path, caplog):
    log = PredictionLog(tmp_path / "seen.jsonl")
    log.path.unlink()
    log.path.symlink_to("/dev/full")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            log.add([ROW])
    (warning,) = caplog.messages
    assert str(log.path) in warning
    assert "No space left on device" in warning


def test_a_line_that_was_written_in_part_is_told_and_spoils_no_other(tmp_path):
    from pawprint.drift.log import read_log

    program = f"""
import resource, sys
from pathlib import Path
from pawprint.inference.prediction_log import LoggedPrediction, PredictionLog
row, log = {ROW!r}, PredictionLog(Path(sys.argv[1]))
lost = [log.add([row] * 5)]
size = log.path.stat().st_size
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 60, hard))
lost += [log.add([row] * 3), log.add([row])]
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
print(lost + [log.add([row] * 2), log.add([])])
"""
    path = tmp_path / "seen.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stderr.count("\n") == 1
    assert "only a part was written" in done.stderr
    seen, notes = read_log(path)
    assert len(seen) == 5 + 2
    assert notes == [f"1 line of {path} cannot be read and left out."]
    assert done.stdout == "[0, 3, 1, 0, 0]\n"


def test_a_line_torn_by_another_command_spoils_no_other(tmp_path):
    path = tmp_path / "seen.jsonl"
    PredictionLog(path).add([ROW] * 2)
    path.write_bytes(path.read_bytes()[:-20])
    log = PredictionLog(path)
    for _ in range(3):
        log.add([ROW])
    assert len(path.read_text().splitlines()) == 2 + 3


def test_it_is_told_again_after_it_worked_in_between(tmp_path, caplog):
    log = PredictionLog(tmp_path / "seen.jsonl")
    with caplog.at_level(logging.WARNING):
        for full in (True, True, False, False, True):
            log.path.unlink(missing_ok=True)
            if full:
                log.path.symlink_to("/dev/full")
            assert log.add([ROW, ROW]) == (2 if full else 0)
    assert len(caplog.messages) == 2


def test_a_file_moved_away_is_begun_anew(tmp_path):
    log = PredictionLog(tmp_path / "seen.jsonl")
    log.add([ROW])
    log.path.rename(tmp_path / "seen.1.jsonl")
    log.add([ROW, ROW])
    assert len(lines(log.path)) == 2


def test_a_file_that_is_something_else_is_not_written(tmp_path):
    other = tmp_path / "answers.csv"
    other.write_text("path,label\n")
    with pytest.raises(UserError, match=r"answers\.csv is no log of pictures seen; give another"):
        PredictionLog(other)
    assert other.read_text() == "path,label\n"
    with pytest.raises(UserError, match="is a folder"):
        PredictionLog(tmp_path)
    with pytest.raises(UserError, match="cannot be written"):
        PredictionLog(other / "below.jsonl")
