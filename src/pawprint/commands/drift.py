"""The command drift: pictures seen in use against those learned from."""

import json
from argparse import Namespace
from pathlib import Path

from pawprint.config.compose import compose_tracking
from pawprint.drift.find import as_plain, find_drift, print_drift

CHANGED = 3  # exit code, where it is asked for; 1 is an error, 2 a wrong command line


def drift(given: Namespace) -> int:
    """Print what ``find_drift`` finds; returns ``CHANGED`` for a change and `--fail-on-change`."""
    tracking, _ = compose_tracking(given.settings)
    found = find_drift(Path(given.operands[0]), tracking, since=given.since, model=given.model)
    if given.json:
        print(json.dumps(as_plain(found), indent=2))
    else:
        print_drift(found)
    return CHANGED if given.fail_on_change and found.changed else 0
