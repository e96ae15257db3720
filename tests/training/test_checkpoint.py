import logging

import numpy as np
import pytest

from pawprint.training.checkpoint import Checkpoint, State

IDENTITY = {"parameters": {"epochs": 3, "model": "cnn"}, "data": ["0a", "1b"]}


def some_state():
    rng = np.random.default_rng(0)
    arrays = {
        "weights": [rng.random((3, 3, 3, 2), dtype=np.float32), np.array([], np.float32)],
        "optimizer": [np.array(7, np.int64), np.array([1, 2], np.uint32), np.array(True)],
        "running": [],
        "best": [np.array([np.nan, np.inf, -0.0, 1e-45], np.float32)],
    }
    row = {"epoch": 1, "accuracy": 0.1 + 0.2, "loss": 1e-17, "learning_rate": 1 / 3}
    return State(1, 5, [row], [row | {"picture_size": 16}], row | {"epoch": 0}, arrays, "0123abc")


@pytest.fixture
def checkpoint(tmp_path):
    """One with a state in it."""
    checkpoint = Checkpoint(tmp_path, IDENTITY)
    checkpoint.save(some_state())
    return checkpoint


def assert_same(seen, expected):
    assert {k: v for k, v in vars(seen).items() if k != "arrays"} == {
        k: v for k, v in vars(expected).items() if k != "arrays"
    }
    assert list(seen.arrays) == list(expected.arrays)
    for name, arrays in expected.arrays.items():
        assert len(seen.arrays[name]) == len(arrays)
        for one, two in zip(seen.arrays[name], arrays, strict=True):
            assert (one.dtype, one.shape, one.tobytes()) == (two.dtype, two.shape, two.tobytes())


def test_everything_comes_back_as_it_was_saved(checkpoint):
    assert_same(Checkpoint(checkpoint.path.parent, IDENTITY).load(), some_state())


def test_a_training_that_has_not_begun_comes_back_too(tmp_path):
    Checkpoint(tmp_path, IDENTITY).save(State())
    assert_same(Checkpoint(tmp_path, IDENTITY).load(), State())


def test_what_was_loaded_can_be_saved_again(checkpoint):
    checkpoint.save(checkpoint.load())
    assert_same(checkpoint.load(), some_state())


def test_where_nothing_was_saved_there_is_nothing_and_no_word_about_it(tmp_path, caplog):
    assert Checkpoint(tmp_path / "nowhere", IDENTITY).load() is None
    assert caplog.messages == []


def test_the_order_of_an_identity_does_not_matter(checkpoint):
    assert Checkpoint(checkpoint.path.parent, dict(reversed(IDENTITY.items()))).load() is not None


@pytest.mark.parametrize(
    "other",
    [{**IDENTITY, "data": ["0a"]}, {**IDENTITY, "parameters": {"epochs": 4, "model": "cnn"}}, {}],
)
def test_a_training_of_another_identity_has_another_file(checkpoint, other):
    another = Checkpoint(checkpoint.path.parent, other)
    assert another.load() is None
    another.save(State(epoch=9))
    assert_same(checkpoint.load(), some_state())
    another.remove()
    assert_same(checkpoint.load(), some_state())


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:40],
        lambda content: content[:-1],
        lambda content: content[: len(content) // 2],
        lambda content: b"x" * len(content),
        lambda content: content[:1500] + bytes([content[1500] ^ 1]) + content[1501:],
    ],
    ids=["empty", "in its beginning", "one byte short", "half", "something else", "a byte changed"],
)
def test_a_damaged_file_is_no_state_but_a_warning_that_names_it(checkpoint, caplog, damage):
    damaged = damage(checkpoint.path.read_bytes())
    assert damaged != checkpoint.path.read_bytes()
    checkpoint.path.write_bytes(damaged)
    assert checkpoint.load() is None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"{checkpoint.path} cannot be read" in record.message
    assert "training starts anew" in record.message
    checkpoint.save(some_state())
    assert_same(checkpoint.load(), some_state())


class _Interrupting:
    """An array that Ctrl-C meets while it is written."""

    def __array__(self, dtype=None, copy=None):
        raise KeyboardInterrupt


def test_an_interrupted_save_leaves_the_state_before_and_nothing_else(checkpoint):
    state = some_state()
    state.epoch = 2
    state.arrays["best"] = [np.ones(10_000, np.float32), _Interrupting()]
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(state)
    assert_same(checkpoint.load(), some_state())
    assert list(checkpoint.path.parent.iterdir()) == [checkpoint.path]


def test_what_a_killed_save_left_is_cleared_away(checkpoint):
    left = checkpoint.path.with_name(f".{checkpoint.path.stem}.999999999.tmp.npz")
    left.write_bytes(b"half of a state")
    assert_same(checkpoint.load(), some_state())
    checkpoint.save(some_state())
    assert list(checkpoint.path.parent.iterdir()) == [checkpoint.path]


def test_a_finished_training_is_forgotten(checkpoint):
    checkpoint.remove()
    assert checkpoint.load() is None
    assert list(checkpoint.path.parent.iterdir()) == []
    checkpoint.remove()
