"""Challenger and champion, with a real registry."""

import csv
import json
import re
import shutil
import signal
import sqlite3
from contextlib import closing
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import pytest
from crafted import train
from mlflow import MlflowClient

from pawprint.registry.gate import decision_in
from pawprint.registry.source import champion_file, find_champion, version_now


@pytest.fixture(scope="module")
def founded(finished, tmp_path_factory):
    """A project whose champion, version 1, gets every picture wrong; for reading only."""
    project = finished.copy(tmp_path_factory.mktemp("founded") / "project")
    shutil.rmtree(project.root / "mlruns")
    shutil.rmtree(project.root / "models/champion")
    (project.root / "mlflow.db").unlink()
    train(project, "wrong")
    project.stage("register")
    return project


@pytest.fixture
def contest(founded, tmp_path):
    """Such a project of one's own."""
    return founded.copy(tmp_path / "project")


def _alias(project, name):
    return int(project.client().get_registered_model("pawprint").aliases[name])


def _tags(project, number):
    return project.client().get_model_version("pawprint", str(number)).tags


def _decision(project):
    """The decision on the version that was registered last, and who is champion by it."""
    aliases = project.client().get_registered_model("pawprint").aliases
    number = int(aliases["challenger"])
    decision = asdict(decision_in(_tags(project, number)))
    champion = int(aliases["champion"]) if "champion" in aliases else None
    return {"version": number, "champion": champion, **decision}


def _answering(project):
    """The version in `models/champion`, where network and record are whole."""
    return champion_file(project.root / "models/champion", "pawprint").version


def _champion(project, *options, **variables):
    command = ("python", "-m", "pawprint", "champion", *options)
    return project.run(*command, **variables)


def _line(project, **variables):
    shown = json.loads(_champion(project, "--json", **variables).stdout)
    return [(event["version"], event["from"], event["by"]) for event in shown["line"]]


def test_registering_the_same_run_again_changes_nothing(contest):
    file = contest.root / "models/champion/registered.json"
    before, tags = file.stat().st_mtime_ns, _tags(contest, 1)
    contest.stage("register")
    versions = contest.client().search_model_versions("name = 'pawprint'")
    assert [int(v.version) for v in versions] == [1]
    assert file.stat().st_mtime_ns == before
    assert _tags(contest, 1) == tags
    assert len(contest.client().get_registered_model("pawprint").tags) == 1


def test_the_champion_s_file_is_known_by_the_record_beside_it(founded):
    found = champion_file(founded.root / "models/champion", "pawprint")
    assert found.network.read_bytes() == (founded.root / "models/model.onnx").read_bytes()
    version = founded.client().get_model_version("pawprint", "1")
    assert (found.name, found.run_id) == ("pawprint version 1", version.run_id)
    for name in ("test_accuracy", "test_accuracy_low", "data_digest", "git_commit", "reason"):
        assert found.tags[name] == version.tags[name]


def test_champion_is_who_is_better_beyond_chance_and_nobody_else(contest):
    # Of 8 test pictures, half are cats.
    steps = [
        ("cats", 1, "not told apart from champion version 1", "p = 0.125"),  # 4 gained
        ("right", 3, "better than champion version 1", "p = 0.00781"),  # 8 gained
        ("cats", 3, "not told apart from champion version 3", "p = 0.125"),  # 4 lost
        ("wrong", 3, "worse than champion version 3", "p = 0.00781"),  # 8 lost
        ("right", 3, "not told apart from champion version 3", "p = 1)"),
    ]
    for number, (kind, champion, relation, p_value) in enumerate(steps, start=2):
        train(contest, kind)
        contest.stage("register")
        decision = _decision(contest)
        assert (decision["version"], decision["champion"]) == (number, champion)
        assert decision["reason"].startswith(f"{relation} on the same 8 test pictures: accuracy ")
        assert p_value in decision["reason"]
        assert _answering(contest) == champion
        assert decision["verdict"] == ("promoted" if champion == number else "kept")
    assert _line(contest) == [(3, 1, "register"), (1, None, "register")]


