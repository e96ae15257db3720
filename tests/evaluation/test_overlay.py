import keras
import numpy as np
import pytest

from pawprint.evaluation.overlay import overlay, spread
from pawprint.export.onnx import export_onnx
from pawprint.inference.predictor import Explainer, Predictor
from pawprint.models.build import build_model
from pawprint.models.head import loss_for
from pawprint.training.loop import seed_everything

SIDE = 64
COLOURS = np.array([[230, 40, 40], [40, 40, 230], [40, 230, 40]])


def test_what_speaks_against_the_answer_and_what_all_places_say_is_not_shown():
    place_map = np.full((8, 8), 3.0, np.float32)
    assert spread(place_map, 32).max() == 0
    place_map[0, 0], place_map[7, 7] = 5.0, -9.0
    shown = spread(place_map, 32)
    assert shown.shape == (32, 32)
    assert shown[:4, :4].max() == 1
    assert shown[16:].max() == 0


def test_a_drawing_is_coloured_where_the_map_speaks_and_grey_elsewhere():
    picture = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    place_map = np.zeros((8, 8), np.float32)
    place_map[:2, :2] = 1
    drawn = overlay(picture, place_map)
    assert (drawn.shape, drawn.dtype) == ((160, 160, 3), np.uint8)
    assert np.ptp(drawn[100:], axis=2).max() == 0
    assert np.ptp(drawn[:20, :20].astype(int), axis=2).min() > 50


def corners(count, classes, seed, empty=0.0):
    """Pictures with a disc of the class's colour in the upper left quarter, nothing elsewhere.

    A share of them is ``empty`` under any label, so that a class must be seen, and cannot be
    concluded from the absence of another.
    """
    random = np.random.default_rng(seed)
    ground = random.integers(70, 186, (count, 1, 1, 3))
    pictures = ground + random.normal(0, 12, (count, SIDE, SIDE, 3))
    labels = random.integers(0, classes, count)
    side = SIDE // 4
    disc = np.hypot(*(np.mgrid[:side, :side] - (side - 1) / 2)) < side / 2
    for picture, label in zip(pictures, labels, strict=True):
        if random.random() >= empty:
            down, across = random.integers(0, side + 1, 2)
            picture[down : down + side, across : across + side][disc] = COLOURS[label]
    return np.clip(pictures, 0, 255).astype(np.uint8), labels


@pytest.mark.parametrize(
    ("name", "depth", "width", "classes"),
    [("article", 2, 8, 2), ("cnn", 3, 16, 3), ("resnet", 3, 16, 2), ("resnet", 3, 8, 3)],
)
def test_most_of_what_is_shown_lies_where_the_class_lies(tmp_path, name, depth, width, classes):
    seed_everything(0)
    model = build_model(name, SIDE, classes, depth=depth, width=width, dense_units=32, dropout=0.0)
    pictures, labels = corners(600, classes, seed=0, empty=0.3)
    targets = labels[:, np.newaxis] if classes == 2 else np.eye(classes)[labels]
    model.compile(keras.optimizers.Adam(3e-3), loss_for(classes))
    model.fit(pictures, targets.astype("float32"), batch_size=32, epochs=12, verbose=0)
    path = tmp_path / "model.onnx"
    names = [str(index) for index in range(classes)]
    export_onnx(model, path, names, pictures[:4])
    unseen, truth = corners(60, classes, seed=1)
    assert (Predictor(path).probabilities(unseen).argmax(axis=1) == truth).mean() > 0.9
    shares = []
    for place_map in Explainer(path).maps(unseen):
        shown = spread(place_map, SIDE)
        shares.append(shown[: SIDE // 2, : SIDE // 2].sum() / shown.sum())
    assert np.mean(shares) >= 0.8
