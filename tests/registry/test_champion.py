"""Changing the champion in a real registry, on SQLite."""

import re
import shutil

import pytest

from pawprint.commands.champion import print_tables
from pawprint.registry import champion
from pawprint.registry.champion import decide_and_record, roll_back
from pawprint.registry.description import describe
from pawprint.registry.gate import KEPT, PROMOTED, Decision, decision_in
from pawprint.registry.history import events_of, read_history, repair_history
from pawprint.registry.source import champion_file
from pawprint.system.errors import UserError


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """The file of a store without a model; for reading only."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    with pytest.MonkeyPatch.context() as monkeypatch:
        _connect(path, monkeypatch)
    return path


def _connect(path, monkeypatch):
    from pawprint.tracking.store import connect

    address = f"sqlite:///{path}"
    for kind in ("TRACKING", "REGISTRY"):  # MLflow sets them for the whole process
        monkeypatch.setenv(f"MLFLOW_{kind}_URI", address)
    return connect(address, "pawprint")


@pytest.fixture
def registry(empty, tmp_path, monkeypatch):
    """A registry of three versions, whose files are there, without a champion."""
    from pawprint.tracking.registry import Registry

    shutil.copy(empty, tmp_path / "mlflow.db")
    store = _connect(tmp_path / "mlflow.db", monkeypatch)
    store.client.create_registered_model("pawprint")
    for number in (1, 2, 3):
        folder = tmp_path / f"model {number}"
        folder.mkdir()
        (folder / "model.onnx").write_bytes(b"a network")
        store.client.create_model_version("pawprint", folder.as_uri())
    return Registry(store.client, store.uri, "pawprint")


@pytest.fixture
def settle(registry, monkeypatch):
    """Records a decision on a version, made from who is champion; all of them are promoted."""

    def settle(number, decide=None, verdict=PROMOTED):
        def decision(_registry, _version, champion, _history, _challenger):
            if decide is not None:
                return decide(champion)
            number = champion.number if champion else None
            return Decision(verdict, f"beside {number}", "better", compared_with=number)

        with monkeypatch.context() as patch:
            patch.setattr(champion, "decide", decision)
            outcome = decide_and_record(registry, registry.version(number), None)
        assert outcome.version == number
        return outcome.decision, outcome.champion

    return settle


def _events(registry):
    return events_of(registry.model_tags())


def _steps(registry):
    return [(e.version, e.by, e.before) for e in _events(registry)]


def test_a_kept_version_changes_neither_champion_nor_history(registry, settle):
    settle(1)
    decision, number = settle(2, verdict=KEPT)
    assert number == registry.champion().number == 1
    assert decision_in(registry.version(2).tags) == decision
    assert _steps(registry) == [(1, "register", None)]


def test_a_champion_that_changes_during_the_comparison_is_compared_with_anew(registry, settle):
    settle(1)
    seen = []

    def decide(champion):
        seen.append(champion.number)
        if len(seen) == 1:  # another process on a server, which no lock keeps waiting
            settle(2)
        return Decision(PROMOTED, f"beside {champion.number}", "better")

    decision, number = settle(3, decide)
    assert seen == [1, 2]
    assert (decision.reason, number) == ("beside 2", 3)
    assert registry.version(3).tags["reason"] == "beside 2"
    assert _steps(registry) == [(1, "register", None), (2, "register", 1), (3, "register", 2)]


def test_what_an_earlier_decision_rested_on_does_not_stay_in_the_tags(registry, settle):
    settle(1)
    settle(2, verdict=KEPT)
    assert registry.version(2).tags["compared_with"] == "1"
    settle(2, lambda _: Decision(KEPT, "alone", "better"))
    assert "compared_with" not in registry.version(2).tags


def test_a_decision_comes_back_from_its_tags_with_its_types(registry):
    decision = Decision(PROMOTED, "5", "better", "2026", 1, 1, 8, 6, 0, 0.75, 0.5, 1.0, 1e-05)
    registry.set_tags(registry.version(1), decision.as_tags())
    assert decision_in(registry.version(1).tags) == decision


def test_rolling_back_writes_the_network_and_changes_the_registry(registry, settle, tmp_path):
    for number in (1, 2, 3):
        settle(number)
    event = roll_back(registry, tmp_path / "champion")
    assert registry.champion().number == 2
    assert champion_file(tmp_path / "champion", "pawprint").version == 2
    assert _events(registry)[-1] == event
    assert (event.version, event.by, event.before) == (2, "rollback", 3)


@pytest.mark.parametrize("gone", ["its network is gone from", "that version was deleted"])
def test_an_earlier_champion_that_is_gone_is_not_gone_back_to(registry, settle, tmp_path, gone):
    settle(1)
    settle(2)
    if "network" in gone:
        shutil.rmtree(tmp_path / "model 1")
        gone += f" {tmp_path / 'model 1'}"
    else:
        registry.client.delete_model_version("pawprint", "1")
    said = re.escape(f"version 1 of pawprint was champion before version 2, but {gone}; give the ")
    with pytest.raises(UserError, match=said):
        roll_back(registry, tmp_path / "champion")
    assert registry.champion().number == 2
    assert len(_events(registry)) == 2
    assert not (tmp_path / "champion").exists()


def test_without_any_champion_there_is_nothing_to_go_back_from(registry, tmp_path):
    with pytest.raises(UserError, match="no champion of pawprint is registered in sqlite:"):
        roll_back(registry, tmp_path / "champion")


def test_a_rollback_killed_before_its_event_counts_once_it_is_repaired(registry, settle, tmp_path):
    for number in (1, 2, 3):
        settle(number)
    registry.set_alias("champion", 2)
    shown = read_history(registry, registry.champion())
    assert len(_events(registry)) == 3
    assert (shown[-1].version, shown[-1].by, shown[-1].before) == (2, "rollback", 3)
    repair_history(registry, registry.champion())
    assert _steps(registry)[-1] == (2, "rollback", 3)
    repair_history(registry, registry.champion())
    assert len(_events(registry)) == 4
    roll_back(registry, tmp_path / "champion")
    assert registry.champion().number == 1


def test_an_alias_set_by_hand_joins_the_history_and_can_be_gone_back_from(
    registry, settle, tmp_path
):
    settle(1)
    registry.set_alias("champion", 3)
    assert roll_back(registry, tmp_path / "champion").before == 3
    assert _steps(registry) == [(1, "register", None), (3, "hand", 1), (1, "rollback", 3)]


def test_tags_of_class_names_that_mlflow_does_not_take_are_set_all_the_same(registry):
    name = "test_recall_hunde & katzen" + "x" * 300
    registry.set_tags(registry.version(1), {name: 0.5})
    registry.set_tags(registry.version(1), {name: 0.75})
    assert list(registry.version(1).tags.values()) == ["0.75"]


def _descriptions(registry, run_id):
    client, number = registry.client, registry.champion().number
    return [
        client.get_registered_model("pawprint").description,
        client.get_model_version("pawprint", str(number)).description,
        client.get_run(run_id).data.tags["mlflow.note.content"],
    ]


def test_descriptions_follow_what_is_recorded_until_a_person_writes_one(registry, settle, tmp_path):
    client = registry.client
    run = client.create_run("0", run_name="a run")
    for key, value in (("model", "cnn"), ("images", "my_pets|x"), ("epochs", 2)):
        client.log_param(run.info.run_id, key, value)
    client.create_model_version("pawprint", (tmp_path / "model 1").as_uri(), run.info.run_id)
    settle(4)
    version = registry.version(4)
    tags = {"test_accuracy": 0.9, "test_accuracy_low": 0.8, "test_accuracy_high": 0.95}
    counts = {"train_pictures": 28, "validation_pictures": 4, "test_pictures": 8}
    registry.set_tags(version, tags | counts | {"class_names": "cats, dogs", "data_digest": "ab"})
    describe(registry, version, 4)
    written = _descriptions(registry, run.info.run_id)
    for text in written:
        assert "**cnn**" in text
        assert (
            r"trained on **my\_pets&#124;x**: 28 training, 4 validation and 8 test pictures" in text
        )
        assert "of cats, dogs (digest ab)." in text
        assert "\n| accuracy | 0.9000 | 0.8000 to 0.9500 |\n" in text
        assert "**Promoted** (better): beside None." in text
        image = f"(get-artifact?path=figures/confusion_matrix.png&run_uuid={run.info.run_id})"
        assert image in text
    assert written[0].startswith("Champion is version 4.\n\n")
    # Ours are written anew; one that a person edited, or wrote, stays.
    client.update_model_version("pawprint", "4", written[1].replace("cats", "CATS"))
    client.set_tag(run.info.run_id, "mlflow.note.content", "mine")
    registry.set_tags(version, {"test_accuracy": 0.5})
    describe(registry, version, 4)
    model, edited, mine = _descriptions(registry, run.info.run_id)
    assert "| accuracy | 0.5000 |" in model
    assert edited == written[1].replace("cats", "CATS")
    assert mine == "mine"


def test_the_table_shows_the_whole_line_newest_first(capsys):
    line = [
        {"version": 2, "from": 1, "by": "register", "at": "2026-01-02", "why": "better [by] far"},
        {"version": 1, "from": None, "by": "register", "at": "2026-01-01", "why": "first"},
    ]
    facts = {"model": "pawprint", "version": 2, "since": "2026-01-02", "why": "better [by] far"}
    print_tables(facts | {"test_accuracy": 0.945, "line": line})
    said = capsys.readouterr().out
    assert "pawprint version 2 is champion since 2026-01-02, test accuracy 0.9450" in said
    assert said.count("better [by] far") == 2
    assert said.index("2026-01-02") < said.index("2026-01-01")