def test_a_version_and_its_run_tell_the_whole_decision(contest):
    train(contest, "right")
    intervals = {"test_accuracy_low": 0.7, "test_accuracy_high": 1.0}
    (contest.root / "reports/evaluate/intervals.json").write_text(json.dumps(intervals))
    contest.stage("register")
    tags = _tags(contest, 2)
    commit = contest.run("git", "rev-parse", "HEAD").stdout.strip()
    summary = contest.json("data/prepared/summary.json")
    expected = {
        "test_accuracy": "1.0",
        "test_log_loss": "0.5",
        "class_names": "cats, dogs",
        "test_accuracy_low": "0.7",
        "test_accuracy_high": "1.0",
        "git_commit": commit,
        "network_sha256": contest.json("models/run.json")["network_sha256"],
        "test_digest": summary["splits"]["test"]["digest"],
        **{f"{name}_pictures": str(s["pictures"]) for name, s in summary["splits"].items()},
        "verdict": "promoted",
        "policy": "better",
        "compared_with": "1",
        "beat": "1",
        "pictures": "8",
        "gained": "8",
        "lost": "0",
        "p_value": "0.0078125",
        "difference": "1.0",
        "difference_low": "1.0",
        "difference_high": "1.0",
        "reason": "better than champion version 1 on the same 8 test pictures: accuracy 1.0000 "
        "against 0.0000, difference +1.0000 (95 % interval +1.0000 to +1.0000, McNemar's p = "
        "0.00781): champion",
    }
    assert expected.items() <= tags.items()
    assert tags.keys() - expected.keys() == {"data_digest", "decided"}
    assert datetime.fromisoformat(tags["decided"]).utcoffset().total_seconds() == 0
    client = contest.client()
    run = client.get_run(client.get_model_version("pawprint", "2").run_id)
    assert (run.data.tags["registered_version"], run.data.tags["verdict"]) == ("2", "promoted")
    assert run.data.tags["reason"] == expected["reason"]
    assert run.data.metrics["champion_p_value"] == 0.0078125
    assert run.data.metrics["champion_difference"] == 1


@pytest.mark.parametrize("setting", ["image_size=16", "image_size=24", "resize=pad"])
def test_a_champion_of_other_test_pictures_is_scored_on_these(contest, setting):
    contest.client().set_model_version_tag("pawprint", "1", "test_accuracy", "2.0")  # would win
    contest.stage("prepare", "seed=5", setting)
    train(contest, "right")
    contest.stage("register")
    assert "accuracy 1.0000 against 0.0000" in _decision(contest)["reason"]
    assert "from which the champion may have learned" in _decision(contest)["reason"]
    assert _alias(contest, "champion") == 2


def test_not_worse_takes_an_equal_network_and_always_takes_any(contest):
    train(contest, "wrong")
    contest.stage("register", "gate=not_worse")  # eight pictures leave more than that open
    assert _decision(contest)["reason"].startswith("perhaps more than 0.01 worse than champion ver")
    assert _alias(contest, "champion") == 1
    contest.stage("register", "gate=not_worse", "gate.margin=0.5")
    assert _decision(contest)["reason"].startswith("not more than 0.5 worse than champion ver")
    assert _alias(contest, "champion") == 2
    train(contest, "right")
    contest.stage("register")
    train(contest, "wrong")
    contest.stage("register", "gate=not_worse", "gate.margin=0.9")
    assert _decision(contest)["reason"].startswith("perhaps more than 0.9 worse than champion ver")
    assert _alias(contest, "champion") == 3
    contest.stage("register", "gate=always")
    assert _decision(contest)["reason"].startswith("promoted by gate=always over champion version")
    assert _decision(contest)["difference"] == -1
    assert _alias(contest, "champion") == 4


