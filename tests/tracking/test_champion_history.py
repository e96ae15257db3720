"""The line of champions."""

import pytest

from pawprint.tracking.history import (
    Event,
    events,
    held_back,
    missing_event,
    standing,
)
from pawprint.tracking.run import NOT_IN_NAMES


def _line(*steps):
    """Events from `3` (registered) and `-2` (gone back to 2), a minute apart."""
    line = []
    for minute, step in enumerate(steps):
        by = "register" if step > 0 else "rollback"
        before = line[-1].version if line else None
        newest = max(abs(s) for s in steps[: minute + 1])
        line.append(Event(abs(step), f"2026-01-01T00:{minute:02}", by, before, "why", newest))
    return line


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
    assert standing(_line(*steps)) == stack


def test_events_come_back_from_their_tags_in_their_order_whatever_else_is_there():
    line = _line(*range(1, 12))
    tags = {"champion.note": "mine", "owner": "me", "champion.0099": "broken", "champion.98": "{}"}
    tags |= {event.name: event.as_tag() for event in line}
    assert len(tags) == 4 + len(line)
    assert events(dict(reversed(tags.items()))) == line


def test_two_events_of_the_same_moment_have_tags_of_their_own_which_mlflow_takes():
    at = "2026-01-01T00:00:00.000+00:00"
    names = {Event(version, at, "register", None, "", 2).name for version in (1, 2)}
    assert len(names) == 2
    assert not any(NOT_IN_NAMES.search(name) for name in names)


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
    event = missing_event(_line(*steps), champion, tags, 3)
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
    assert held_back(_line(*steps), version) == said
