import signal

import mlflow
import pytest
from matplotlib.figure import Figure

from pawprint.tracking.names import class_names_tag
from pawprint.tracking.run import Run


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    return mlflow.MlflowClient(f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}")


@pytest.fixture
def run(client, tmp_path):
    experiment = client.create_experiment(tmp_path.name, tmp_path.as_uri())
    return Run(client, "sqlite://", client.create_run(experiment).info.run_id)


@pytest.fixture(autouse=True)
def listening():
    """SIGINT as Python has it, also where this process was started to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Interrupted(Figure):
    """A figure at whose drawing Ctrl-C is pressed."""

    times = 1

    def savefig(self, *given, **more):
        for _ in range(self.times):
            signal.raise_signal(signal.SIGINT)
        super().savefig(*given, **more)


def test_ctrl_c_waits_until_what_is_being_recorded_is_recorded(client, run):
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run.log_figure(Interrupted(), "a.png")
    assert [file.path for file in client.list_artifacts(run.id)] == ["a.png"]
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_second_ctrl_c_does_not_wait(client, run):
    figure = Interrupted()
    figure.times = 2
    with pytest.raises(KeyboardInterrupt):
        run.log_figure(figure, "a.png")
    assert client.list_artifacts(run.id) == []


def test_a_model_of_a_run_that_ended_early_is_not_kept_beside_the_one_of_its_end(client, run):
    experiment = client.get_run(run.id).info.experiment_id
    other = Run(client, "sqlite://", client.create_run(experiment).info.run_id)
    _, kept = (client.create_logged_model(experiment, "model", one.id) for one in (run, other))
    run.reopen()
    (left,) = client.search_logged_models([experiment])
    assert left.model_id == kept.model_id


def test_figures_are_set_and_not_added(client, run):
    def points(name):
        return [(p.step, p.value) for p in client.get_metric_history(run.id, name)]

    for _ in range(2):
        again = Run(client, "sqlite://", run.id)  # as another process has it
        for _ in range(2):
            again.log_metrics({"test_accuracy": 0.5, "recall_a": 0.25})
    assert points("test_accuracy") == [(0, 0.5)]
    again.log_metrics({"test_accuracy": 0.75, "recall_a": 0.25})
    assert again.metrics == {"test_accuracy": 0.75, "recall_a": 0.25}
    assert points("recall_a") == [(0, 0.25)]


def test_what_is_recorded_of_an_epoch_is_not_recorded_again_by_a_run_that_goes_on(client, run):
    for epoch in (1, 2):
        run.log_metrics({"loss": 1 / epoch, "seconds": epoch}, step=epoch)
    again = Run(client, "sqlite://", run.id)
    again.reopen()
    for epoch in (1, 2, 3):
        again.log_metrics({"loss": 1 / epoch, "seconds": 9.0}, step=epoch)
    points = client.get_metric_history(run.id, "seconds")
    assert [(p.step, p.value) for p in points] == [(1, 1), (2, 2), (3, 9)]


def test_many_long_class_names_stand_whole_in_their_tag_and_the_rest_is_counted(
    client, run, recwarn, caplog
):
    names = [f"{n:03} {'a class of a long name ' * 5}" for n in range(150)]
    tag = class_names_tag(names)
    run.set_tags({"class_names": tag})
    assert client.get_run(run.id).data.tags["class_names"] == tag
    shown = tag.split(", ")
    assert shown[:-1] == names[: len(shown) - 1]
    assert shown[-1] == f"and {150 - len(shown) + 1} more"
    assert len(shown) > 30
    assert class_names_tag(["cats", "dogs"]) == "cats, dogs"
    assert [str(w.message) for w in recwarn] + caplog.messages == []
