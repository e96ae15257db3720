import itertools

import pytest
import yaml

from pawprint.config.compose import project_root
from pawprint.training.progressive_size import sizes_by_epoch


def test_one_size_is_the_whole_one_in_every_epoch():
    assert sizes_by_epoch(62, 3, [1.0], []) == [62, 62, 62]


def test_each_size_is_used_up_to_its_share_of_the_epochs():
    sizes = sizes_by_epoch(64, 20, [0.5, 0.75, 1.0], [0.35, 0.8])
    assert sizes == [32] * 7 + [48] * 9 + [64] * 4


@pytest.mark.parametrize(
    ("image_size", "share", "side"), [(64, 0.7, 44), (50, 0.5, 24), (9, 0.1, 4), (130, 1.0, 130)]
)
def test_a_share_is_rounded_to_a_multiple_of_four_and_all_of_it_is_not(image_size, share, side):
    assert sizes_by_epoch(image_size, 1, [share], []) == [side]


def test_a_share_is_rounded_to_another_multiple_where_one_is_given():
    assert sizes_by_epoch(192, 2, [0.6, 1.0], [0.5], 32) == [128, 192]


def test_no_size_is_larger_than_the_whole_one():
    assert sizes_by_epoch(31, 1, [0.98], []) == [31]


@pytest.mark.parametrize("epochs", [1, 2, 3, 5, 40])
def test_few_epochs_have_a_size_each_and_sizes_never_shrink(epochs):
    sizes = sizes_by_epoch(64, epochs, [0.25, 0.5, 1.0], [0.3, 0.6])
    assert len(sizes) == epochs
    assert sizes[0] == (16 if epochs > 1 else 64)
    assert sizes[-1] == 64
    assert all(one <= two for one, two in itertools.pairwise(sizes))


def test_the_steps_of_conf_grow_almost_to_whole_pictures():
    content = yaml.safe_load((project_root() / "conf/growth/steps.yaml").read_text())
    sizes = sizes_by_epoch(64, 40, content["sizes"], content["until"])
    assert sizes[0] < sizes[20] < sizes[-1]
    assert 0.8 * 64 < sizes[-1] < 64
