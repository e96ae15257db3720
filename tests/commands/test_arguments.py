import argparse

import pytest

from pawprint.commands.arguments import NetworkChoice, add_network, choose_network, tool_parser
from pawprint.commands.table import CHAMPION, COMPARE
from pawprint.system.errors import UserError


def chosen(*words):
    parser = argparse.ArgumentParser()
    add_network(parser, parser)
    given = parser.parse_args(words)
    return choose_network(given.model, given.sure_precision)


def test_without_words_the_champion_answers_as_sure_as_params_yaml_says():
    assert chosen() == NetworkChoice("models:/pawprint@champion", None, None)
    assert chosen("--sure-precision", "0.9").sure_precision == 0.9


def test_a_registered_network_is_in_the_configured_store():
    assert chosen("--model", "models:/other/3").name == "models:/other/3"
    assert chosen("--model", "runs:/0123", "--sure-precision", "0.9") == NetworkChoice(
        "runs:/0123", None, 0.9
    )


def test_a_file_needs_no_project_and_obeys_no_params_yaml(monkeypatch):
    def none():
        raise AssertionError("looked for a project")

    monkeypatch.setattr("pawprint.config.compose.project_root", none)
    assert chosen("--model", "mine.onnx") == NetworkChoice("mine.onnx", None, None)
    assert chosen("--model", "mine.onnx", "--sure-precision", "0.9").sure_precision == 0.9


@pytest.mark.parametrize("share", ["9", "-0.1", "much"])
def test_a_share_that_is_none_is_one_sentence(share):
    with pytest.raises(UserError, match=f"^--sure-precision is {share}; give a number above 0"):
        chosen("--model", "mine.onnx", "--sure-precision", share)
    with pytest.raises(UserError, match="sure_precision"):
        chosen("--sure-precision", share)


def test_the_help_of_a_tool_says_of_which_keys_it_takes_settings():
    assert "a key of tracking" in tool_parser(COMPARE).format_help()
    assert "any key of params.yaml" in tool_parser(CHAMPION).format_help()
