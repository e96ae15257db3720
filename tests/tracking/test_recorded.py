import mlflow
import pytest

from pawprint.system.errors import UserError
from pawprint.tracking import recorded
from pawprint.tracking.recorded import Records
from pawprint.tracking.store import Store

MODEL = "pawprint"


class Recorded:
    """A real store with a few runs in it."""

    def __init__(self, folder):
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.client = mlflow.MlflowClient(self.uri, self.uri)  # not an earlier test's registry
        self.experiment = self.client.create_experiment("pawprint", folder.as_uri())
        self.started = 0

    def run(self, name, metrics=None, parameters=None):
        self.started += 1000
        run = self.client.create_run(self.experiment, run_name=name, start_time=self.started)
        for key, value in (metrics or {}).items():
            self.client.log_metric(run.info.run_id, key, value)
        for key, value in (parameters or {}).items():
            self.client.log_param(run.info.run_id, key, value)
        return run.info.run_id

    @property
    def records(self):
        return Records(Store(self.client, self.uri, self.experiment), MODEL)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = Recorded(tmp_path_factory.mktemp("store"))
    store.one = store.run("first", {"test_accuracy": 0.5, "test_accuracy_low": 0.4})
    store.twins = [store.run("twin", {"test_accuracy": 0.6}) for _ in range(2)]
    store.unevaluated = store.run("not evaluated", {"val_accuracy": 0.5})
    store.last = store.run("last", {"test_accuracy": 0.7})
    store.client.create_registered_model(MODEL)
    for number, run_id in (("1", store.one), ("2", store.last)):
        made = store.client.create_model_version(MODEL, "file:///nowhere", run_id=run_id)
        assert made.version in (number, int(number))
    store.client.set_registered_model_alias(MODEL, "champion", "1")
    return store


def test_a_run_is_found_by_its_id_its_beginning_and_its_only_name(store):
    for word in (store.one, store.one[:12], store.one[:31], "first"):
        assert store.records.find(word) == store.one


def test_a_run_is_found_by_its_version_and_alias(store):
    assert store.records.find("champion") == store.records.find("v1") == store.one
    assert store.records.find("v2") == store.last


def test_less_than_four_characters_are_no_id(store):
    with pytest.raises(UserError, match=r"no run in .* is called"):
        store.records.find(store.one[:3])


def test_a_name_of_two_runs_is_refused_and_both_are_named(store):
    with pytest.raises(UserError, match="'twin' means 2 runs") as caught:
        store.records.find("twin")
    assert all(run_id[:12] in str(caught.value) for run_id in store.twins)
    assert store.one[:12] not in str(caught.value)


def test_a_beginning_of_two_ids_is_refused_and_both_are_named(tmp_path, monkeypatch):
    store = Recorded(tmp_path)
    ids = {}
    while True:  # ids are drawn at random: until two of them begin alike
        run_id = store.run("a run")
        if other := ids.get(run_id[:1]):
            break
        ids[run_id[:1]] = run_id
    monkeypatch.setattr(recorded, "SHORTEST", 1)
    with pytest.raises(UserError, match="name one by its id") as caught:
        store.records.find(run_id[:1])
    assert run_id[:12] in str(caught.value)
    assert other[:12] in str(caught.value)


def test_an_unknown_name_is_refused_and_a_close_one_is_offered(store):
    with pytest.raises(UserError, match=r"is called 'frist'.*close are") as caught:
        store.records.find("frist")
    assert f"{store.one[:12]} (first)" in str(caught.value)


def test_a_version_or_alias_that_is_not_there_is_refused_and_the_versions_are_named(store):
    for word in ("v7", "challenger"):
        with pytest.raises(UserError, match=f"pawprint has no {word} in .*v2, v1"):
            store.records.find(word)


def test_a_deleted_run_is_refused_with_the_command_that_brings_it_back(tmp_path):
    store = Recorded(tmp_path)
    run_id = store.run("gone")
    store.client.delete_run(run_id)
    with pytest.raises(UserError, match=f"mlflow runs restore --run-id {run_id}"):
        store.records.find(run_id)
    with pytest.raises(UserError, match="it has none"):
        store.records.find("gone")


def test_the_last_ones_are_the_last_evaluated_oldest_first(store):
    assert store.records.last_evaluated(2) == [store.twins[1], store.last]
    assert store.records.last_evaluated(9) == [store.one, *store.twins, store.last]


def test_a_curve_has_a_value_per_epoch_in_their_order(tmp_path):
    store = Recorded(tmp_path)
    run_id = store.run("a run")
    for epoch in (1, 2, 10, 3):
        store.client.log_metric(run_id, "val_accuracy", epoch / 100, step=epoch)
    run = store.records.read(run_id)
    assert run.curves == {"val_accuracy": [(1, 0.01), (2, 0.02), (3, 0.03), (10, 0.1)]}
    assert run.answers is None


def test_of_a_parameter_given_in_other_words_the_value_in_force_is_read(tmp_path):
    store = Recorded(tmp_path)
    run_id = store.run("a run", parameters={"width": "null", "resolved.width": "32", "depth": "2"})
    assert store.records.read(run_id).parameters == {"width": "32", "depth": "2"}


def test_the_address_of_a_run_on_a_server_holds_no_password(store):
    on_server = Store(store.client, "https://me:secret@host:5000/flow/", store.experiment)
    address = Records(on_server, MODEL).read(store.one).address
    assert address == f"https://host:5000/flow/#/experiments/{store.experiment}/runs/{store.one}"
