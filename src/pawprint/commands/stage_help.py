"""The help of a stage: its options, and every key with its value now and what it may be."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from omegaconf import open_dict, read_write

from pawprint.commands.stage import Stage
from pawprint.config.check import in_words
from pawprint.config.compose import typed
from pawprint.config.overrides import RECIPE
from pawprint.config.schema import CHOICES, DESCRIPTION

WIDTH, KEY, VALUE = 100, 27, 18  # columns
HYDRA_GROUPS = {"hydra/sweeper": "how -m goes through the axes", "hydra/launcher": "where -m runs"}


def stage_help(stage: Stage, parser: argparse.ArgumentParser, tree: Any, loader: Any) -> str:
    """The text that `pawprint STAGE --help` prints.

    Args:
        stage: the command.
        parser: its options.
        tree: what Hydra composed, its own part included.
        loader: Hydra's, which knows the choices of each group.

    Raises:
        UserError: a value is of a wrong type or out of range.
    """
    chosen = tree.hydra.runtime.choices
    with open_dict(tree), read_write(tree):
        del tree["hydra"]
    config = typed(tree)

    def choices(group: str) -> str:
        return f"one of {', '.join(sorted(loader.get_group_options(group)))}"

    rows = [_row(RECIPE, "", f"settings of conf/recipe/NAME.yaml; {choices(RECIPE)}")]
    for key, value, description, limits in keys(config):
        limits = choices(key) if key in CHOICES else limits.removesuffix(" and below inf")
        rows.append(_row(key, value, f"{description}; {limits}" if limits else description))
    if stage.sweeps:
        for group, description in HYDRA_GROUPS.items():
            rows.append(_row(group, chosen[group], f"{description}; {choices(group)}"))
    return "\n".join(
        [parser.format_help(), "keys, each with its value now; key=value sets another:", *rows]
    )


def keys(node: Any, prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Each key of a configuration: its name, its value, what it says and what it may be."""
    for field in fields(node):
        value, name = getattr(node, field.name), f"{prefix}{field.name}"
        description = field.metadata[DESCRIPTION]
        if is_dataclass(value):
            yield name, getattr(value, "name", ""), description, ""
            yield from keys(value, f"{name}.")
        elif not prefix or field.name != "name":  # which stands at its group
            yield name, _as_yaml(value), description, in_words(field.metadata)


def _as_yaml(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _row(key: str, value: str, text: str) -> str:
    """A line, or several where the value or the text is long."""
    head, indent = f"  {key:{KEY}}{value:{VALUE}} ", " " * (3 + KEY + VALUE)
    first, *rest = textwrap.wrap(text, WIDTH - len(indent)) or [""]
    if len(head) > len(indent):
        head, first, rest = head.rstrip(), "", [first, *rest]
    return "\n".join([(head + first).rstrip(), *(indent + line for line in rest)])
