"""From params.yaml, conf/ and the command line to the configuration of an entry point."""

from __future__ import annotations

import atexit
import difflib
import gc
import json
import os
import re
import signal
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from pawprint.config.schema import CHOICES, Config, Tracking, check
from pawprint.system.dvc_outputs import bring_back
from pawprint.system.errors import UserError

PATHS = ("images", "predict_images", "model.weights")
RECIPE = "recipe="
SWEEP_WORDS = ("-m", "--multirun")


def project_root() -> Path:
    """The nearest folder with a ``dvc.yaml`` above this code, else above the current folder.

    Raises:
        UserError: there is none.
    """
    for start in (Path(__file__).resolve().parent, Path.cwd()):
        for folder in (start, *start.parents):
            if (folder / "dvc.yaml").is_file() and (folder / "conf" / "config.yaml").is_file():
                return folder
    raise UserError(
        f"no pawprint project found: neither {Path.cwd()} nor a folder above it "
        "has dvc.yaml and conf/config.yaml; change into the project's folder"
    )


def read_params(root: Path) -> dict[str, Any]:
    """The content of ``params.yaml``, its keys checked against the schema.

    Raises:
        UserError: the file is missing or no YAML mapping, or a key is unknown or missing.
    """
    path = root / "params.yaml"
    try:
        params = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing; restore it, for example from git") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is not valid YAML ({reason}); mend that line") from None
    if not isinstance(params, dict):
        raise UserError(f"{path} must hold keys and values, one 'key: value' a line")
    known = [f.name for f in fields(Config) if f.name != "sweep"]
    for key in params:
        if key not in known:
            raise UserError(f"params.yaml: there is no key {key!r}; {_suggest(str(key), known)}")
    missing = [key for key in known if key not in params]
    if missing:
        raise UserError(f"params.yaml: the key {missing[0]!r} is missing; add it")
    return params


def run_stage(stage: str, task: Callable[[Config], Any], *, sweeps: bool = False) -> None:
    """Compose the configuration from the command line, call ``task`` with it, end the process.

    With `-m`, a stage that ``sweeps`` gives the work to the configured sweeper instead.

    Exit code 0, or 1 after one sentence on standard error where the person can mend it.
    ``--key value`` is read as ``key=value``, which is how ``mlflow run -P key=value`` passes it.
    """
    signal.signal(signal.SIGTERM, _terminate)
    # TensorFlow and MLflow bring a million objects that stay. To look for cycles among them again
    # and again takes a tenth of a short training, and once more at the end 2 s.
    gc.set_threshold(50_000, 20, 100)
    atexit.register(gc.freeze)
    sys.stdout.reconfigure(errors="backslashreplace")  # names that are not UTF-8
    try:
        root = project_root()
        if not sweeps and (word := next((w for w in sys.argv if w in SWEEP_WORDS), None)):
            raise UserError(f"only train sweeps; leave out {word}")
        try:
            sys.argv[1:] = as_overrides(with_recipe(root, sys.argv[1:]))
            _check_overrides(root, read_params(root), sys.argv[1:])
            _call_hydra(root, stage, task)
        except BaseException as error:
            if not (isinstance(error, SystemExit) and not error.code):
                bring_back(root)
            raise
    except UserError as error:
        fail(error)
    except KeyboardInterrupt as error:
        stopped(error)


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a stage as Ctrl-C does: its run is marked, nothing half-written stays."""


def _terminate(*_: Any) -> None:
    raise _Terminated


def fail(error: UserError) -> None:
    """Print the error's sentence and end the process with exit code 1."""
    sys.stdout.flush()
    print(f"error: {error}", file=sys.stderr)
    sys.exit(1)


def stopped(error: KeyboardInterrupt) -> None:
    """End the process as Ctrl-C or SIGTERM asked, with the exit code of that signal."""
    # Python keeps in mind a Ctrl-C that came in the midst of an exec of text, as dataclasses use
    # it, and would end with the signal whatever becomes of it; the next exec forgets it.
    exec("")
    sys.stdout.flush()
    print("stopped", file=sys.stderr)
    sys.exit(143 if isinstance(error, _Terminated) else 130)


def compose(overrides: list[str] | None = None) -> Config:
    """The configuration with ``overrides`` (``key=value``), without an entry point.

    Raises:
        UserError: an unknown key or choice, a wrong type or a value out of range.
    """
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    root = project_root()
    overrides = with_recipe(root, overrides or [])
    _check_overrides(root, read_params(root), overrides)
    _register(root)
    try:
        with hydra.initialize_config_dir(str(root / "conf"), version_base="1.3"):
            tree = hydra.compose("config", overrides)
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        raise _explained(error) from None
    return typed(tree)