def test_who_keeps_no_limit_is_not_champion_even_as_the_first(contest):
    for folder in ("mlruns", "models/champion"):
        shutil.rmtree(contest.root / folder)
    (contest.root / "mlflow.db").unlink()
    contest.stage("register", "gate.min_accuracy=0.5")
    assert _decision(contest)["reason"] == (
        "its test accuracy 0.0000 is below gate.min_accuracy 0.5; first version, test accuracy "
        "0.0000 on 8 pictures: challenger only"
    )
    assert _decision(contest)["champion"] is None
    assert contest.client().get_registered_model("pawprint").aliases == {"challenger": 1}
    done = _champion(contest, code=1)
    assert done.stderr.startswith("error: no champion of pawprint is registered in sqlite:")
    assert done.stderr.count("\n") == 1
    train(contest, "right")
    limits = ("gate.max_megabytes=0.0001", "gate.max_milliseconds=1e-6")
    for setting, said in zip(limits, ("MB are above", "ms for a picture are"), strict=True):
        contest.stage("register", "gate=always", setting)
        assert said in _decision(contest)["reason"]
        assert "champion" not in contest.client().get_registered_model("pawprint").aliases
    contest.stage("register", "gate.min_accuracy=1", "gate.max_milliseconds=1000")
    assert _alias(contest, "champion") == 2


def test_registering_at_once_leaves_one_champion_and_one_unbroken_line(founded, tmp_path):
    store = f"sqlite:///{tmp_path}/mlflow.db"
    shutil.copy(founded.root / "mlflow.db", tmp_path)
    kinds = ["right", "cats", "right", "cats"]
    projects = [founded.copy(tmp_path / str(place)) for place in range(len(kinds))]
    for project, kind in zip(projects, kinds, strict=True):
        train(project, kind)
    command = ("python", "-m", "pawprint", "register")
    running = [p.start(*command, MLFLOW_TRACKING_URI=store) for p in projects]
    for process in running:
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
    client = MlflowClient(store, store)
    versions = client.search_model_versions("name = 'pawprint'")
    decisions = {int(v.version): decision_in(v.tags) for v in versions}
    assert sorted(decisions) == [1, 2, 3, 4, 5]
    # In whatever order they came: each was compared with who was champion then, and the first
    # that gets all right beats version 1, after which nobody is better.
    (winner,) = [n for n, d in decisions.items() if d.promoted and n > 1]
    assert decisions[winner].difference == 1
    for number in range(2, 6):
        assert decisions[number].compared_with == (1 if number <= winner else winner)
    line = _line(projects[0], MLFLOW_TRACKING_URI=store)
    assert line == [(winner, 1, "register"), (1, None, "register")]
    assert {_answering(project) for project in projects} <= {1, winner}


def test_killed_between_alias_and_line_it_is_shown_rightly_and_mended(contest):
    train(contest, "right")
    program = (
        "import os, signal\n"
        "import pawprint.tracking.registry as registry\n"
        "registry.Registry.set_model_tag = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from pawprint.cli import main; main(['register'])"
    )
    contest.run("python", "-c", program, code=-signal.SIGKILL)
    assert _alias(contest, "champion") == 2
    assert len(contest.client().get_registered_model("pawprint").tags) == 1
    shown = json.loads(_champion(contest, "--json").stdout)
    assert [e["version"] for e in shown["line"]] == [2, 1]
    assert shown["why"] == _tags(contest, 2)["reason"]
    assert shown["since"] == _tags(contest, 2)["decided"]
    contest.stage("register")
    tags = contest.client().get_registered_model("pawprint").tags
    written = [json.loads(tags[name]) for name in sorted(tags)]
    assert written == shown["line"][::-1]


def test_the_command_champion_imports_no_tensorflow(founded):
    program = (
        "import sys, pawprint.cli as cli\n"
        "try: cli.main(['champion'])\n"
        "finally: print(sorted({'tensorflow', 'keras', 'onnxruntime'} & set(sys.modules)))"
    )
    done = founded.run("python", "-c", program)
    assert done.stdout.startswith("champion\tpawprint version 1\n")
    assert done.stdout.splitlines()[-1] == "[]"


