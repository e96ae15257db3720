"""The command drift: pictures seen in use against those learned from."""

from __future__ import annotations

import json
from pathlib import Path

from pawprint.drift import text
from pawprint.drift.find import find_drift

CHANGED = 3  # exit code, where it is asked for; 1 is an error, 2 a wrong command line


def drift(
    path: Path, *, since: str | None, model: str | None, as_json: bool, fail_on_change: bool
) -> int:
    """Print what was found; see ``find_drift``.

    Returns:
        The exit code: 0, or ``CHANGED`` where something changed and ``fail_on_change``.
    """
    found = find_drift(path, since=since, model=model)
    if as_json:
        print(json.dumps(text.as_plain(found), indent=2))
    else:
        text.print_drift(found)
    return CHANGED if fail_on_change and found.changed else 0
