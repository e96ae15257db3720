import signal

import mlflow
import pytest
from matplotlib.figure import Figure

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