def test_rollbacks_go_back_one_by_one_and_who_was_rolled_back_stays_out(contest):
    contest.stage("register")
    for kind in ("cats", "right"):
        train(contest, kind)
        contest.stage("register", "gate=always")
    shown = json.loads(_champion(contest, "--rollback", "--json").stdout)
    assert (shown["version"], shown["by"]) == (2, "rollback")
    assert shown["why"] == "version 3 was rolled back"
    assert shown["test_accuracy"] == 0.5
    assert _alias(contest, "champion") == 2
    assert "rolled_back" in _tags(contest, 3)
    assert _answering(contest) == 2
    _champion(contest, "--rollback")
    assert _alias(contest, "champion") == _answering(contest) == 1
    done = _champion(contest, "--rollback", code=1)
    assert done.stderr == (
        "error: version 1 of pawprint has no champion before it to go back to; promote "
        "another version with `pawprint champion --promote`\n"
    )
    contest.stage("register")  # version 3 again, which is better beyond chance
    decision = _decision(contest)
    assert decision["reason"].startswith("it was rolled back on ")
    assert "; better than champion version 1 on the same" in decision["reason"]
    assert (decision["verdict"], decision["champion"]) == ("kept", 1)
    assert _alias(contest, "champion") == 1
    assert _answering(contest) == 1
    contest.stage("register", "gate=always")
    assert _alias(contest, "champion") == _answering(contest) == 3
    plain = _champion(contest).stdout.splitlines()
    assert plain[0] == "champion\tpawprint version 3"
    assert plain[2] == "test accuracy\t1.0000"
    assert [line.split("\t")[:3] for line in plain[4:]] == [
        ["version", "from", "by"],
        ["3", "1", "register"],
        ["1", "2", "rollback"],
        ["2", "3", "rollback"],
        ["3", "2", "register"],
        ["2", "1", "register"],
        ["1", "", "register"],
    ]


def test_after_a_rollback_dvc_repro_predicts_with_the_champion_of_now(project):
    predictions = project.root / "reports/predict/predictions.csv"
    first = predictions.read_bytes()
    project.edit("params.yaml", "depth: 1", "depth: 2")
    project.edit("params.yaml", "gate: better", "gate: always")
    project.repro()
    assert _alias(project, "champion") == 2
    assert predictions.read_bytes() != first
    project.edit("params.yaml", "gate: always", "gate: better")
    assert project.repro() == ["register"]  # the decision stays: version 2 is champion already
    _champion(project, "--rollback")
    assert project.repro() == ["register", "predict"]
    assert _alias(project, "champion") == 1
    assert predictions.read_bytes() == first
    assert _decision(project)["reason"].startswith("it was rolled back on ")
    assert project.repro() == []


def _promote(project, version, *words, code=0, reason=("--reason", "faster,\n on the phone")):
    return _champion(project, "--promote", version, *reason, *words, code=code)


def test_a_challenger_is_made_champion_on_purpose_with_a_reason(contest):
    train(contest, "cats")
    said = contest.stage("register")
    way = 'challenger only; `pawprint champion --promote v2 --reason "…"` makes it champion all the'
    assert way in said.stdout + said.stderr
    kept = _decision(contest)
    assert "reason, which is recorded" in _promote(contest, "v2", code=1, reason=()).stderr
    assert _champion(contest, "--reason", "x", code=1).stderr.startswith("error: --reason is of a")
    shown = json.loads(_promote(contest, "v2", "--json").stdout)
    why = "promoted by hand: faster, on the phone"
    assert (shown["version"], shown["by"], shown["why"]) == (2, "hand", why)
    assert _line(contest) == [(2, 1, "hand"), (1, None, "register")]
    assert _alias(contest, "champion") == _answering(contest) == 2
    decision = _decision(contest)
    assert (decision["verdict"], decision["policy"]) == ("promoted", "hand")
    assert decision["reason"] == f"{why}; better had said: {kept['reason']}"
    assert decision["p_value"] == kept["p_value"]
    run = contest.client().get_run(shown["run_id"]).data.tags
    assert (run["verdict"], run["reason"]) == ("promoted", decision["reason"])
    # It stays champion, goes over it like over any other, and the gate holds it back again.
    contest.stage("register")
    assert _decision(contest) == decision
    assert json.loads(_champion(contest, "--rollback", "--json").stdout)["version"] == 1
    contest.stage("register")
    assert _decision(contest)["reason"].startswith("it was rolled back on ")


