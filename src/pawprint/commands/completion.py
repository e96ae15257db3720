"""Shell completion: Hydra's own for settings; commands, options and the choices of a key here.

Hydra's shell functions call `pawprint -sc query=bash` with the line in COMP_LINE. Its plugins know
one program without commands, so that here the first word behind `pawprint` is taken off.
"""

from __future__ import annotations

import argparse
import glob
import os
import shlex
import sys
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

from pawprint.commands.arguments import Tool, tool_parser
from pawprint.commands.stage import stage_parser
from pawprint.commands.table import COMMANDS, NAMES, PREDICT
from pawprint.config.compose import project_root, read_overrides, register_resolvers
from pawprint.config.overrides import SWEEP_OPTIONS, is_setting
from pawprint.config.schema import ONE_OF, Config
from pawprint.system.errors import UserError

SHELLS = ("bash", "zsh", "fish")


def shell_completion(words: list[str]) -> int:
    """Print a shell's completion script, or the words that complete COMP_LINE.

    Args:
        words: one of install=SHELL, uninstall=SHELL and query=SHELL.

    Returns:
        0, the exit code.

    Raises:
        UserError: it is none of these, or there is no command `pawprint` to complete.
    """
    action, _, shell = words[0].partition("=") if len(words) == 1 else ("", "", "")
    if action not in ("install", "uninstall", "query") or shell not in SHELLS:
        raise UserError(
            "-sc takes install=SHELL or uninstall=SHELL with bash, zsh or fish, as in "
            '`eval "$(pawprint -sc install=bash)"`'
        )
    if action == "query":
        print("\n".join(complete(os.environ.get("COMP_LINE", ""))))
    else:
        _print_script(action, shell)
    return 0


def _print_script(action: str, shell: str) -> None:
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    if Path(sys.argv[0]).name != "pawprint":
        raise UserError("completion is of the command: `pawprint -sc install=bash`, by that name")
    root = project_root()
    if shell == "zsh":  # which reads bash's completion after this
        print("autoload -Uz bashcompinit && bashcompinit")
    with initialize_config_dir(str(root / "conf"), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        hydra.shell_completion(None, [f"{action}={shell}"])
    if action == "uninstall" and shell != "fish":  # Hydra's leaves the name of its function there
        print("complete -r pawprint")


def complete(line: str) -> list[str]:
    """All that the last word of a command line may become; nothing where a file may stand.

    Args:
        line: "pawprint" and what was typed after it.
    """
    try:
        words = shlex.split(line)[1:]
    except ValueError:  # a quote is open
        return []
    word = "" if not words or line[-1].isspace() else words.pop()
    if not words:
        return _beginning(word, (*NAMES, "--help", "--version"))
    command = COMMANDS.get(words[0])
    if command is None:
        return []
    parser = tool_parser(command) if isinstance(command, Tool) else stage_parser(command)
    options = _options(parser)
    if command.name == PREDICT.name:
        options |= _options(tool_parser(PREDICT))
    if word.startswith("-"):
        return _beginning(word, tuple(options))
    takes = options.get(words[-1])
    if takes is not None and takes.nargs != 0:
        return _beginning(word, tuple(takes.choices or ()))
    if words[-1] in ("-sc", "--shell-completion"):
        return _beginning(word, [f"{a}={s}" for a in ("install", "uninstall") for s in SHELLS])
    files = command.name == PREDICT.name or (isinstance(command, Tool) and command.operand)
    if files and (not word or glob.glob(f"{glob.escape(word)}*")):  # noqa: PTH207 - not from a root
        return []
    return _settings(words[1:], word)


def _beginning(word: str, known: tuple[str, ...] | list[str]) -> list[str]:
    return sorted(one for one in known if one.startswith(word))


def _options(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """The options that help tells of, by what is typed."""
    return {
        option: action
        for action in parser._actions  # noqa: SLF001 - argparse has no other list of them
        for option in action.option_strings
        if action.help != argparse.SUPPRESS
    }


def _settings(before: list[str], word: str) -> list[str]:
    """Keys and values by Hydra, with the choices that the schema knows."""
    key, equals, _ = word.partition("=")
    if equals and (values := _values(key)):
        return _beginning(word, [f"{key}={value}" for value in values])
    from hydra import initialize_config_dir
    from hydra._internal.core_plugins.bash_completion import BashCompletion
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        root = project_root()
        given = read_overrides(root, [word for word in before if is_setting(word)])
        register_resolvers(root)
    except UserError:  # a mistake before the word, which the command will tell
        return []
    sweeps = [] if set(SWEEP_OPTIONS).isdisjoint(before) else ["-m"]
    with initialize_config_dir(str(root / "conf"), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        plugin = BashCompletion(hydra.config_loader)
        # Its public way takes the line from COMP_LINE, where the command is in it.
        try:
            found = plugin._query("config", " ".join([*sweeps, *given, word]))  # noqa: SLF001
        except (HydraException, OmegaConfBaseException):
            return []
    return [one for one in found if one not in ("hydra", "schema")]


def _values(key: str) -> list[str]:
    """All that a key may be, where that is a list and no group."""
    for field in fields(Config):
        if field.name == key and get_type_hints(Config)[key] is bool:
            return ["false", "true"]
        if field.name == key:
            return list(field.metadata.get(ONE_OF, ()))
    return []