def compose_answering(overrides: list[str] | None = None) -> tuple[Tracking, float | None]:
    """``tracking`` and ``sure_precision``, all that an answer needs of the configuration.

    Read at once where they are plain values, as a person who waits for an answer would wish;
    Hydra, which takes as long as the answer, composes what is more than that.

    Raises:
        UserError: as ``compose``.
    """
    root = project_root()
    plain = None if overrides else _plain_answering(root, read_params(root))
    if plain is None:
        config = compose(overrides)
        plain = config.tracking, config.sure_precision
    return plain


def _plain_answering(root: Path, params: dict[str, Any]) -> tuple[Tracking, float | None] | None:
    """The two where `conf/` gives them as params.yaml and one file of plain texts say, else None.

    Whatever is not as expected is left to Hydra, which says what is wrong with it.
    """
    try:
        contents = yaml.safe_load((root / "conf" / "config.yaml").read_text(encoding="utf-8"))
        file = root / "conf" / "tracking" / f"{params['tracking']}.yaml"
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
        as_shipped = (
            {"tracking": "${params:tracking}"} in contents["defaults"]
            and contents["sure_precision"] == "${params:sure_precision}"
            and "tracking" not in contents
        )
        tracking = Tracking(**values)
    except (OSError, yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError):
        return None
    needed = (tracking.name, tracking.experiment, tracking.registered_model)
    texts = needed if tracking.uri is None else (*needed, tracking.uri)
    are_plain = all(
        isinstance(text, str) and text.strip() and "$" not in text and text != "???"
        for text in texts
    )
    sure = params["sure_precision"]
    is_plain = sure is None or (type(sure) is float and 0 < sure <= 1)
    return (tracking, sure) if as_shipped and are_plain and is_plain else None


def _call_hydra(root: Path, stage: str, task: Callable[[Config], Any]) -> None:
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException
    from hydra.types import RunMode
    from omegaconf.errors import OmegaConfBaseException

    def run(tree: Any) -> Any:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            fail(UserError("hydra/sweeper is none of grid, optuna; choose one of them"))
        try:
            return task(typed(tree))
        except UserError as error:
            fail(error)  # from Hydra it would come with lines of its own

    _register(root)
    sys.argv[1:] = [*_overrides_last(sys.argv[1:]), f"hydra.job.name={stage}"]
    wants_traceback = "HYDRA_FULL_ERROR" in os.environ
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions reach us instead of being printed
    try:
        hydra.main(config_path=str(root / "conf"), config_name="config", version_base="1.3")(run)()
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        if wants_traceback:
            raise
        raise _explained(error) from None


def _register(root: Path) -> None:
    """Make the schema and the resolvers known to Hydra."""
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    ConfigStore.instance().store(name="schema", node=Config)
    params = read_params(root)  # once, not for each of its keys in each trial of a sweep
    OmegaConf.register_new_resolver("params", params.__getitem__, replace=True)
    OmegaConf.register_new_resolver("root", lambda: str(root), replace=True)


def typed(tree: Any) -> Config:
    """The configuration that a composed tree holds.

    Raises:
        UserError: a wrong type, a value out of range, or values that do not fit together.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        config = OmegaConf.to_object(tree)
    except OmegaConfBaseException as error:
        raise _explained(error) from None
    check(config)
    return config


def _explained(error: BaseException) -> UserError:
    """Hydra's, OmegaConf's or YAML's error as one sentence with the key in front."""
    if isinstance(error, yaml.YAMLError):
        reason = " ".join(str(error).split())
        return UserError(f"a file of conf/ is not valid YAML ({reason}); mend that line")
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    sentence = lines[0].rstrip(".").removeprefix("Error merging override ")
    if sentence.endswith(":") and len(lines) > 1:  # "In 'model/cnn': ... while composing config:"
        sentence = f"{sentence} {lines[1].rstrip('.')}"
    if error.__cause__ is not None:
        sentence = f"{sentence}: {str(error.__cause__).splitlines()[0].rstrip('.')}"
    key = getattr(error, "full_key", None)
    if key and key not in sentence:
        sentence = f"{key}: {sentence}"
    return UserError(f"{sentence}; give another value, in params.yaml or as key=value")