def test_killed_before_its_event_a_promotion_by_hand_is_still_one(contest):
    train(contest, "cats")
    contest.stage("register")
    program = (
        "import os, signal\n"
        "import pawprint.tracking.registry as registry\n"
        "registry.Registry.set_model_tag = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from pawprint.cli import main; main(['champion', '--promote', '2', '--reason', 'mine'])"
    )
    contest.run("python", "-c", program, code=-signal.SIGKILL)
    assert _line(contest) == [(2, 1, "hand"), (1, None, "register")]


@pytest.mark.parametrize(
    ("version", "spoil", "said"),
    [
        ("v7", None, "has no version 7 of pawprint; `mlflow ui` shows what there is"),
        ("nobody", None, "has no alias nobody of pawprint; `mlflow ui` shows what there is"),
        ("v1", None, "version 1 of pawprint is champion already"),
        ("challenger", "gone", "the network of version 2 of pawprint is gone from /"),
        ("v2", "other", "is not the network that was registered as version 2 of pawprint, but an"),
        ("v2", "broken", "is not a network that pawprint exported"),
    ],
)
def test_what_cannot_be_champion_is_not_promoted(contest, version, spoil, said):
    contest.stage("register")  # the addresses lead here now
    train(contest, "cats")
    contest.stage("register")
    source = contest.client().get_model_version("pawprint", "2").source.removeprefix("models:/")
    folder = contest.client().get_logged_model(source).artifact_location
    network = Path(folder.removeprefix("file://"), "model.onnx")
    match spoil:
        case "gone":
            network.unlink()
        case "other":
            shutil.copy(contest.root / "models/champion/model.onnx", network)
        case "broken":
            network.write_bytes(b"broken")
    done = _promote(contest, version, code=1)
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert _alias(contest, "champion") == _answering(contest) == 1
    assert _line(contest) == [(1, None, "register")]


def _predict(project, **options):
    return project.run("python", "-m", "pawprint", "predict", "unseen", "--csv", **options)


def test_a_champion_that_does_not_know_the_classes_is_told_and_no_rival(contest):
    for old, new in (("cats", "ripe"), ("dogs", "unripe")):
        (contest.root / "pictures" / old).rename(contest.root / "pictures" / new)
    contest.stage("prepare")
    assert _predict(contest).stderr == (
        f"note: pawprint version 1 has other classes than the pictures in {contest.root}/data/"
        "prepared: it does not know ripe and they have no cats; `dvc repro` takes a network of "
        "theirs to the gate, and `pawprint register gate=always` makes one champion that was kept "
        "back\n"
    )
    train(contest, "cats")
    contest.stage("register", "gate.min_accuracy=0.6")
    assert (_decision(contest)["verdict"], _answering(contest)) == ("kept", 1)
    contest.stage("register")
    assert _decision(contest)["reason"] == (
        "champion version 1 knows 0 of the 2 classes of the test pictures, not ripe, and is no "
        "rival; test accuracy 0.5000 on 8 pictures: champion"
    )
    assert _alias(contest, "champion") == _answering(contest) == 2
    assert _predict(contest).stderr == ""


def _addresses(project):
    """The addresses of artifacts in the store; those of its oldest tables first."""
    with closing(sqlite3.connect(project.root / "mlflow.db")) as store:
        return [
            row[0].removeprefix("file://")
            for table, column in (
                ("experiments", "artifact_location"),
                ("runs", "artifact_uri"),
                ("logged_models", "artifact_location"),
                ("model_versions", "storage_location"),
            )
            for row in store.execute(f"SELECT {column} FROM {table}")
        ]


