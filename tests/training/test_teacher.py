"""A student sees what its teacher answered, and learns it beside the labels."""

import hashlib
import json
import logging
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pawprint.config.compose import compose
from pawprint.data.store import Split
from pawprint.inference.predictor import Predictor
from pawprint.system.errors import UserError
from pawprint.training.augmentation import Augmentation
from pawprint.training.batches import TrainingBatches, balanced_weights
from pawprint.training.checkpoint import Checkpoint, identity_of
from pawprint.training.teacher import SoftTargets, Teacher, answers_of_views

SIDE = 8
NAMES = ["cats", "dogs", "newts"]
VARIED = Augmentation(
    horizontal_flip=True, rotation=20.0, shift=0.1, scale_from=0.7, colour=0.3, cutout=0.3
)


MIXED = replace(VARIED, mixup=1.0)


class StoppedError(Exception):
    """What ends a training from outside."""


def write_network(path, names, side, seed=0, resize="squash"):
    """An exported network whose answers depend on every pixel."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, 0.3 / side, (side * side * 3, len(names))).astype(np.float32)
    constants = {"shape": np.array([0, side * side * 3], np.int64), "weights": weights}
    constants["middle"] = np.array(127, np.float32)
    nodes = [
        helper.make_node("Cast", ["pictures"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["pixels", "middle"], ["signed"]),
        helper.make_node("Reshape", ["signed", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    given = helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["n", side, side, 3])
    answer = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", len(names)])
    held = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "teacher", [given], [answer], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {"class_names": json.dumps(names), "resize": resize})
    onnx.save(model, path)
    return path


@pytest.fixture
def teacher(tmp_path):
    """A function that makes a teacher: teacher(names, side, seed)."""

    def make(names=NAMES, side=SIDE, seed=0, **properties):
        path = write_network(tmp_path / f"{seed}.onnx", names, side, seed, **properties)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return Teacher(Predictor(path), digest, f"version {seed}")

    return make


def noise(count, side=SIDE):
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def soft_targets(folder, teacher, pictures, names=NAMES, vary=VARIED, views=2, weight=0.5):
    answers = answers_of_views(
        teacher, pictures, "digest", names, vary, side=SIDE, views=views, seed=3, folder=folder
    )
    return SoftTargets(answers, vary, SIDE, 3, weight=weight, temperature=1.0)


def batches_of(pictures, soft, classes=3, labels=None, vary=VARIED, **arguments):
    labels = np.arange(len(pictures)) % classes if labels is None else labels
    return TrainingBatches(pictures, labels, classes, 4, 0, vary, soft_targets=soft, **arguments)


def both_ways(teacher, pictures):
    """The mean of its answers to pictures and to their mirror images."""
    answer = teacher.predictor.probabilities
    return (answer(pictures) + answer(pictures[:, :, ::-1])) / 2


def constant(answer, count):
    answers = [np.tile(np.float32(answer), (count, 1))] * 2
    return SoftTargets(answers, Augmentation(), SIDE, 0, temperature=1.0)


@pytest.mark.parametrize("names", [NAMES[:2], NAMES])
def test_the_answers_are_those_to_the_very_pictures_that_the_student_sees(names, teacher, tmp_path):
    pictures, own = noise(10), teacher(names)
    soft = soft_targets(tmp_path, own, pictures, names, weight=1.0)
    batches = batches_of(pictures, soft, len(names))
    seen, mirrored = set(), []
    for epoch in range(3):
        for step in range(3):
            shown, targets = batches.batch(epoch, step, SIDE)
            expected = both_ways(own, shown)[:, 1 if len(names) == 2 else 0 :]
            np.testing.assert_allclose(targets[:, : expected.shape[1]], expected, atol=1e-6)
            seen |= {min(p.tobytes(), p[:, ::-1].tobytes()) for p in shown}
            mirrored += [p.tobytes() > p[:, ::-1].tobytes() for p in shown]
    assert len(seen) == 20  # two views of each picture: the third epoch shows the first again
    assert 5 < sum(mirrored) < 25


def test_a_teacher_that_answers_mirror_images_alike_is_asked_once(teacher, tmp_path, monkeypatch):
    pictures, own = noise(6), teacher()
    assert not own.mirrors
    soft = soft_targets(tmp_path, own, pictures, views=1)
    answered, whole = [], Predictor.probabilities

    def mirroring(self, pictures):
        answered.append(len(pictures))
        return (whole(self, pictures) + whole(self, pictures[:, :, ::-1])) / 2

    monkeypatch.setattr(Predictor, "probabilities", mirroring)
    alike = replace(own, digest="of one that mirrors")
    again = soft_targets(tmp_path, alike, pictures, views=1)
    assert answered == [2, 6]  # what tells, then the pictures
    np.testing.assert_allclose(again.answers[0], soft.answers[0], atol=1e-6)


def test_a_teacher_of_larger_pictures_sees_the_same_variation_in_more_pixels(teacher, tmp_path):
    pictures, own = noise(8, 16), teacher(side=24)
    batches = batches_of(pictures, soft_targets(tmp_path, own, pictures, weight=1.0))
    small, targets = batches.batch(1, 0, SIDE)
    large, same = batches.batch(1, 0, 24)
    assert (small.shape[1], large.shape[1]) == (SIDE, 24)
    np.testing.assert_array_equal(targets, same)
    np.testing.assert_allclose(targets[:, :3], both_ways(own, large), atol=1e-6)


def test_a_view_does_not_depend_on_the_order_of_the_batches(teacher, tmp_path):
    pictures = noise(8)
    soft = soft_targets(tmp_path, teacher(), pictures)
    one, other = (
        {
            min(picture.tobytes(), picture[:, ::-1].tobytes())
            for step in range(2)
            for picture in replace(batches_of(pictures, soft), seed=seed).batch(0, step, SIDE)[0]
        }
        for seed in (0, 1)
    )
    assert one == other


def test_answers_are_given_in_the_order_of_the_prepared_classes(teacher, tmp_path):
    own, pictures = teacher(NAMES[::-1]), noise(4)
    own.check(NAMES, "squash")
    soft = soft_targets(tmp_path, own, pictures, NAMES, Augmentation(), views=1)
    expected = own.predictor.probabilities(pictures)[:, ::-1]
    np.testing.assert_allclose(soft.answers[0], expected, atol=1e-6)


def test_labels_alone_are_smoothed_and_have_the_rest_of_a_target():
    soft = replace(constant([0.2, 0.8, 0.0], 1), weight=0.75, label_smoothing=0.3)
    found = soft.targets(np.float32([[1, 0, 0]]), 0, np.array([0]))
    smoothed = np.array([0.8, 0.1, 0.1])
    expected = [*(0.75 * np.array([0.2, 0.8, 0]) + 0.25 * smoothed), 1, 0, 0]
    np.testing.assert_allclose(found[0], expected, rtol=1e-6)
    two = replace(constant([0.2, 0.8], 1), weight=0.75, label_smoothing=0.3)
    found = two.targets(np.float32([[0]]), 0, np.array([0]))
    np.testing.assert_allclose(found[0], [0.75 * 0.8 + 0.25 * 0.15, 0], rtol=1e-6)


@pytest.mark.parametrize("answer", [[0.3, 0.7], [0.1, 0.2, 0.7]])
def test_answers_are_softened_as_the_softmax_of_logits_divided_by_the_temperature(answer):
    soft = replace(constant(answer, 1), weight=1.0, temperature=4.0)
    columns = 1 if len(answer) == 2 else 3
    found = soft.targets(np.zeros((1, columns), np.float32), 0, np.array([0]))[0, :columns]
    logits = np.log(answer) + 5.0  # of which a softmax knows only the differences
    expected = np.exp(logits / 4) / np.exp(logits / 4).sum()
    np.testing.assert_allclose(found, expected[-columns:], rtol=1e-5)
    certain = replace(constant([1.0, 0.0], 1), weight=1.0, temperature=4.0)
    assert 0 < certain.targets(np.zeros((1, 1), np.float32), 0, np.array([0]))[0, 0] < 0.1


@pytest.mark.parametrize("classes", [2, 3])
def test_of_a_picture_without_a_label_the_teacher_teaches_alone(classes):
    answer = [0.1, 0.7, 0.2][-classes:] if classes == 3 else [0.3, 0.7]
    labels = np.array([-1, 1, -1, 1])
    weights = np.arange(2, 2 + classes, dtype=np.float32)
    soft = replace(constant(answer, 4), label_smoothing=0.3)
    batches = batches_of(noise(4), soft, classes, labels, Augmentation(), class_weights=weights)
    _, targets, counts = batches.batch(0, 0, SIDE)
    alone = np.float32(answer[1:] if classes == 2 else answer)
    without = counts == 1
    assert sorted(counts) == [1, 1, 3, 3]
    np.testing.assert_allclose(targets[without], [[*alone, *alone]] * 2, rtol=1e-6)
    assert (targets[~without] != targets[without]).any()


def test_mixed_pictures_have_the_same_mixture_of_labels_answers_and_weights():
    labels = np.array([0, 1, 2, 0])
    mixing = Augmentation(mixup=1.0)
    soft = replace(
        constant([0, 0, 0], 4), answers=[np.eye(3, dtype=np.float32)[labels]], weight=1.0
    )
    weights = balanced_weights(labels, 3)
    batches = batches_of(noise(4), soft, 3, labels, mixing, class_weights=weights)
    _, targets, counts = batches.batch(0, 0, SIDE)
    assert ((targets > 0) & (targets < 1)).any()
    np.testing.assert_allclose(targets[:, :3], targets[:, 3:], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(counts, targets[:, 3:] @ weights, rtol=1e-6)


@pytest.mark.parametrize("answer", [[0.2, 0.8], [0.1, 0.2, 0.7]])
def test_a_student_learns_the_answers_and_its_accuracy_is_that_of_the_labels(answer, train):
    classes, count = len(answer), 24
    soft = replace(constant(answer, count), weight=1.0)
    done = train(classes=classes, counts=(count, 12), epochs=30, soft_targets=soft, dropout=0.0)
    found = done.model.predict_on_batch(done.pictures)
    expected = answer[1:] if classes == 2 else answer
    np.testing.assert_allclose(found.mean(axis=0), expected, atol=0.06)
    # All answers are the same class, which is the label of an equal share of the pictures.
    assert done.fitted.history[-1]["accuracy"] == pytest.approx(1 / classes, abs=1e-6)
    assert done.fitted.history[-1]["val_accuracy"] == pytest.approx(1 / classes, abs=1e-6)


def test_a_stopped_student_goes_on_as_if_undisturbed(train, teacher, tmp_path):
    pictures, own = noise(24), teacher()

    def run(**arguments):
        soft = soft_targets(tmp_path, own, pictures, vary=MIXED)
        return train(classes=3, vary=MIXED, soft_targets=soft, epochs=3, **arguments)

    def stop(trained, epoch):
        if epoch == 1:
            raise StoppedError

    undisturbed, checkpoint = run(), Checkpoint(tmp_path, {})
    with pytest.raises(StoppedError):
        run(checkpoint=checkpoint, report=stop)
    went_on = run(checkpoint=checkpoint, state=checkpoint.load())
    assert went_on.fitted.history == undisturbed.fitted.history
    assert len({row["loss"] for row in undisturbed.fitted.history}) == 3
    for one, other in zip(went_on.model.variables, undisturbed.model.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_answers_are_computed_once_and_a_killed_view_alone_again(
    teacher, tmp_path, caplog, monkeypatch
):
    caplog.set_level(logging.INFO)
    pictures, own, another = noise(6), teacher(), teacher(seed=1)
    answered: list[int] = []
    assert not own.mirrors
    assert not another.mirrors
    whole = Predictor.probabilities

    def counted(self, pictures):
        if len(answered) == 2:
            answered.append(0)
            raise KeyboardInterrupt
        answered.append(len(pictures))
        return whole(self, pictures)

    monkeypatch.setattr(Predictor, "probabilities", counted)
    with pytest.raises(KeyboardInterrupt):
        soft_targets(tmp_path, own, pictures, views=3)
    soft = soft_targets(tmp_path, own, pictures, views=3)
    assert answered == [6, 6, 0, 6, 6, 6, 6]
    again = soft_targets(tmp_path, own, pictures, views=2)
    assert len(answered) == 7
    for one, other in zip(again.answers, soft.answers, strict=False):
        np.testing.assert_array_equal(one, other)
    soft_targets(tmp_path, own, pictures, vary=replace(VARIED, rotation=5.0), views=1)
    soft_targets(tmp_path, another, pictures, views=1)
    assert answered[7:] == [6] * 4


@pytest.mark.parametrize(
    ("names", "properties", "said"),
    [
        (["cats", "newts", "rats"], {}, "it does not know dogs and they have no rats; set teacher"),
        (NAMES[:2], {}, "it does not know newts; set teacher to a network of theirs"),
        (NAMES, {"resize": "pad"}, "of resize=pad, but the prepared ones are of resize=squash"),
    ],
)
def test_a_teacher_of_other_classes_or_other_squares_is_refused(names, properties, said, teacher):
    with pytest.raises(UserError, match=r"^the teacher, version 0, [^\n]*$") as error:
        teacher(names, **properties).check(NAMES, "squash")
    assert said in str(error.value)


def test_a_teacher_that_was_tested_on_other_pictures_is_doubted(teacher):
    own = teacher()
    assert own.warning("0a") is None  # nothing is known
    tested = replace(own, test_digest="0a")
    assert tested.warning("0a") is None
    assert "version 0, was tested on other pictures: it may have learned" in tested.warning("1b")


def test_another_teacher_is_another_training_and_another_name_is_not(tmp_path):
    part = Split(noise(2), np.arange(2), ["a", "b"], NAMES, "digest")
    data = {"train": part, "validation": part}

    def file(name, digest):
        return Checkpoint(tmp_path, identity_of(compose([f"teacher={name}"]), data, digest)).path

    assert file("champion", "0a") == file("v3", "0a")
    assert file("champion", "0a") != file("champion", "1b")
    assert file("null", None) != file("champion", "0a")
