"""A team: one pushes pictures and champion, a colleague clones, predicts, trains and registers."""

import json
import re
import shutil

import pytest
from conftest import Project
from crafted import train
from mlflow import MlflowClient
from servers import tracking_server

from pawprint.registry.source import champion_file

WHO = {
    f"GIT_{who}_{what}": "tester" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
}


@pytest.fixture(scope="module")
def shared(finished, tmp_path_factory):
    """A project that was pushed: git to `origin`, pictures and results to a DVC remote."""
    folder = tmp_path_factory.mktemp("team")
    project = finished.copy(folder / "first")
    folders = ("pictures", "unseen")
    project.run("git", "rm", "-rq", "--cached", *folders)
    project.run("dvc", "add", *folders)
    project.run("dvc", "remote", "add", "-d", "storage", str(folder / "storage"))
    project.run("dvc", "push")
    project.commit("a champion")
    project.run("git", "tag", "-a", "champion@v1.0.0", "-m", "the first champion", **WHO)
    project.run("git", "init", "-qb", "main", "--bare", str(folder / "origin"))
    project.run("git", "push", "-q", "--tags", str(folder / "origin"), "HEAD:main")
    return project


@pytest.fixture
def clone(shared, tmp_path):
    """A colleague's clone, pulled; the first one's folder is not there."""
    origin, away = shared.root.with_name("origin"), shared.root.with_name("away")
    shared.root.rename(away)
    colleague = Project(tmp_path / "clone")
    shared.run("git", "clone", "-qb", "main", str(origin), str(colleague.root), cwd=tmp_path)
    colleague.run("dvc", "pull")
    yield colleague
    away.rename(shared.root)


def _pawprint(project, *words, **options):
    return project.run("python", "-m", "pawprint", *words, **options)


def test_a_clone_answers_with_the_pulled_champion_and_trains_nothing(shared, clone, tmp_path):
    done = _pawprint(clone, "predict", "unseen", "--csv")
    away = shared.root.with_name("away")
    assert done.stdout == (away / "reports/predict/predictions.csv").read_text()
    answering = f"the answers are of {clone.root}/models/champion/model.onnx, pawprint version 1"
    assert done.stderr.endswith(f"mlflow.db; {answering}\n")
    assert done.stderr.count("\n") == 1
    assert _pawprint(clone, "champion").stdout.startswith("champion\tpawprint version 1\n")
    assert clone.repro() == []
    assert clone.run("git", "status", "--porcelain").stdout == ""
    assert not (clone.root / "mlflow.db").exists()
    # Nothing of what was pulled tells of the first one's machine.
    for path in ("models/run.json", "models/champion/registered.json", "dvc.lock"):
        assert str(shared.root.parent) not in (clone.root / path).read_text()
    # The model card came along, and its way without pawprint gives the same answer.
    card = _pawprint(clone, "card").stdout
    assert card == (away / "reports/evaluate/model_card.md").read_text()
    assert _pawprint(clone, "card", "champion", "-o", "card.md").stdout == ""
    assert (clone.root / "card.md").read_text() == card
    assert (
        "models is a folder; name a file" in _pawprint(clone, "card", "-o", "models", code=1).stderr
    )
    said = _pawprint(clone, "card", "v1", code=1).stderr
    assert "mlflow.db has no run yet; `dvc repro -sf evaluate register` records" in said
    picture = min((clone.root / "unseen").iterdir())
    code = re.findall(r"```python\n(.*?)```", card, re.DOTALL)[-1].replace("cat.jpg", str(picture))
    said = clone.run("python", "-c", code, cwd=clone.root / "models/champion").stdout
    answer = json.loads(_pawprint(clone, "predict", str(picture), "--json").stdout)[0]
    name, probability = said.split()
    assert name == answer["label"]
    assert float(probability) == pytest.approx(answer["probability"], abs=1e-4)
    # The champion alone, by its tag, without the rest.
    origin = str(shared.root.with_name("origin"))
    clone.run("dvc", "artifacts", "get", origin, "champion", "-o", "got", cwd=tmp_path)
    assert champion_file(tmp_path / "got", "pawprint").version == 1
    assert (tmp_path / "got/README.md").read_text() == card


def test_without_a_shared_store_a_new_network_has_to_beat_the_pulled_champion(clone):
    train(clone, "right")
    clone.stage("register")
    (version,) = clone.client().search_model_versions("name = 'pawprint'")
    rival = f"pawprint version 1 in {clone.root}/models/champion, which this registry does not have"
    assert rival in version.tags["reason"]
    assert version.tags["verdict"] == "kept"  # eight pictures leave chance room
    said = _pawprint(clone, "champion", "--promote", "challenger", "--reason", "ours").stdout
    assert said.startswith("champion\tpawprint version 1\n")
    assert champion_file(clone.root / "models/champion", "pawprint").run_id == version.run_id
    assert _pawprint(clone, "predict", "unseen", "--csv").stderr == ""


def test_with_a_shared_server_a_changed_parameter_meets_its_champion(shared, clone, tmp_path):
    first = Project(shutil.copytree(shared.root.with_name("away"), tmp_path / "first"))
    with tracking_server(first, tmp_path / "server") as (address, _):
        server = {"MLFLOW_TRACKING_URI": address}
        client = MlflowClient(address, address)
        # The first one's champion, of its own store until now, goes to the server.
        first.stage("register", **server)
        champion = client.get_model_version_by_alias("pawprint", "champion")
        assert int(champion.version) == 1
        assert "figures/confusion_matrix.png" in champion.description
        figures = client.list_artifacts(champion.run_id, "figures")
        assert "figures/confusion_matrix.png" in {file.path for file in figures}
        # The colleague's clone answers with it, and trains what a changed parameter needs.
        assert _pawprint(clone, "predict", "unseen", "--csv", **server).stderr == ""
        assert clone.repro(**server) == []
        clone.edit("params.yaml", "epochs: 2", "epochs: 1")
        ran = clone.repro(**server)
        assert ran[:3] == ["train", "evaluate", "register"]
        challenger = client.get_model_version_by_alias("pawprint", "challenger")
        assert int(challenger.version) == 2
        assert challenger.tags["compared_with"] == "1"
        assert "champion version 1 on the same 8 test pictures" in challenger.tags["reason"]
        # The first one promotes it; the colleague's project knows without another training.
        _pawprint(first, "champion", "--promote", "v2", "--reason", "smaller", **server)
        shown = json.loads(_pawprint(clone, "champion", "--json", **server).stdout)
        assert (shown["version"], shown["by"]) == (2, "hand")
        assert champion_file(first.root / "models/champion", "pawprint").version == 2
    assert not (clone.root / "mlflow.db").exists()