def test_a_copied_or_moved_project_keeps_its_champion_and_writes_in_its_own_place(
    contest, founded, tmp_path
):
    answers, before = _predict(founded).stdout, _addresses(founded)
    shutil.rmtree(contest.root / "mlruns")  # the store alone was copied
    assert _predict(contest).stdout == answers
    done = contest.stage("register")
    told = f"artifact addresses of {contest.root}/mlflow.db still lead to {founded.root}/mlruns, "
    assert told in done.stdout + done.stderr
    contest.run("bash", "-c", re.search(r"`(cp -rn .*)`", done.stdout + done.stderr)[1])
    assert _predict(contest).stdout == answers
    train(contest, "wrong")
    done = contest.stage("register")
    assert told not in done.stdout + done.stderr
    assert all(place.startswith(f"{contest.root}/mlruns") for place in _addresses(contest))
    assert _addresses(founded) == before
    with closing(sqlite3.connect(contest.root / "mlflow.db")) as store, store:
        # as where `mlflow ui` made the store
        sql = "UPDATE experiments SET artifact_location = ? WHERE experiment_id = 0"
        store.execute(sql, [served := "mlflow-artifacts:/0"])
    moved = type(contest)(contest.root.rename(tmp_path / "moved"))
    done = _predict(moved)
    assert (done.stdout, done.stderr) == (answers, "")
    train(moved, "right")
    moved.stage("register")
    assert _decision(moved)["reason"].startswith("better than champion version 1 on the same 8 ")
    assert all(place.startswith((f"{moved.root}/mlruns", served)) for place in _addresses(moved))
    assert not contest.root.exists()


def test_a_champion_whose_network_is_gone_is_not_beaten(contest):
    contest.stage("register")  # the addresses lead here now
    answers = _predict(contest).stdout
    shutil.rmtree(contest.root / "mlruns")
    done = _predict(contest)
    assert done.stdout == answers
    gone = f"the champion of pawprint is version 1, but {contest.root}/mlruns/models/m-"
    assert done.stderr.startswith(f"note: {gone}")
    kept = f"{contest.root}/models/champion"
    assert f" is gone; the answers are of {kept}/model.onnx, pawprint version 1\n" in done.stderr
    train(contest, "cats")
    contest.stage("register")  # that file is version 1's, and compared with
    assert _decision(contest)["reason"].startswith("not told apart from champion version 1 on the")
    shutil.rmtree(kept)
    done = _predict(contest, code=1)
    assert done.stderr.startswith(f"error: {gone}")
    assert done.stderr.count("\n") == 1
    train(contest, "right")
    contest.stage("register")
    reason = _decision(contest)["reason"]
    assert reason.startswith(f"the network of champion version 1 is gone from {contest.root}/mlru")
    assert "bring it back, or promote this one with `pawprint register gate=always`; " in reason
    assert (_decision(contest)["verdict"], _alias(contest, "champion")) == ("kept", 1)
    contest.stage("register", "gate=always")
    assert _alias(contest, "champion") == _answering(contest) == 3
    assert _predict(contest).stderr == ""


@pytest.mark.parametrize("lost", ["alias", "version", "model", "store"])
def test_without_a_champion_in_the_store_its_file_answers_and_says_so(contest, lost):
    answers = _predict(contest).stdout
    client = contest.client()
    match lost:
        case "alias":
            client.delete_registered_model_alias("pawprint", "champion")
        case "version":
            client.delete_model_version("pawprint", "1")
        case "model":
            client.rename_registered_model("pawprint", "other")
        case "store":  # as in a clone, after `dvc pull`
            (contest.root / "mlflow.db").unlink()
            shutil.rmtree(contest.root / "mlruns")
    done = _predict(contest)
    assert done.stdout == answers
    nobody = f"no champion of pawprint is registered in sqlite:///{contest.root}/mlflow.db; "
    file = f"{contest.root}/models/champion/model.onnx"
    assert done.stderr == f"note: {nobody}the answers are of {file}, pawprint version 1\n"
    told = json.loads((shown := _champion(contest, "--json")).stdout)
    assert shown.stderr == done.stderr
    assert (told["version"], told["by"], told["test_accuracy"]) == (1, "register", 0)
    assert told["why"].startswith("first version, test accuracy 0.0000 on 8 pictures")
    assert (contest.root / "mlflow.db").exists() == (lost != "store")
    train(contest, "cats")
    contest.stage("register")
    assert _decision(contest)["reason"].startswith(
        f"not told apart from pawprint version 1 in {contest.root}/models/champion, which this "
    )
    assert _answering(contest) == 1
    shutil.rmtree(contest.root / "models/champion")
    way = "get models/champion, which then answers, with `dvc pull` "
    assert _champion(contest, code=1).stderr.startswith(f"error: {nobody}{way}")
    (contest.root / "dvc.lock").unlink()
    way = "`dvc repro -sf register` takes the evaluated network to the gate"
    assert _champion(contest, code=1).stderr == f"error: {nobody}{way}\n"


