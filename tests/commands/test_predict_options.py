import argparse

import pytest

from pawprint.commands.predict_options import Asked, add_options, who_answers
from pawprint.system.errors import UserError


def asked(*words):
    parser = argparse.ArgumentParser()
    add_options(parser, parser)
    given = parser.parse_args(words)
    return who_answers(given.model, given.sure_precision)


def test_without_words_the_champion_answers_as_sure_as_params_yaml_says():
    assert asked() == Asked("models:/pawprint@champion", None, None)
    assert asked("--sure-precision", "0.9").sure_precision == 0.9


def test_a_registered_network_is_in_the_configured_store():
    assert asked("--model", "models:/other/3").name == "models:/other/3"
    assert asked("--model", "runs:/0123", "--sure-precision", "0.9") == Asked(
        "runs:/0123", None, 0.9
    )


def test_a_file_needs_no_project_and_obeys_no_params_yaml(monkeypatch):
    def none():
        raise AssertionError("asked for a project")

    monkeypatch.setattr("pawprint.config.compose.project_root", none)
    assert asked("--model", "mine.onnx") == Asked("mine.onnx", None, None)
    assert asked("--model", "mine.onnx", "--sure-precision", "0.9").sure_precision == 0.9


@pytest.mark.parametrize("share", ["9", "-0.1", "much"])
def test_a_share_that_is_none_is_one_sentence(share):
    with pytest.raises(UserError, match=f"^--sure-precision is {share}; give a number above 0"):
        asked("--model", "mine.onnx", "--sure-precision", share)
    with pytest.raises(UserError, match="sure_precision"):
        asked("--sure-precision", share)
