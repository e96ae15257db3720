"""The help of stages."""

import dataclasses

import pytest

from pawprint import cli
from pawprint.commands.stage import keys
from pawprint.config.compose import compose
from pawprint.config.schema import DESCRIPTION, Config


def helped(capsys, *words):
    with pytest.raises(SystemExit) as ended:
        cli.main([*words])
    assert not ended.value.code
    return capsys.readouterr().out


def rows(text):
    """The first line of each key, by its name."""
    lines = text.partition("keys, each with its value now")[2].splitlines()[1:]
    return {line.split()[0]: line for line in lines if line[2] != " "}


def test_every_key_of_the_schema_has_a_description():
    def fields(kind, prefix=""):
        for field in dataclasses.fields(kind):
            yield f"{prefix}{field.name}", field
            if dataclasses.is_dataclass(field.default_factory):
                yield from fields(field.default_factory, f"{field.name}.")

    found = dict(fields(Config))
    assert len(found) > 80
    for name, field in found.items():
        text = field.metadata.get(DESCRIPTION, "")
        assert len(text) >= 5, name
        assert text[-1] not in ".…", name


@pytest.mark.parametrize("stage", ["prepare", "train", "suspects"])
def test_each_key_is_listed_with_its_value_now_and_fits(capsys, stage):
    text = helped(capsys, stage, "depth=3", "recipe=article", "--help")
    assert text.startswith(f"usage: pawprint {stage} [key=value ...] [option ...]\n")
    assert max(map(len, text.splitlines())) <= 100
    found = rows(text)
    config = compose(["depth=3", "recipe=article"])
    names = [name for name, *_ in keys(config)]
    assert set(names) <= set(found)
    for key, value in (("depth", "3"), ("model", "article"), ("mirror", "false")):
        assert found[key].split()[1] == value
    assert found["patience"].split()[1] == "25"
    assert found["learning_rate"].split()[1] == "null"
    assert "${" not in text.partition("keys, each")[2]


def test_choices_and_ranges_are_told(capsys):
    text = " ".join(helped(capsys, "train", "--help").split())
    assert "pixels; at least 8 and at most 1024" in text
    assert "one of squash, crop, pad" in text
    assert "one of adadelta, adam, adamw, muon, rmsprop, sgd" in text
    assert "one of article, fast, fine_tune, long, none, student, transfer" in text
    assert "one of basic, joblib, ray, submitit" in text
    assert "one of basic, grid, optuna" in text
    for option in ("-m", "--cfg", "--resolve", "--info", "-sc", "--augment-preview"):
        assert f" {option}" in text
    assert "config_path" not in text


def test_only_train_offers_what_is_of_sweeps(capsys):
    text = helped(capsys, "prepare", "--help")
    for word in ("--multirun", "--augment-preview", "hydra/launcher"):
        assert word not in text


def test_a_sweeper_of_ones_own_is_the_value_now(capsys):
    found = rows(helped(capsys, "train", "hydra/sweeper=optuna", "--help"))
    assert found["hydra/sweeper"].split()[1] == "optuna"


def test_a_long_value_has_a_line_of_its_own(capsys):
    text = helped(capsys, "prepare", f"images=/{'x' * 60}", "--help")
    line, following = text[text.index("  images ") :].splitlines()[:2]
    assert line.split() == ["images", f"/{'x' * 60}"]
    assert following.strip().startswith("class folders")


def test_predict_tells_of_its_stage_and_of_pictures(capsys):
    text = helped(capsys, "predict", "--help")
    assert text.startswith("usage: pawprint predict PATH ... [key=value ...] [option ...]\n")
    flat = " ".join(text.split())
    assert "Without a PATH it is the stage" in flat
    assert "reports/predict/predictions.csv" in flat
    assert "A file that exists is a PATH" in flat
    assert "--threshold P" in text
    assert rows(text)["sure_precision"].split()[1] == "null"
