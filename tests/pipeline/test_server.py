"""A tracking server that is away, or goes away."""

import re
import time

import pytest
import requests
from mlflow import MlflowClient
from servers import end, free_port, tracking_server


@pytest.mark.parametrize("how", ["variable", "choice"])
def test_a_server_that_is_not_there_is_one_sentence_soon(finished, how):
    address = f"http://127.0.0.1:{free_port()}"
    settings = ["tracking=server"] if how == "choice" else []
    begin = time.monotonic()
    done = finished.stage("evaluate", *settings, MLFLOW_TRACKING_URI=address, code=1)
    assert time.monotonic() - begin < 100  # by itself MLflow asks for some minutes
    assert re.fullmatch(
        rf"error: the tracking server {address} does not answer \(.*\); start it, or [^\n]*\n",
        done.stderr,
    )


@pytest.fixture(scope="module")
def recorded(finished, tmp_path_factory):
    """A project whose stages recorded on a server, the server's address and its process."""
    folder = tmp_path_factory.mktemp("recorded")
    project = finished.copy(folder / "project")
    with tracking_server(project, folder / "server") as (address, process):
        for stage in ("train", "evaluate", "register", "predict"):
            # What the project's own store has as champion is not better, nor worse.
            project.stage(stage, "tracking=server", "gate=always", MLFLOW_TRACKING_URI=address)
        yield project, MlflowClient(address, address), process


def test_everything_is_recorded_on_a_server(recorded):
    project, client, _ = recorded
    version = client.get_model_version_by_alias("pawprint", "champion")
    run = client.get_run(version.run_id)
    assert "test_accuracy" in run.data.metrics
    assert client.list_artifacts(run.info.run_id, "figures")
    assert len(project.runs()) == 1  # the project's own store got nothing of this


def test_mlflow_s_pages_show_the_description_with_the_confusion_matrix(recorded, chromium):
    from selenium.webdriver.support.ui import WebDriverWait

    _, client, _ = recorded
    version = client.get_model_version_by_alias("pawprint", "champion")
    experiment = client.get_run(version.run_id).info.experiment_id
    run_page = f"experiments/{experiment}/runs/{version.run_id}"
    for page in (run_page, f"models/pawprint/versions/{version.version}", "models/pawprint"):
        chromium.get("about:blank")
        chromium.get(f"{client.tracking_uri}/#/{page}")
        found = WebDriverWait(chromium, 120).until(
            lambda tab: tab.find_elements("css selector", 'img[src^="get-artifact?"]')
        )
        WebDriverWait(chromium, 60).until(
            lambda _, image=found[0]: image.get_property("naturalWidth")
        )
        shown = chromium.find_element("css selector", "body").text
        assert "28 training, 4 validation and 8 test pictures of cats, dogs" in shown, page


def test_a_new_champion_of_a_server_answers_soon_and_goes_on_without_it(recorded):
    project, client, process = recorded
    champion = client.get_model_version_by_alias("pawprint", "champion")
    command = ("python", "-m", "pawprint", "serve", "--port", "0")
    serving = project.start(*command, MLFLOW_TRACKING_URI=client.tracking_uri)
    try:
        address = re.search(r"http://\S+/", serving.stdout.readline())[0]
        assert _version(address) == int(champion.version)
        model_id = champion.source.removeprefix("models:/")
        new = client.create_model_version("pawprint", champion.source, model_id=model_id)
        client.set_registered_model_alias("pawprint", "champion", new.version)
        deadline = time.monotonic() + 300
        while _version(address) != int(new.version):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        end(process)
        assert "answers now" in serving.stdout.readline()
        assert "goes on answering: " in serving.stdout.readline()
        assert _version(address) == int(new.version)
    finally:
        serving.terminate()
        serving.communicate(timeout=300)


def _version(address):
    return requests.get(f"{address}model", timeout=300).json()["version"]


def test_training_goes_on_without_its_server_and_says_what_was_not_recorded(project, tmp_path):
    with tracking_server(project, tmp_path / "server") as (address, server):
        training = project.start(
            "python",
            "-m",
            "pawprint",
            "train",
            "epochs=8",
            "steps_per_epoch=40",
            "patience=8",
            MLFLOW_TRACKING_URI=address,
        )
        said = ""
        for line in training.stdout:
            said += line
            if line.startswith("epoch 2/8"):
                end(server)
        assert training.wait(timeout=300) == 0, said
    assert "epoch 8/8" in said
    told = re.search(rf"not recorded in {address}: metrics of steps (\d) to (\d+)(.*)", said)
    assert told, said
    assert int(told[1]) in (2, 3)
    assert "the model" in told[3]
    assert (project.root / "models/history.csv").read_text().count("\n") == 9
