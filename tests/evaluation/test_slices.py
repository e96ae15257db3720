import numpy as np
import pytest

from pawprint.evaluation.slices import find_slices

NAMES = ["cats", "dogs"]


def slices(count=120, wrong=(), **given):
    """Slices of pictures, cats and dogs in turn, of which those at ``wrong`` are answered wrong."""
    labels = np.arange(count) % 2
    answers = labels.copy()
    answers[list(wrong)] = 1 - answers[list(wrong)]
    probabilities = np.where(answers[:, np.newaxis] == [0, 1], 0.9, 0.1)
    whole = {
        "paths": [f"{NAMES[label]}/{place}.jpg" for place, label in enumerate(labels)],
        "sizes": np.full(count, 200),
        "brightness": np.full(count, 90.0),
    }
    return find_slices(labels, probabilities, NAMES, **(whole | given))


def test_classes_are_slices_and_their_folders_no_further_ones():
    found = slices(wrong=[0, 2])
    assert [(one.kind, one.name, one.pictures) for one in found] == [
        ("class", "cats", 60),
        ("class", "dogs", 60),
    ]
    assert [one.figures["accuracy"] for one in found] == pytest.approx([58 / 60, 1])
    low, high = found[0].intervals["accuracy"]
    assert low < 58 / 60 < high


def test_folders_that_are_more_than_the_classes_are_slices():
    paths = [f"{NAMES[p % 2]}/{'own' if p < 60 else 'web'}/{p}.jpg" for p in range(120)]
    found = [one for one in slices(paths=paths) if one.kind == "folder"]
    assert {one.name: one.pictures for one in found} == {
        f"{name}/{source}": 30 for name in NAMES for source in ("own", "web")
    }


@pytest.mark.parametrize(("kind", "key"), [("size", "sizes"), ("brightness", "brightness")])
def test_sizes_and_brightness_are_cut_into_thirds(kind, key):
    found = [one for one in slices(**{key: np.arange(120.0)}) if one.kind == kind]
    assert [one.pictures for one in found] == [40, 40, 40]
    assert [one.name.split(" of ")[0].removesuffix(" pixels") for one in found] == [
        "0 to 39",
        "40 to 79",
        "80 to 119",
    ]


def test_equal_sizes_stay_together():
    sizes = np.array([100] * 90 + [300] * 30)
    found = [one for one in slices(sizes=sizes) if one.kind == "size"]
    assert [(one.name, one.pictures) for one in found] == [
        ("100 to 100 pixels", 90),
        ("300 to 300 pixels", 30),
    ]


def test_where_most_pictures_are_of_the_largest_size_the_others_are_a_slice():
    sizes = np.array([100] * 20 + [150] * 20 + [200] * 80)
    found = [one for one in slices(sizes=sizes) if one.kind == "size"]
    assert [(one.name, one.pictures) for one in found] == [
        ("100 to 150 pixels", 40),
        ("200 to 200 pixels", 80),
    ]


def test_a_slice_with_few_pictures_is_left_out():
    paths = [f"{NAMES[p % 2]}/{'own' if p < 29 else 'web'}/{p}.jpg" for p in range(120)]
    assert [one.name for one in slices(paths=paths) if one.kind == "folder"] == [
        "dogs/web",
        "cats/web",
    ]


def test_a_slice_that_is_worse_than_the_rest_beyond_chance_is_told():
    found = {one.name: one.against_rest for one in slices(wrong=range(0, 60, 2))}
    assert found == {"cats": "worse", "dogs": "better"}
    assert {one.against_rest for one in slices(wrong=[0, 2])} == {""}
