"""What `pawprint pipeline` gives to `dvc exp run -S`: it says the same, within params.yaml."""

import shutil

import pytest

from pawprint.config.compose import compose, project_root, read_settings
from pawprint.stages.pipeline import dvc_settings, params_words


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a recipe of its own, as the current folder."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(project_root() / name, tmp_path)
    file = tmp_path / "conf" / "recipe" / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("epochs: 5\nmodel: transfer\nmodel.unfreeze: 0.5\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


WRITTEN_OUT = ["recipe=none", "model=transfer", "model.unfreeze=0.5", "epochs=3"]


@pytest.mark.parametrize(
    ("words", "of_none", "of_mine"),
    [
        ([], [], []),
        (["seed=1"], ["seed=1"], ["seed=1"]),
        (["recipe=mine"], ["recipe=mine"], ["recipe=mine"]),
        (["recipe=none"], ["recipe=none"], ["recipe=none"]),
        (["seed=2", "recipe=mine", "seed=1"], ["recipe=mine", "seed=1"], ["recipe=mine", "seed=1"]),
        (["recipe=mine", "epochs=3"], WRITTEN_OUT, WRITTEN_OUT),
        (["epochs=3"], ["epochs=3"], WRITTEN_OUT),
        (["model=cnn"], ["model=cnn"], ["recipe=none", "epochs=5", "model=cnn"]),
    ],
)
def test_a_recipe_is_named_or_where_something_of_it_is_set_otherwise_written_out(
    project, words, of_none, of_mine
):
    assert params_words(project, read_settings(project, words)) == of_none
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("recipe: none", "recipe: mine"))
    assert params_words(project, read_settings(project, words)) == of_mine


def test_a_value_within_a_choice_goes_into_the_file_that_the_recipe_chooses(project):
    words = ["recipe=mine", "model.head_rate=0.5"]
    given = params_words(project, read_settings(project, words))
    settings = dvc_settings(project, given, compose(words).flat())
    assert settings == ["-S", "recipe=mine", "-S", "conf/model/transfer.yaml:head_rate=0.5"]
