"""The model card, of real answers of a made-up network to painted pictures."""

import re
from types import SimpleNamespace

import pytest
import yaml
from test_report import judged

from pawprint.data.store import SplitSummary, Summary
from pawprint.evaluation.card import model_card
from pawprint.evaluation.report import Origin, verdict

NASTY = "*cats* | `<b>`\n# _no_ [x](y)"


def _card(
    names=("cats", "dogs"),
    images="/home/me/Pet pictures",
    resize="squash",
    notes=(),
    teacher=None,
    **more,
):
    splits = {
        name: SplitSummary(pictures, dict.fromkeys(names, pictures // 2), name[0] * 64)
        for name, pictures in (("train", 1000), ("validation", 80), ("test", 160))
    }
    summary = Summary(
        images, 12, resize, "", 0, list(names), splits, "d" * 64, {}, [], [], [], **more
    )
    facts = {
        "parameters": {"model": "cnn", "depth": None, "images": images}
        | {"teacher": teacher and teacher[0], "unlabelled": summary.unlabelled},
        "data": {},
        "environment": {"git": "x"},
    }
    origin = Origin("cnn: adamw", "a" * 32, "", True, **facts, teacher=teacher)
    predictor = SimpleNamespace(
        class_names=list(names), image_size=12, resize=resize, temperature=0.5
    )
    result = judged(names)
    return result, model_card(
        result, origin=origin, summary=summary, predictor=predictor, network="e" * 64, notes=notes
    )


def test_a_hub_of_models_reads_the_header_and_every_figure_in_it():
    hub = pytest.importorskip("huggingface_hub")
    result, text = _card()
    card = hub.ModelCard(text)
    header = card.data.to_dict()
    assert header["library_name"] == "onnx"
    assert header["pipeline_tag"] == "image-classification"
    assert {"image-classification", "onnx", "pawprint", "cnn"} <= set(header["tags"])
    assert card.data.model_name == "cnn: adamw"
    found = {one.metric_type: one for one in card.data.eval_results}
    assert found["accuracy"].metric_value == pytest.approx(result.metrics["accuracy"], abs=1e-6)
    assert found["f1"].metric_value == pytest.approx(result.metrics["macro_f1"], abs=1e-6)
    for one in found.values():
        assert (one.dataset_type, one.dataset_name) == ("pet-pictures", "Pet pictures")
        assert (one.dataset_split, one.dataset_revision) == ("test", "t" * 64)
    assert yaml.safe_load(str(card.data)) == header  # written again, it is the same


def test_the_card_says_what_it_is_of_and_worth_and_how_to_use_it():
    result, text = _card(notes=["Half of the cats are drawn."])
    sections = re.findall(r"^##+ (.*)$", text, re.MULTILINE)
    assert sections == [
        *("Classes and data", "Training", "Evaluation", "Slices", "Calibration", "Limits"),
        "How to use it",
    ]
    assert verdict(result) in text
    assert (
        "\nTrained and tested on Pet pictures. Copies of one picture are in one split.\n\n|" in text
    )
    assert "/home/me" not in text  # a card is passed on
    assert "| cats | 500 | 40 | 80 |" in text
    assert "| all | 1,000 | 80 | 160 |" in text
    low, high = result.intervals["accuracy"]
    accuracy = result.metrics["accuracy"]
    assert f"| accuracy | {accuracy:.4f} | {low:.4f} to {high:.4f} |" in text
    for one in result.slices:
        assert f"| {one.kind}: {one.name} | {one.pictures} |" in text
    assert "| depth | null |" in text
    assert "- Half of the cats are drawn." in text


def test_no_name_becomes_markdown_and_no_address_with_a_password_is_told():
    _, text = _card((NASTY, "dogs"), images="https://me:secret@pets.example/pets.zip?token=1")
    header, body = text.removeprefix("---\n").split("\n---\n", 1)
    assert yaml.safe_load(header)["model-index"][0]["results"][0]["dataset"]["name"] == "pets.zip"
    assert "secret" not in text
    assert "token" not in text
    shown = r"\*cats\* &#124; \`&#60;b&#62;\`\\n# \_no\_ \[x\](y)"
    assert f"| {shown} | 500 | 40 | 80 |" in body
    assert NASTY not in body
    tables = [line for line in body.splitlines() if line.startswith("| ") and shown in line]
    assert {line.count("|") for line in tables} <= {4, 5, 6}


def test_the_card_of_a_student_says_who_taught_it_and_no_folder_of_this_machine():
    more = {
        "unlabelled": "/home/me/more",
        "unlabelled_pictures": 1200,
        "unlabelled_digest": "u" * 64,
    }
    _, text = _card(teacher=("/home/me/large.onnx", "f" * 64), **more)
    said = (
        f"learned the answers of large.onnx (sha256 `{'f' * 64}`), also to 1,200 pictures without "
        f"labels (digest `{'u' * 64}`)."
    )
    assert said in text
    assert "/home/me" not in text
    assert "learned the answers" not in _card()[1]


@pytest.mark.parametrize(("resize", "way"), [("crop", "ImageOps.fit("), ("pad", "ImageOps.pad(")])
def test_onnx_runtime_alone_makes_pictures_square_as_the_network_learned_them(resize, way):
    _, text = _card(resize=resize)
    assert way in text
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[-1]
    compile(code, "card", "exec")
    assert "import Image, ImageOps\n" in code
