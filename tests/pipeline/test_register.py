"""Challenger and champion, with a real registry."""

import json
import secrets

import pytest


def _another_training(project, accuracy):
    """Let the files look like another training: another run id, this accuracy."""
    record = project.json("models/run.json")
    record["run_id"] = secrets.token_hex(16)
    (project.root / "models/run.json").write_text(json.dumps(record))
    digest = project.json("data/prepared/summary.json")["splits"]["test"]["digest"]
    evaluated = {"run_id": record["run_id"], "test_digest": digest}
    (project.root / "reports/evaluate/evaluated.json").write_text(json.dumps(evaluated))
    metrics = project.json("reports/evaluate/metrics.json") | {"test_accuracy": accuracy}
    (project.root / "reports/evaluate/metrics.json").write_text(json.dumps(metrics))


def _alias(project, name):
    return int(project.client().get_model_version_by_alias("pawprint", name).version)


def test_registering_the_same_run_again_makes_no_second_version(project):
    project.stage("register")
    versions = project.client().search_model_versions("name = 'pawprint'")
    assert [int(v.version) for v in versions] == [1]


@pytest.mark.parametrize(("accuracy", "champion"), [(2.0, 2), (-1.0, 1)])
def test_only_a_more_accurate_model_becomes_champion(project, accuracy, champion):
    _another_training(project, accuracy)
    project.stage("register")
    assert _alias(project, "challenger") == 2
    assert _alias(project, "champion") == champion
    decision = project.json("models/registered.json")
    assert decision["promoted"] == (champion == 2)
    version = project.client().get_model_version("pawprint", "2")
    assert version.tags["reason"] == decision["reason"]


@pytest.mark.parametrize("setting", ["image_size=16", "image_size=24", "resize=pad"])
def test_a_champion_of_other_test_pictures_is_scored_again_on_these(project, setting):
    client = project.client()
    client.set_model_version_tag("pawprint", "1", "test_accuracy", "2.0")  # would win unseen
    project.stage("prepare", "seed=5", setting)
    _another_training(project, 1.5)
    project.stage("register")
    assert "scored again" in project.json("models/registered.json")["reason"]
    assert _alias(project, "champion") == 2


def test_without_an_evaluation_nothing_is_registered(project):
    (project.root / "reports/evaluate/metrics.json").unlink()
    done = project.stage("register", code=1)
    assert "evaluate first" in done.stderr
    assert done.stderr.count("\n") == 1
