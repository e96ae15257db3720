"""`pawprint code`: what a stage reads beside its dependencies and parameters."""

import re
from argparse import Namespace

import pytest

from pawprint.project.code import shipped_stages, write_digests
from pawprint.project.init import init_project
from pawprint.system.errors import UserError
from pawprint.system.files import sha256_of


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of one's own, as the current folder."""
    init_project(tmp_path / "mine")
    monkeypatch.chdir(tmp_path / "mine")
    return tmp_path / "mine"


def change(project, **values):
    path = project / "params.yaml"
    text = path.read_text()
    for key, value in values.items():
        text, count = re.subn(rf"(?m)^{key}:.*$", f"{key}: {value}", text)
        assert count == 1
    path.write_text(text)


def digests(project):
    """What stands in the file of each stage, after it was written anew."""
    write_digests(Namespace())
    files = {path.stem: path.read_text() for path in (project / "data" / "code").iterdir()}
    assert set(files) == set(shipped_stages())
    return files


def changed(before, after):
    return [stage for stage in shipped_stages() if before[stage] != after[stage]]


def write(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_a_stage_has_the_code_and_the_files_that_its_keys_choose(project):
    change(project, model="cnn", optimizer="sgd")
    files = digests(project)
    named = {
        stage: [line.split()[0] for line in text.splitlines()] for stage, text in files.items()
    }
    chosen = ["augment/strong", "growth/steps", "model/cnn", "optimizer/sgd", "schedule/cosine"]
    assert named["train"] == ["src/pawprint/", *(f"conf/{name}.yaml" for name in chosen)]
    assert named["register"] == ["src/pawprint/", "conf/gate/better.yaml"]
    assert named["prepare"] == ["src/pawprint/"]


def test_another_value_in_a_chosen_file_is_another_digest_and_a_comment_is_none(project):
    file = project / "conf" / "optimizer" / "muon.yaml"
    write(file, "name: muon\nlearning_rate: 0.1\n")
    before = digests(project)
    write(file, "# mine\nlearning_rate: 0.1\nname: muon\n")
    write(project / "conf" / "optimizer" / "sgd.yaml", "name: sgd\nlearning_rate: 0.1\n")
    assert digests(project) == before
    write(file, "name: muon\nlearning_rate: 0.2\n")
    assert changed(before, digests(project)) == ["train"]


@pytest.mark.parametrize("key", ["weights", "backbone"])
def test_other_content_of_a_file_that_a_choice_names_is_another_digest(project, key):
    change(project, model="mine")
    write(project / "conf/model/mine.yaml", f"name: transfer\n{key}: files/my weights.h5\n")
    weights = project / "files" / "my weights.h5"
    none = digests(project)
    write(weights, "one")
    before = digests(project)
    assert changed(none, before) == ["train"]
    assert f"\nfiles/my weights.h5 {sha256_of(weights)}\n" in before["train"]
    write(weights, "two")
    assert changed(before, digests(project)) == ["train"]


def test_a_file_that_is_not_here_is_taken_to_be_what_it_was(project):
    change(project, model="mine")
    write(project / "conf/model/mine.yaml", "name: transfer\nweights: weights.h5\n")
    write(project / "weights.h5", "one")
    before = digests(project)
    (project / "weights.h5").unlink()
    assert digests(project) == before


def test_a_file_is_not_written_where_nothing_changed(project):
    digests(project)
    file = project / "data" / "code" / "train.txt"
    before = file.stat()
    digests(project)
    assert file.stat() == before


def test_what_is_chosen_and_not_there_is_one_sentence(project):
    change(project, optimizer="mine")
    with pytest.raises(UserError, match=r"params\.yaml: optimizer has no choice 'mine'"):
        write_digests(Namespace())


def test_another_teacher_is_another_digest_and_one_that_is_gone_is_taken_to_be_what_it_was(project):
    change(project, teacher="networks/large.onnx")
    none = digests(project)
    network = project / "networks" / "large.onnx"
    write(network, "one")
    before = digests(project)
    assert changed(none, before) == ["train"]
    assert f"\nteacher networks/large.onnx {sha256_of(network)}\n" in before["train"]
    network.unlink()
    assert digests(project) == before
    write(network, "two")
    assert changed(before, digests(project)) == ["train"]


def test_pictures_without_labels_that_change_are_another_digest_for_prepare(project):
    change(project, unlabelled="more")
    none = digests(project)
    write(project / "more" / "a" / "1.jpg", "one")
    before = digests(project)
    assert changed(none, before) == ["prepare"]
    write(project / "more" / "2.jpg", "two")
    after = digests(project)
    assert changed(before, after) == ["prepare"]
    (project / "more" / "2.jpg").rename(project / "more" / "3.jpg")
    assert changed(after, digests(project)) == ["prepare"]
