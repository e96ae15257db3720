"""What can be typed after the name of a command, and the network it names; light for any help."""

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pawprint.config.compose import compose_tracking
from pawprint.config.overrides import as_overrides, is_setting
from pawprint.system.errors import UserError
from pawprint.tracking.location import stands_alone
from pawprint.tracking.names import CHAMPION, FORMS

HOST, PORT = "127.0.0.1", 8000
SURE_PRECISION = "--sure-precision"
PREVIEW = "--augment-preview"
INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")


@dataclass(frozen=True)
class Stage:
    """A command whose function takes the configuration."""

    name: str
    help: str  # one line
    function: str  # "module:name"
    sweeps: bool = False  # whether `-m` gives the work to the configured sweeper
    preview: str | None = None  # the function that `--augment-preview` calls instead


@dataclass(frozen=True)
class Tool:
    """A command with arguments of its own."""

    name: str
    help: str  # one line
    function: str  # "module:name"; takes the parsed arguments, returns the exit code
    more: str = ""  # what else its help tells, in sentences
    add_options: Callable[[argparse.ArgumentParser], None] | None = None
    operand: str = ""  # what its other arguments are called, if it takes any
    least: int = 0  # how many of them it needs
    most: int | None = 0  # how many it takes; None for any number
    keys: tuple[str, ...] = ()  # of which it takes settings; empty for all

    def takes_setting(self, word: str) -> bool:
        """Whether a word is a setting, and not the name of something; a file goes before it."""
        is_key = not self.keys or word.partition("=")[0].split(".")[0] in self.keys
        return is_setting(word) and is_key and not (self.operand and os.path.lexists(word))


def new_parser(name: str, usage: str, about: str, add_help: bool) -> argparse.ArgumentParser:
    """A parser of `pawprint NAME`; ``usage`` is what stands before its settings."""
    return argparse.ArgumentParser(
        f"pawprint {name}",
        usage=f"%(prog)s{usage} [key=value ...] [option ...]",
        description=f"{about[0].upper()}{about[1:]}",
        add_help=add_help,
        allow_abbrev=False,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=32, width=100),
    )


def stage_parser(stage: Stage) -> argparse.ArgumentParser:
    """What can be typed after the name of a stage: settings, and Hydra's options."""
    parser = new_parser(stage.name, "", f"{stage.help}.", False)
    hidden = argparse.SUPPRESS
    add = parser.add_argument
    add("overrides", nargs="*", metavar="key=value", help=hidden)
    sweep = "train once for each combination of values: depth=2,3 optimizer=adam,sgd"
    add("-m", "--multirun", action="store_true", help=sweep if stage.sweeps else hidden)
    draw = "draw training pictures as augment varies them, instead of training"
    add(PREVIEW, action="store_true", help=draw if stage.preview else hidden)
    text = "print the configuration instead of running: job, hydra or all"
    add("-c", "--cfg", choices=("job", "hydra", "all"), metavar="WHAT", help=text)
    add("--resolve", action="store_true", help="with --cfg: print values in place of ${...}")
    add("-p", "--package", metavar="KEY", help="with --cfg: print this part alone")
    text = f"print how Hydra composes it: {', '.join(INFO)}"
    add("-i", "--info", nargs="?", const="all", choices=INFO, metavar="WHAT", help=text)
    add("-cd", "--config-dir", metavar="FOLDER", help="one with more choices, beside conf/")
    add("-cn", "--config-name", metavar="NAME", default="config", help="conf/NAME.yaml instead")
    completion = "install=bash (zsh, fish): print shell completion, for eval; also uninstall"
    add("-sc", "--shell-completion", action="store_true", help=completion)
    add("-h", "--help", action="store_true", help="print this, with the values that settings give")
    add("--hydra-help", action="store_true", help="print Hydra's own help")
    add("--run", action="store_true", help=hidden)
    add("-cp", "--config-path", help=hidden)
    add("--experimental-rerun", help=hidden)
    return parser


def tool_parser(tool: Tool) -> argparse.ArgumentParser:
    """The parser of a tool's arguments."""
    operands = f" {tool.operand}" if tool.least else f" [{tool.operand}]" if tool.operand else ""
    several = " ..." if tool.most is None else ""
    parser = new_parser(tool.name, f"{operands}{several}", f"{tool.help}. {tool.more}", True)
    keys = f"a key of {', '.join(tool.keys)}" if tool.keys else "any key of params.yaml"
    what = f"{'or key=value: ' if tool.operand else ''}{keys}, for this call"
    parser.add_argument("words", nargs="*", metavar=tool.operand or "key=value", help=what)
    if tool.add_options:
        tool.add_options(parser)
    return parser


def parse_tool(tool: Tool, words: list[str]) -> argparse.Namespace:
    """The options of a tool, and apart from each other ``operands`` and ``settings``."""
    parser = tool_parser(tool)
    if tool.add_options is None:  # else an option of that name is its own
        words = as_overrides(words)
    place = words.index("--") if "--" in words else len(words)  # argparse refuses names like -x.jpg
    given = parser.parse_intermixed_args(words[:place])
    given.words += words[place + 1 :]
    given.settings = [word for word in given.words if tool.takes_setting(word)]
    given.operands = [word for word in given.words if not tool.takes_setting(word)]
    if "" in given.operands:
        parser.error(f"argument {tool.operand}: a name is empty")
    if len(given.operands) < tool.least:
        parser.error(f"the following arguments are required: {tool.operand}")
    if tool.most is not None and len(given.operands) > tool.most:
        parser.error(f"{given.operands[tool.most]!r} is not a setting; give key=value")
    return given


