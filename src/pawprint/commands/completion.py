"""Shell completion: Hydra's own for settings; commands, options and the choices of a key here.

Hydra's shell functions call `pawprint -sc query=bash` with the line in COMP_LINE. Its plugins know
one program without commands, so that here the first word behind `pawprint` is taken off.
"""

import argparse
import glob
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

from pawprint.commands.arguments import Tool, stage_parser, tool_parser
from pawprint.commands.table import COMMANDS, NAMES, PREDICT
from pawprint.config.compose import hydra_of, project_root, read_params, read_settings
from pawprint.config.overrides import SWEEP_OPTIONS, is_setting
from pawprint.config.schema import ONE_OF, Config
from pawprint.system.errors import UserError

SHELLS = ("bash", "zsh", "fish")


def shell_completion(words: list[str]) -> int:
    """Print a shell's completion script, or the words that complete COMP_LINE; returns 0.

    Raises:
        UserError: the words are none of install=SHELL, uninstall=SHELL and query=SHELL, or there
            is no command `pawprint` to complete.
    """
    action, _, shell = words[0].partition("=") if len(words) == 1 else ("", "", "")
    if action not in ("install", "uninstall", "query") or shell not in SHELLS:
        raise UserError(
            "-sc takes install=SHELL or uninstall=SHELL with bash, zsh or fish, as in "
            '`eval "$(pawprint -sc install=bash)"`'
        )
    if action == "query":
        print("\n".join(complete(os.environ.get("COMP_LINE", ""))))
        return 0
    if Path(sys.argv[0]).name != "pawprint":
        raise UserError("completion is of the command: `pawprint -sc install=bash`, by that name")
    if shell == "zsh":  # which reads bash's completion after this
        print("autoload -Uz bashcompinit && bashcompinit")
    root = project_root()
    with hydra_of(root, read_params(root)) as hydra:
        hydra.shell_completion(None, words)
    if action == "uninstall" and shell != "fish":  # Hydra's leaves the name of its function there
        print("complete -r pawprint")
    return 0


def complete(line: str) -> list[str]:
    """All that the last word of a command line may become; nothing where a file may stand."""
    try:
        words = shlex.split(line)[1:]
    except ValueError:  # a quote is open
        return []
    word = "" if not words or line[-1].isspace() else words.pop()
    return sorted(one for one in _candidates(words, word) if one.startswith(word))


def _candidates(before: list[str], word: str) -> Iterable[str]:
    """What may stand where ``word`` is begun, behind the command and its words ``before``."""
    if not before:
        return (*NAMES, "--help", "--version")
    command = COMMANDS.get(before[0])
    if command is None:
        return []
    parsers = [tool_parser(command) if isinstance(command, Tool) else stage_parser(command)]
    if command.name == PREDICT.name:
        parsers.append(tool_parser(PREDICT))
    options = {
        option: action
        for parser in parsers
        for action in parser._actions  # noqa: SLF001 - argparse has no other list of them
        for option in action.option_strings
        if action.help != argparse.SUPPRESS
    }
    if word.startswith("-"):
        return options
    takes = options.get(before[-1])
    if takes is not None and takes.nargs != 0:
        return takes.choices or ()
    if before[-1] in ("-sc", "--shell-completion"):
        return [f"{action}={shell}" for action in ("install", "uninstall") for shell in SHELLS]
    files = command.name == PREDICT.name or (isinstance(command, Tool) and command.operand)
    if files and (not word or glob.glob(f"{glob.escape(word)}*")):  # noqa: PTH207 - not from a root
        return []
    key, equals, _ = word.partition("=")
    values = _values(key) if equals else ()
    return [f"{key}={value}" for value in values] or _hydras(before[1:], word)


def _values(key: str) -> Sequence[str]:
    """All that a key may be, where that is a list and no group."""
    for field in fields(Config):
        if field.name == key:
            is_bool = get_type_hints(Config)[key] is bool
            return ("false", "true") if is_bool else field.metadata.get(ONE_OF, ())
    return ()


def _hydras(before: list[str], word: str) -> list[str]:
    """Keys, and choices of groups, as Hydra completes them."""
    from hydra._internal.core_plugins.bash_completion import BashCompletion
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    sweeps = [] if set(SWEEP_OPTIONS).isdisjoint(before) else ["-m"]
    try:
        root = project_root()
        settings = read_settings(root, [word for word in before if is_setting(word)])
        with hydra_of(root, settings.params) as hydra:
            plugin = BashCompletion(hydra.config_loader)
            # Its public way takes the line from COMP_LINE, where the command is in it.
            found = plugin._query("config", " ".join([*sweeps, *settings.overrides, word]))  # noqa: SLF001
    except (UserError, HydraException, OmegaConfBaseException):  # a mistake before the word
        return []
    return [one for one in found if one not in ("hydra", "schema")]
