"""`pawprint champion`: who is champion, the line of champions, promoting one and going back."""

import json
import re
import sys
from argparse import Namespace
from typing import Any

from pawprint.config.compose import compose_tracking, project_root
from pawprint.config.paths import Paths
from pawprint.config.schema import Tracking
from pawprint.registry.champion import promote, roll_back
from pawprint.registry.history import HAND, REGISTER, Event, read_history
from pawprint.registry.source import find_champion
from pawprint.system.errors import UserError
from pawprint.system.terminal import printable
from pawprint.tracking.location import no_champion, registry_uri, sqlite_path, store_uri
from pawprint.tracking.registry import Version, registry_of
from pawprint.tracking.store import connect

LINE = ("version", "from", "by", "at", "why")  # columns of the line of champions


def champion(given: Namespace) -> int:
    """Print who is champion, after a promotion or a rollback if one is asked for; returns 0.

    Raises:
        UserError: there is no champion, none to go back to, none such to promote or no reason for
            it, or the store does not answer.
    """
    reason = _reason(given)
    tracking, _ = compose_tracking(given.settings)
    address = registry_uri(store_uri(tracking.uri))
    path = sqlite_path(address)
    changes = given.rollback or given.promote
    found = None
    if path is None or path.exists():  # to look makes no store
        store = connect(tracking.uri, tracking.experiment)
        with store.explained():
            registry = registry_of(store, tracking.registered_model)
            folder = Paths(project_root()).champion
            if given.rollback:
                roll_back(registry, folder)
            elif given.promote:
                which = re.sub(r"^v(?=[0-9]{1,15}$)", "", given.promote)
                promote(registry, which, reason, folder)
            if (version := registry.champion()) is not None:
                found = version, read_history(registry, version)[::-1]
    elif changes:
        raise no_champion(tracking.registered_model, address)
    version, line = found or _of_file(tracking)
    facts: dict[str, Any] = {
        "model": tracking.registered_model,
        "version": version.number,
        "since": line[0].at,
        "by": line[0].by,
        "why": line[0].why,
        "test_accuracy": _number(version.tags.get("test_accuracy")),
        "run_id": version.run_id,
        "line": [json.loads(event.as_tag()) for event in line],
    }
    if given.json:
        print(json.dumps(facts, indent=2))
    elif sys.stdout.isatty():
        print_tables(facts)
    else:  # words between tabs: for `grep` and `cut`
        print("champion", f"{facts['model']} version {facts['version']}", sep="\t")
        print("since", facts["since"], sep="\t")
        print("test accuracy", _accuracy(facts), sep="\t")
        print("why", facts["why"], sep="\t")
        print(*LINE, sep="\t")
        for event in facts["line"]:
            print(*_row(event), sep="\t")
    return 0


def _of_file(tracking: Tracking) -> tuple[Version, list[Event]]:
    """The champion of `models/champion`, which answers where the store has none, as in a clone.

    Raises:
        UserError: there is none either.
    """
    source = find_champion(tracking.uri, tracking.registered_model)
    for note in source.notes:
        print(f"note: {printable(note)}", file=sys.stderr)
    version = Version(source.version or 0, source.run_id or "", source.tags)
    by = HAND if source.tags.get("policy") == HAND else REGISTER
    at, why = source.tags.get("decided", ""), source.tags.get("reason", "")
    return version, [Event(version.number, at, by, None, why, version.number)]


def _reason(given: Namespace) -> str:
    """The reason of a promotion, in one line; empty without a promotion."""
    reason = " ".join((given.reason or "").split())
    if given.promote and not reason:
        raise UserError(
            f"--promote {given.promote} needs a reason, which is recorded; add --reason "
            '"it is faster"'
        )
    if reason and not given.promote:
        raise UserError("--reason is of a promotion; add --promote and a version, as v3")
    return reason


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:  # edited by hand
        return None


def _accuracy(facts: dict[str, Any]) -> str:
    accuracy = facts["test_accuracy"]
    return "unknown" if accuracy is None else f"{accuracy:.4f}"


def print_tables(facts: dict[str, Any]) -> None:
    """Print the facts for a person at a terminal."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    console.print(
        f"[bold]{escape(facts['model'])} version {facts['version']}[/bold] is champion since "
        f"{facts['since']}, test accuracy {_accuracy(facts)}",
        highlight=False,
    )
    console.print(escape(facts["why"]), highlight=False)
    table = Table(title="line of champions, newest first")
    for name in LINE[:-1]:
        table.add_column(name, no_wrap=name != "at")
    table.add_column(LINE[-1], overflow="fold", ratio=1)
    for event in facts["line"]:
        table.add_row(*map(escape, _row(event)))
    console.print(table)


def _row(event: dict[str, Any]) -> list[str]:
    before = "" if event["from"] is None else str(event["from"])
    return [str(event["version"]), before, event["by"], event["at"], event["why"]]
