"""`pawprint drift` on a project whose pipeline ran."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from pawprint.data.brightness import brightness
from pawprint.data.store import load_sizes, load_split
from pawprint.inference.prediction_log import PredictionLog, log_entry
from pawprint.inference.predictor import Predictor

DRIFT = ("python", "-m", "pawprint", "drift")


@pytest.fixture(scope="module")
def drifting(finished, paint_folder, tmp_path_factory):
    """A project with enough test pictures to compare answers with."""
    project = finished.copy(tmp_path_factory.mktemp("drifting") / "project")
    paint_folder(project.root / "pictures", {"cats": 150, "dogs": 150})
    for stage in ("prepare", "train", "evaluate"):
        project.stage(stage)
    return project


@pytest.fixture(scope="module")
def rows(drifting):
    """What the network saw, were it shown the training pictures."""
    train = load_split(drifting.root / "data/prepared", "train")
    predictor = Predictor(drifting.root / "models/model.onnx")
    sizes = zip(*load_sizes(drifting.root / "data/prepared", "train"), strict=True)
    run_id = drifting.json("models/run.json")["run_id"]
    return [
        log_entry(
            (int(width), int(height)),
            brightness(pixels),
            dict(zip(predictor.class_names, answer.tolist(), strict=True)),
            "pawprint version 2",
            run_id,
        )
        for pixels, (width, height), answer in zip(
            train.pictures, sizes, predictor.probabilities(train.pictures), strict=True
        )
    ]


def logged(path, rows):
    PredictionLog(path).add(rows)
    return str(path)


def test_pictures_like_those_learned_from_are_the_same(drifting, rows, tmp_path):
    program = (
        "import sys, pawprint.cli as cli\n"
        "try: cli.main(['drift', sys.argv[1], '--json', '--fail-on-change'])\n"
        "finally: print(set(sys.modules) & {'tensorflow', 'mlflow'}, file=sys.stderr)"
    )
    done = drifting.run("python", "-c", program, logged(tmp_path / "seen.jsonl", rows))
    assert done.stderr == "set()\n"
    told = json.loads(done.stdout)
    assert told["changed"] == []
    assert (told["model"], told["pictures"]) == ("pawprint version 2", len(rows))
    found = {row["what"]: row for row in told["rows"]}
    assert list(found) == ["size", "aspect", "brightness", "confidence", "labels"]
    assert found["size"]["before"] == {"median": 16, "low": 16, "high": 16}
    assert found["brightness"]["before"] == found["brightness"]["seen"]
    assert found["brightness"]["distance"] == 0
    table = (drifting.root / "reports/evaluate/predictions.csv").read_text().splitlines()
    predicted = Counter(line.split(",")[2] for line in table[1:])
    shares = {name: count / predicted.total() for name, count in predicted.items()}
    assert found["labels"]["before"] == pytest.approx(shares)
    assert all(row["changed"] is False for row in told["rows"])
    (note,) = told["notes"]
    assert note.startswith("Among so few pictures a distance below 0.1")


def test_what_changed_is_told_in_one_table(drifting, rows, tmp_path):
    path = tmp_path / "seen.jsonl"
    changed = [replace(r, brightness=r.brightness * 0.8, width=12, height=16) for r in rows]
    done = drifting.run(*DRIFT, logged(path, changed), cwd=drifting.root / "data")
    lines = {line.split("  ")[0]: line for line in done.stdout.splitlines()}
    assert "pictures are darker" in lines["brightness"]
    assert "< 0.0001" in lines["brightness"]
    assert "pictures are taller" in lines["aspect"]
    assert lines["size"].endswith("the same")
    assert done.stdout.endswith("Changed: pictures are taller, pictures are darker.\n")
    assert "\x1b" not in done.stdout
    drifting.run(*DRIFT, str(path), "--fail-on-change", code=3)
    told = json.loads(drifting.run(*DRIFT, str(path), "--json").stdout)
    assert told["changed"] == ["aspect", "brightness"]


def test_answers_of_another_network_are_compared_with_its_own_evaluation(drifting, rows, tmp_path):
    first = next(run.info.run_id for run in drifting.runs())
    older = [replace(row, model="pawprint version 1", run_id=first) for row in rows]
    path = logged(tmp_path / "seen.jsonl", older)
    told = json.loads(drifting.run(*DRIFT, path, "--json").stdout)
    assert "pawprint version 1 learned from other pictures" in told["notes"][0]
    found = {row["what"]: row for row in told["rows"]}
    # Its test split had a handful of pictures.
    assert found["labels"]["verdict"] == "too few pictures before"
    assert found["labels"]["before"] is not None

    unknown = [replace(row, run_id="f" * 32) for row in rows]
    told = json.loads(drifting.run(*DRIFT, logged(tmp_path / "b", unknown), "--json").stdout)
    assert "Confidence and labels are not compared" in told["notes"][0]
    verdicts = {row["what"]: row["verdict"] for row in told["rows"]}
    assert (verdicts["confidence"], verdicts["brightness"]) == ("not compared", "the same")


def test_answers_of_a_network_without_a_run_are_compared_only_where_its_classes_are_known(
    drifting, rows, tmp_path
):
    mine = [replace(row, run_id=None, model="mine.onnx") for row in rows]
    told = json.loads(drifting.run(*DRIFT, logged(tmp_path / "a", mine), "--json").stdout)
    assert "The log does not tell the run of mine.onnx" in told["notes"][0]
    assert told["changed"] == []
    other = [replace(row, label="pears") for row in mine]
    told = json.loads(drifting.run(*DRIFT, logged(tmp_path / "b", other), "--json").stdout)
    assert "mine.onnx answers pears, which is no class of the prepared" in told["notes"][0]
    verdicts = {row["what"]: row["verdict"] for row in told["rows"]}
    assert (verdicts["labels"], verdicts["brightness"]) == ("not compared", "the same")


def test_few_pictures_are_told_to_be_few(drifting, rows, tmp_path):
    spread = np.linspace(0, len(rows) - 1, 40).astype(int)
    path = logged(tmp_path / "forty", [rows[i] for i in spread])
    assert "Among so few pictures a distance below 0.2" in drifting.run(*DRIFT, path).stdout
    done = drifting.run(*DRIFT, logged(tmp_path / "five", rows[:5]), "--fail-on-change")
    assert done.stdout.endswith("5 pictures say nothing yet; 30 are the fewest compared.\n")
    assert done.stdout.count("too few pictures seen") == 5


def test_a_mistake_is_one_sentence(drifting, fresh, rows, tmp_path):
    path = logged(tmp_path / "seen.jsonl", rows)
    (tmp_path / "torn").write_text('{"time":' + "[" * 100_000 + '\n{"time":\n')
    for project, words, sentence in (
        (drifting, [str(tmp_path / "nothing")], "cannot be read"),
        (drifting, [str(tmp_path / "torn")], "has no picture, and 2 lines that cannot be read"),
        (drifting, ["params.yaml"], "params.yaml is no log of pictures seen"),
        (drifting, [path, "--since", "2999-01-01"], "has no picture since 2999-01-01"),
        (drifting, [path, "--model", "v9"], "no picture that 'v9' answered"),
        (fresh, [path], "was not found: run `dvc repro prepare`"),
    ):
        done = project.run(*DRIFT, *words, code=1)
        assert done.stdout == ""
        assert done.stderr.startswith("error: ")
        assert sentence in done.stderr
        assert done.stderr.count("\n") == 1
