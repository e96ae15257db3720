"""The history of champions."""

import pytest

from pawprint.registry.history import (
    Event,
    events_of,
    held_back,
    missing_event,
    rollback_stack,
)
from pawprint.tracking.names import mlflow_name


def _history(*steps):
    """Events from `3` (registered) and `-2` (gone back to 2), a minute apart."""
    history = []
    for minute, step in enumerate(steps):
        by = "register" if step > 0 else "rollback"
        before = history[-1].version if history else None
        newest = max(abs(s) for s in steps[: minute + 1])
        history.append(Event(abs(step), f"2026-01-01T00:{minute:02}", by, before, "why", newest))
    return history


@pytest.mark.parametrize(
    ("steps", "stack"),
    [
        ((), []),
        ((1, 2, 3), [1, 2, 3]),
        ((1, 2, 3, -2), [1, 2]),
        ((1, 2, 3, -2, -1), [1]),
        ((1, 2, -1, 3), [1, 3]),
        ((1, 2, -1, 3, -1), [1]),
        ((1, 2, 1), [1, 2, 1]),
        ((1, 2, 1, -2), [1, 2]),
        ((1, 2, 2), [1, 2]),
    ],
)
def test_registering_puts_on_top_and_a_rollback_takes_away(steps, stack):
    assert rollback_stack(_history(*steps)) == stack


def test_events_come_back_from_their_tags_in_their_order_whatever_else_is_there():
    history = _history(*range(1, 12))
    tags = {"champion.note": "mine", "owner": "me", "champion.0099": "broken", "champion.98": "{}"}
    tags |= {event.name: event.as_tag() for event in history}
    assert len(tags) == 4 + len(history)
    assert events_of(dict(reversed(tags.items()))) == history


def test_two_events_of_the_same_moment_have_tags_of_their_own_which_mlflow_takes():
    at = "2026-01-01T00:00:00.000+00:00"
    names = {Event(version, at, "register", None, "", 2).name for version in (1, 2)}
    assert len(names) == 2
    assert all(mlflow_name(name) == name for name in names)


def test_a_long_reason_still_makes_a_short_tag():
    event = Event(1, "2026", "register", None, "x" * 10_000, 1)
    assert len(event.as_tag()) < 1000


PROMOTED = {"verdict": "promoted", "reason": "better", "decided": "2026-01-01T00:30"}


@pytest.mark.parametrize(
    ("steps", "champion", "tags", "told"),
    [
        ((1, 2), 2, PROMOTED, None),
        ((1, 2), 3, PROMOTED, ("register", 2, "better", "2026-01-01T00:30")),
        ((), 1, PROMOTED, ("register", None, "better", "2026-01-01T00:30")),
        ((1, 2, 3), 2, {}, ("rollback", 3, "version 3 was rolled back", None)),
        ((1, 2, 3), 1, {}, ("rollback", 3, "version 3 was rolled back", None)),
        ((1, 2), 3, {"verdict": "kept"}, ("hand", 2, "the alias was set without pawprint", None)),
        (
            (1, 2, -1),
            2,
            PROMOTED | {"decided": "2026-01-01T00:01"},
            ("hand", 1, "the alias was set without pawprint", None),
        ),
    ],
)
def test_what_a_killed_process_or_a_hand_did_not_tell_is_found_out(steps, champion, tags, told):
    event = missing_event(_history(*steps), champion, tags, 3)
    if told is None:
        assert event is None
        return
    by, before, why, at = told
    assert (event.version, event.by, event.before, event.why) == (champion, by, before, why)
    assert at in (None, event.at)


@pytest.mark.parametrize(
    ("steps", "version", "said"),
    [
        ((1, 2), 2, None),
        ((1, 2, -1), 2, "it was rolled back on 2026-01-01T00:02"),
        ((1, 2, -1), 1, None),
        ((1, 2, -1), 3, None),  # newer than the rollback
        ((1, 3, -1), 2, "it was there before version 3 was rolled back on 2026-01-01T00:02"),
        ((1, 3, -1, 4), 2, None),
        ((1, 3, -1, 4), 3, "it was rolled back on 2026-01-01T00:02"),
        ((1, 2, -1, 2), 2, None),  # by gate=always
    ],
)
def test_after_a_rollback_only_a_new_version_may_follow(steps, version, said):
    assert held_back(_history(*steps), version) == said