def add_network(parser: argparse.ArgumentParser, sure: argparse._ActionsContainer) -> None:
    """Add ``--model``, and ``--sure-precision`` to the parser or a group of it."""
    parser.add_argument("--model", metavar="NAME", help=f"{FORMS}; without it the champion")
    sure.add_argument(
        SURE_PRECISION,
        metavar="SHARE",
        help='share of the answers that is to be right, less sure pictures are "not sure"; '
        "without it sure_precision of params.yaml, if the model is no file",
    )


def add_log(parser: argparse.ArgumentParser) -> None:
    """Add ``--log``."""
    text = "log what is seen and answered, for `pawprint drift`"
    parser.add_argument("--log", type=Path, metavar="FILE", help=text)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_init(parser: argparse.ArgumentParser) -> None:
    """Add the options of `pawprint init`."""
    add = parser.add_argument
    text = "your pictures, a folder of class folders or an archive; without it a drawn sample"
    add("--images", metavar="PATH", help=text)
    add("--copy", action="store_true", help="copy the pictures into the project, for DVC to keep")
    text = "pictures that the stage predict classifies; without it there is no such stage"
    add("--predict-images", metavar="PATH", help=text)
    add("--conf", action="store_true", help="write all files of conf/, to change them")
    text = "write a workflow that reproduces each pull request: github"
    add("--ci", metavar="WHERE", help=text)


def add_predict(parser: argparse.ArgumentParser) -> None:
    """Add the options of `pawprint predict PATH`."""
    add = parser.add_argument
    add("-r", "--recursive", action="store_true", help="enter sub-folders")
    add("--top", type=positive, metavar="N", help="name the N most probable classes")
    sure = parser.add_mutually_exclusive_group()
    text = 'least probability of an answer, 0 to 1; a picture below it is "not sure"'
    sure.add_argument("--threshold", type=probability, metavar="P", help=text)
    add_network(parser, sure)
    forms = parser.add_mutually_exclusive_group()
    for form, text in (("json", "a JSON list"), ("csv", "CSV"), ("parquet", "Parquet")):
        text = f"write {text}"
        forms.add_argument(f"--{form}", action="store_const", const=form, dest="form", help=text)
    text = "write .csv, .json or .parquet; stopped, the same command goes on"
    add("-o", "--output", type=Path, metavar="FILE", help=text)
    add_log(parser)


def add_serve(parser: argparse.ArgumentParser) -> None:
    """Add the options of `pawprint serve`."""
    add = parser.add_argument
    add("--host", default=HOST, help=f"address to listen at (default {HOST})")
    add("--port", type=int, default=PORT, help=f"port, 0 for a free one (default {PORT})")
    add_network(parser, parser)
    add("--max-megabytes", type=float, metavar="N", help="of a picture file (default 20)")
    add("--max-megapixels", type=float, metavar="N", help="of a picture (default 50)")
    add_log(parser)
    text = "of a proxy before it, or of a site whose pages may ask; may be given again"
    add("--allow-host", action="append", default=[], metavar="NAME", help=text)
    add("--max-files", type=int, metavar="N", help="of a request (default 32)")


def add_champion(parser: argparse.ArgumentParser) -> None:
    """Add the options of `pawprint champion`."""
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--rollback", action="store_true", help="first go back to the one before")
    text = "first make a version, as v3 or challenger, champion on purpose; with --reason"
    ways.add_argument("--promote", metavar="VERSION", help=text)
    parser.add_argument("--reason", metavar="TEXT", help="why it is promoted, for the record")
    add_json(parser)


def add_compare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `pawprint compare`."""
    text = "the last N evaluated runs; without a RUN: 2"
    parser.add_argument("--last", type=int, metavar="N", help=text)
    add_json(parser)


def add_card(parser: argparse.ArgumentParser) -> None:
    """Add the options of `pawprint card`."""
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write it to a file")


def add_drift(parser: argparse.ArgumentParser) -> None:
    """Add the options of `pawprint drift`."""
    add = parser.add_argument
    add("--since", metavar="TIME", help="a day or a moment, UTC: 2025-01-31T18:00")
    text = "a network as the log names it, or its run; without it the one that answered last"
    add("--model", metavar="NAME", help=text)
    add("--fail-on-change", action="store_true", help="exit code 3 where something changed")
    add_json(parser)


def positive(text: str) -> int:
    """A typed count, 1 or more, as argparse wants its types."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number of 1 or more")
    return int(text)


def probability(text: str) -> float:
    """A typed probability, 0 to 1, as argparse wants its types."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no probability from 0 to 1")
    return value


@dataclass(frozen=True)
class NetworkChoice:
    """A network by its name, as ``find_network`` takes it."""

    name: str
    uri: str | None  # configured tracking URI; None for the project's own
    sure_precision: float | None  # share of the answers that are to be right


def choose_network(
    model: str | None, sure_precision: str | None, settings: Sequence[str] = ()
) -> NetworkChoice:
    """The network that `--model`, `--sure-precision` and settings mean.

    A file stands for itself: it needs no project, and nothing of params.yaml counts. Neither does
    what `MLFLOW_TRACKING_URI` leads to outside of any project.

    Raises:
        UserError: there is no project or its configuration is wrong, or the share is none.
    """
    if model is not None and not settings and stands_alone(model):
        return NetworkChoice(model, None, _precision(sure_precision))
    if sure_precision is not None:
        settings = [*settings, f"sure_precision={sure_precision}"]
    tracking, precision = compose_tracking(settings)
    name = model or f"models:/{tracking.registered_model}@{CHAMPION}"
    return NetworkChoice(name, tracking.uri, precision)


def _precision(text: str | None) -> float | None:
    try:
        precision = None if text is None else probability(text)
    except argparse.ArgumentTypeError:
        precision = 0
    if precision == 0:
        raise UserError(f"{SURE_PRECISION} is {text}; give a number above 0, at most 1")
    return precision
