"""The `pawprint` command: COMMAND [key=value …] [option …]; `commands/table.py` lists them all."""

import errno
import io
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, cast

from pawprint.commands.arguments import Stage, Tool, parse_tool, stage_parser, tool_parser
from pawprint.commands.stage import load, run_stage
from pawprint.commands.table import COMMANDS, NAMES, PREDICT, overview
from pawprint.config.overrides import as_overrides, suggest
from pawprint.system.errors import UserError, files_explained, installing

_PRINTING = {"-h", "--help", "-c", "--cfg", "-i", "--info"}


class Stopped(KeyboardInterrupt):
    """Ctrl-C or SIGTERM: a stage's run is marked, nothing half-written stays.

    Python would end with SIGINT after a plain KeyboardInterrupt that came in the midst of an exec
    of text, as dataclasses use it, whatever becomes of it.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command; ends the process with 0, or with 1 where something could not be done."""
    words = sys.argv[1:] if arguments is None else arguments
    end_with(lambda: _run(words), words[0] if words else "pawprint")


def end_with(run: Callable[[], int], name: str) -> NoReturn:
    """End the process with the exit code of ``run``.

    What a person can mend is one sentence on standard error and 1; Ctrl-C ends with 130, and
    SIGTERM with 143 where it was not left to end the process at once.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _stop)
    _open_streams()
    try:
        with files_explained():
            code = _printed(run)
    except UserError as error:
        _fail(str(error))
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "pawprint":
            raise
        _fail(
            f"{name} needs {error.name}, which is not installed here; {installing(error.name)} "
            "installs it"
        )
    except KeyboardInterrupt as error:
        _flush()
        print("stopped", file=sys.stderr)
        code = 128 + (error.number if isinstance(error, Stopped) else signal.SIGINT)
    sys.exit(code)


def _stop(number: int, _: Any) -> None:
    raise Stopped(number)


def _printed(run: Callable[[], int]) -> int:
    """The exit code of ``run``, all of whose output is written.

    Raises:
        UserError: standard output takes no more.
    """
    try:
        code = run()
    except OSError as error:
        if error.filename is not None or (failure := _flush()) is None:
            raise
    else:
        failure = _flush()
        if failure is None:
            return code
    full = failure.errno == errno.ENOSPC
    what = "has no room left; free some" if full else f"cannot be written ({failure.strerror})"
    raise UserError(f"standard output {what}, or write elsewhere")


def _flush() -> OSError | None:
    """Write what was printed; what forbids it, after which nothing is printed any more."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error
    return None


def _fail(sentence: str) -> NoReturn:
    _flush()
    print(f"error: {sentence}", file=sys.stderr)
    sys.exit(1)


def _run(words: list[str]) -> int:
    if not _PRINTING.isdisjoint(words):
        _end_with_reader()
    if not words:
        print(overview(), file=sys.stderr)
        return 2
    name, *rest = words
    if name in ("-h", "--help"):
        print(overview())
    elif name == "--version":
        from pawprint.system.version import __version__

        print(f"pawprint {__version__}")
    elif name in ("-sc", "--shell-completion"):
        from pawprint.commands.completion import shell_completion

        return shell_completion(rest)
    elif name not in COMMANDS:
        raise UserError(f"there is no command {name!r}; {suggest(name, NAMES, 'commands')}")
    else:
        command = PREDICT if name == PREDICT.name and _is_of_tool(rest) else COMMANDS[name]
        return _run_tool(command, rest) if isinstance(command, Tool) else _run_stage(command, rest)
    return 0


def _is_of_tool(words: list[str]) -> bool:
    """Whether words behind `predict` name pictures, or are what its stage does not take."""
    if words and not words[0].startswith("-") and not PREDICT.takes_setting(words[0]):
        return True
    stage = COMMANDS[PREDICT.name]
    assert isinstance(stage, Stage)
    given, unknown = stage_parser(stage).parse_known_intermixed_args(as_overrides(words))
    return bool(unknown) or not all(map(PREDICT.takes_setting, given.overrides))


def _run_stage(stage: Stage, words: list[str]) -> int:
    if stage.name == PREDICT.name and not {"-h", "--help"}.isdisjoint(words):
        tool_parser(PREDICT).print_help()
        print("\nWithout a PATH:\n")
    signal.signal(signal.SIGTERM, _stop)
    logging.raiseExceptions = False  # else each line that finds no room would be a traceback
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names that are not UTF-8
    return run_stage(stage, words)


def _run_tool(tool: Tool, words: list[str]) -> int:
    _end_with_reader()
    given = parse_tool(tool, words)
    return int(load(tool.function)(given))


def _end_with_reader() -> None:
    """End quietly when the reader of standard output, `head` say, has seen enough."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def _open_streams() -> None:
    """See that there are streams, and that any name can be written to them."""
    out = sys.stdout if sys.stdout is sys.__stdout__ else None
    if out and isinstance(raw := cast("Any", out).buffer, io.RawIOBase):
        # By PYTHONUNBUFFERED. Lines come as soon, and one without room is noticed at the end.
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(raw), out.encoding, line_buffering=True)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the shell
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - to the end
        elif stream.encoding.lower().replace("-", "") == "utf8":
            stream.reconfigure(errors="surrogateescape")  # names that are not UTF-8, as they are
        else:
            stream.reconfigure(errors="backslashreplace")