def with_recipe(root: Path, arguments: list[str]) -> list[str]:
    """The arguments with ``recipe=NAME`` replaced by the settings in ``conf/recipe/NAME.yaml``.

    What else is on the command line goes before the recipe.

    Raises:
        UserError: there is no such recipe, or its file holds no settings.
    """
    words = list(arguments)
    for place, word in enumerate(words[:-1]):
        if word == "--recipe":  # two words, as `mlflow run` passes them
            words[place : place + 2] = [RECIPE + words[place + 1]]
            break
    places = [i for i, word in enumerate(words) if word.removeprefix("--").startswith(RECIPE)]
    if not places:
        return words
    name = words[places[-1]].partition("=")[2]
    there_is = sorted(path.stem for path in (root / "conf" / "recipe").glob("*.yaml"))
    if "," in name:
        raise UserError(f"command line: recipe={name} is no axis; run a sweep for each recipe")
    if name not in there_is:
        raise UserError(
            f"command line: there is no recipe {name!r}; choose one of {', '.join(there_is)}"
        )
    path = root / "conf" / "recipe" / f"{name}.yaml"
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise _explained(error) from None
    if not isinstance(settings, dict):
        raise UserError(f"{path} must hold keys and values, one 'key: value' a line")
    rest = [word for i, word in enumerate(words) if i not in places]
    given = {word.partition("=")[0].removeprefix("--") for word in rest}
    # Where another choice was given, what the recipe says within its own has no place.
    chosen = {k: v for k, v in settings.items() if not {k, k.partition(".")[0]} & given}
    texts = [f"{k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in chosen.items()]
    return (
        words[: places[0]]
        + texts
        + [w for i, w in enumerate(words) if i > places[0] and i not in places]
    )


def _overrides_last(arguments: list[str]) -> list[str]:
    """The arguments with options first: Hydra takes overrides in one row only."""
    overrides = [a for a in arguments if a.startswith("~") or ("=" in a and a[0] != "-")]
    return [a for a in arguments if a not in overrides] + overrides


def as_overrides(arguments: list[str]) -> list[str]:
    """The arguments with each ``--key value`` of a configuration key turned into ``key=value``."""
    known = {f.name for f in fields(Config)}
    sweeps = not set(SWEEP_WORDS).isdisjoint(arguments)
    overrides: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.removeprefix("--").partition("=")
        if name == "seeds" and sweeps:  # the word for it where there are several
            argument, name = argument.replace("seeds", "seed", 1), "seed"
        if name.split(".")[0] not in known or not (equals or argument.startswith("--")):
            overrides.append(argument)
            continue
        value = value if equals else next(rest, None)
        if value is None:
            raise UserError(f"command line: {argument} has no value; give {name}=VALUE")
        if name in PATHS and not sweeps:
            value = _quoted(value)
        overrides.append(f"{name}={value}")
    return overrides


def _quoted(path: str) -> str:
    """A path as Hydra's grammar takes it, whatever brackets and commas are in it."""
    if re.fullmatch(r"'.*'|\".*\"|[\w./@+ -]*", path, re.ASCII) and path == path.strip():
        return path
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", path)
    return f"'{escaped}'"


def _check_overrides(root: Path, params: dict[str, Any], arguments: list[str]) -> None:
    """Refuse unknown keys and choices before Hydra does, in one sentence each."""
    known = [f.name for f in fields(Config)]
    chosen = {group: [(str(params[group]), "params.yaml")] for group in CHOICES}
    for argument in arguments:
        key, equals, value = argument.lstrip("+~").partition("=")
        if not equals or argument.startswith("-"):
            continue
        name = key.split(".")[0].split("@")[0].split("/")[0]
        if name not in (*known, "hydra"):
            raise UserError(f"command line: there is no key {key!r}; {_suggest(name, known)}")
        if name in CHOICES and key.startswith(f"{name}."):
            within = [f.name for f in fields(getattr(Config(), name))]
            if (inner := key.split(".")[1]) not in within:
                hint = _suggest(inner, within)
                raise UserError(f"command line: {name} has no key {inner!r}; {hint}")
        if key in CHOICES:
            several = [value] if "(" in value else value.split(",")  # choice(a,b) is Hydra's
            chosen[key] = [(choice.strip(), "command line") for choice in several]
    for group, choices in chosen.items():
        there_is = sorted(path.stem for path in (root / "conf" / group).glob("*.yaml"))
        for choice, where in choices:
            if choice not in there_is and "(" not in choice:
                offer = ", ".join(there_is)
                raise UserError(f"{where}: {group} has no choice {choice!r}; choose one of {offer}")


def _suggest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"the keys are {', '.join(known)}"
