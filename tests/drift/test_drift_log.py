from dataclasses import replace

import pytest

from pawprint.drift.log import Network, read_log
from pawprint.inference.prediction_log import LoggedPrediction, PredictionLog
from pawprint.system.errors import UserError

ROW = LoggedPrediction(
    "2025-01-31T12:00:00Z", 640, 480, 117.0, "cats", 0.9, "pawprint version 3", "a" * 32
)


@pytest.fixture
def log(tmp_path):
    return PredictionLog(tmp_path / "seen.jsonl")


def test_what_was_written_is_read(log):
    log.add([ROW, replace(ROW, time="2025-02-01T00:00:00Z", label="dogs", width=320)])
    seen, notes = read_log(log.path)
    assert notes == []
    assert seen.network == Network("pawprint version 3", "a" * 32)
    widths, heights, brightness, probabilities = seen.columns()
    assert widths.tolist() == [640, 320]
    assert heights.tolist() == [480, 480]
    assert brightness.tolist() == [117, 117]
    assert probabilities.tolist() == [0.9, 0.9]
    assert seen.labels == {"cats": 1, "dogs": 1}
    assert (seen.first, seen.last) == ("2025-01-31T12:00:00Z", "2025-02-01T00:00:00Z")


def test_a_torn_line_is_left_out_and_told_wherever_it_stands(log):
    log.add([ROW] * 3)
    whole = log.path.read_bytes()
    log.path.write_bytes(whole[:-30])  # a power cut
    seen, notes = read_log(log.path)
    assert len(seen) == 2
    assert notes == [f"1 line of {log.path} cannot be read and left out."]
    log.add([ROW])
    seen, _ = read_log(log.path)
    assert len(seen) == 3
    log.path.write_bytes(whole + b"\0\0\0\n\xff\xfe\n" + whole)
    seen, notes = read_log(log.path)
    assert len(seen) == 6
    assert notes[0].startswith("2 lines of")


@pytest.mark.parametrize(
    "line",
    [
        '{"time":1,"width":1,"height":1,"brightness":1,"label":"a","probability":1,"model":"m"}',
        '{"time":"2025","width":0,"height":1,"brightness":1,"label":"a","probability":1,"model":"m"}',
        '{"time":"2025","width":1,"height":1,"brightness":NaN,"label":"a","probability":1,"model":"m"}',
        '{"time":"2025","width":1,"height":1,"brightness":1,"label":"a","probability":2,"model":"m"}',
        '{"time":"2025","width":1,"height":1,"brightness":1,"label":"a","probability":1}',
        '{"time":"2025","width":1,"height":1,"brightness":1,"label":[],"probability":1,"model":"m"}',
        '{"time":"2025","width":null,"height":1,"brightness":1,"label":"a","probability":1,"model":""}',
    ],
)
def test_a_line_with_other_values_is_left_out(log, line):
    log.add([ROW])
    with log.path.open("a") as file:
        file.write(line + "\n")
    seen, notes = read_log(log.path)
    assert len(seen) == 1
    assert notes[0].startswith("1 line of")


def test_pictures_of_the_network_that_answered_last_are_taken_or_of_the_one_named(log):
    later = replace(ROW, time="2025-02-02T00:00:00Z", model="pawprint version 4", run_id="b" * 32)
    log.add([ROW, ROW, later, ROW])  # an older server is still running
    seen, notes = read_log(log.path)
    assert seen.network.name == "pawprint version 4"
    assert len(seen) == 1
    assert notes == [
        "Left out are 3 pictures that were answered by pawprint version 3: name one with --model."
    ]
    for name in ("pawprint version 3", "a" * 32):
        seen, _ = read_log(log.path, model=name)
        assert len(seen) == 3
    with pytest.raises(UserError, match="no picture that 'v9' answered, but of pawprint version 3"):
        read_log(log.path, model="v9")


def test_networks_of_one_name_and_other_runs_are_told_apart(log):
    log.add([ROW, replace(ROW, run_id=None)])  # in the same second
    seen, notes = read_log(log.path)
    assert seen.network.run_id is None
    assert f"pawprint version 3 (run {'a' * 32})" in notes[0]
    with pytest.raises(UserError, match="has 2 networks called 'pawprint version 3': name its run"):
        read_log(log.path, model="pawprint version 3")


@pytest.mark.parametrize(
    ("since", "left"),
    [
        ("2025-01-30", 2),
        ("2025-01-31T12:00", 2),
        ("2025-01-31T12:00:01", 1),
        ("2025-01-31T13:30+01:00", 1),
        ("2025-02-01", 1),
    ],
)
def test_earlier_pictures_are_left_out(log, since, left):
    log.add([ROW, replace(ROW, time="2025-02-01T00:00:00Z")])
    assert len(read_log(log.path, since=since)[0]) == left


def test_a_mistake_is_one_sentence(log, tmp_path):
    with pytest.raises(UserError, match="has no picture yet; predict with `--log "):
        read_log(log.path)
    log.add([ROW])
    with pytest.raises(UserError, match="has no picture since 2025-03-01; give an earlier day"):
        read_log(log.path, since="2025-03-01")
    with pytest.raises(UserError, match="--since is 'yesterday', but must be a day as 2025-01-31"):
        read_log(log.path, since="yesterday")
    with pytest.raises(
        UserError, match=r"cannot be read \(No such file or directory\); give a log"
    ):
        read_log(tmp_path / "nothing.jsonl")
    with pytest.raises(UserError, match="is a folder"):
        read_log(tmp_path)
    (tmp_path / "other.json").write_text('{"a": 1}')
    with pytest.raises(UserError, match="is no log of pictures seen"):
        read_log(tmp_path / "other.json")