def test_registry_uri_says_for_all_commands_where_the_champion_is(contest, monkeypatch):
    shutil.copy(contest.root / "mlflow.db", contest.root / "other.db")
    train(contest, "right")
    contest.stage("register")
    other = f"sqlite:///{contest.root / 'other.db'}"
    model, store = "models:/pawprint@champion", f"sqlite:///{contest.root / 'mlflow.db'}"
    for address, version in (("", 2), (other, 1)):
        monkeypatch.setenv("MLFLOW_REGISTRY_URI", address)
        shown = json.loads(_champion(contest, "--json", MLFLOW_REGISTRY_URI=address).stdout)
        found = find_champion(store, "pawprint")
        assert shown["version"] == found.version == version_now(model, store)[0] == version
        assert shown["run_id"] == found.run_id


def test_without_an_evaluation_nothing_is_registered(project):
    (project.root / "reports/evaluate/evaluated.json").unlink()
    done = project.stage("register", code=1)
    assert "evaluate first" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_network_that_is_not_the_one_trained_is_neither_judged_nor_registered(project):
    network = project.root / "models/model.onnx"
    record = network.with_name("run.json")
    own = network.read_bytes(), record.read_bytes()
    train(project, "right")
    record.write_bytes(own[1])
    for stage in ("evaluate", "register"):
        assert project.stage(stage, code=1).stderr == (
            f"error: {network} is not the network that {record} tells of, but another file; "
            "`dvc repro train` brings back its own\n"
        )
    assert project.repro() == ["train", "evaluate"]
    assert (network.read_bytes(), record.read_bytes()) == own


def test_figures_of_another_network_are_not_registered(contest):
    evaluated = contest.json("reports/evaluate/evaluated.json") | {"network_sha256": "0" * 64}
    (contest.root / "reports/evaluate/evaluated.json").write_text(json.dumps(evaluated))
    done = contest.stage("register", code=1)
    assert "evaluated.json has no figures of this network on these test pictures" in done.stderr


def test_the_file_that_was_judged_is_registered_also_where_its_run_has_another(contest):
    before = contest.client().get_model_version("pawprint", "1")
    run_id = contest.json("models/run.json")["run_id"]
    train(contest, "right", run_id)
    contest.stage("register")
    version = contest.client().get_model_version("pawprint", "2")
    digest = contest.json("models/run.json")["network_sha256"]
    assert version.tags["network_sha256"] == digest
    model_id = version.source.removeprefix("models:/")
    folder = contest.client().get_logged_model(model_id).artifact_location
    file = Path(folder.removeprefix("file://"), "model.onnx")
    assert file.read_bytes() == (contest.root / "models/model.onnx").read_bytes()
    runs = {run.info.run_id: run.data for run in contest.runs()}
    assert runs[version.run_id].tags["network_sha256"] == digest
    assert runs[before.run_id].metrics["test_accuracy"] == 0  # the other run stays as it was
    assert runs[version.run_id].metrics["test_accuracy"] == 1


def test_answers_for_other_pictures_are_not_taken(founded, tmp_path):
    project = founded.copy(tmp_path / "project")
    file = project.root / "reports/evaluate/predictions.csv"
    with file.open() as opened:
        rows = list(csv.reader(opened))
    file.write_text("\n".join(",".join(row) for row in rows[:-1]))
    done = project.stage("register", code=1)
    assert "has no answers for exactly these test pictures; evaluate first" in done.stderr
    assert done.stderr.count("\n") == 1
