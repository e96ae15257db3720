"""Classes that are each other's mirror images are told, and others are not."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pawprint.stages.sample import draw_picture
from pawprint.training.mirror_images import find_mirrored, warning_of_mirroring

NAMES = ["down", "left", "right", "up"]
ARROW = np.array([(-1, -0.2), (0.2, -0.2), (0.2, -0.6), (1, 0), (0.2, 0.6), (0.2, 0.2), (-1, 0.2)])
TURNS = {"right": (1, 0), "left": (-1, 0), "down": (0, 1), "up": (0, -1)}


def arrow(kind, rng, side=64):
    """An arrow of any colour, place and size, a little tilted, on any ground."""
    ground, colour = (tuple(rng.integers(0, 256, 3).tolist()) for _ in range(2))
    image = Image.new("RGB", (side, side), ground)
    size = rng.uniform(0.25, 0.45) * side
    x, y = TURNS[kind]
    tilt = rng.uniform(-0.2, 0.2)
    turn = np.array([[x, -y], [y, x]]) @ [
        [np.cos(tilt), -np.sin(tilt)],
        [np.sin(tilt), np.cos(tilt)],
    ]
    corners = ARROW @ turn.T * size / 2 + rng.uniform(size / 2, side - size / 2, 2)
    ImageDraw.Draw(image).polygon([tuple(corner) for corner in corners], fill=colour)
    noisy = np.asarray(image) + rng.normal(0, 8, (side, side, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def arrows(names, each):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(names)), each)
    return np.stack([arrow(names[label], rng) for label in labels]), labels


def settings(flip, mirror):
    return SimpleNamespace(augment=SimpleNamespace(horizontal_flip=flip), mirror=mirror)


@pytest.mark.parametrize("each", [60, 200])
def test_arrows_to_the_left_and_to_the_right_are_found(each):
    pictures, labels = arrows(NAMES[1:3], each)
    assert find_mirrored(pictures, labels) == [(0, 1)]


def test_of_four_ways_only_left_and_right_are_a_pair():
    assert find_mirrored(*arrows(NAMES, 100)) == [(1, 2)]


def test_classes_that_differ_in_more_than_their_side_are_none():
    pictures = np.stack([draw_picture(0, place)[0] for place in range(300)])
    labels = np.arange(300) % 2
    order = np.argsort(labels, kind="stable")
    assert find_mirrored(pictures[order], labels[order]) == []
    assert find_mirrored(*arrows(["up", "down"], 100)) == []


def test_too_few_pictures_and_pictures_of_one_colour_are_none():
    assert find_mirrored(*arrows(NAMES[1:3], 5)) == []
    assert find_mirrored(np.zeros((80, 16, 16, 3), np.uint8), np.arange(80) // 40) == []


@pytest.mark.parametrize(
    ("flip", "mirror", "advice"),
    [
        (True, True, "train with augment.horizontal_flip=false mirror=false"),
        (False, True, "train with mirror=false"),
        (True, False, "train with augment.horizontal_flip=false"),
        (False, False, None),
    ],
)
def test_the_warning_names_the_classes_and_the_keys_that_mirror(flip, mirror, advice):
    said = warning_of_mirroring(settings(flip, mirror), *arrows(NAMES[1:3], 60), NAMES[1:3])
    if advice is None:
        assert said is None
    else:
        assert said.endswith(f"; {advice}")
        assert "(left with right)" in said
