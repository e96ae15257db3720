"""The typed schema of the configuration, its one resolver, and how an entry point gets it."""

from __future__ import annotations

import difflib
import math
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from pawprint.errors import UserError

CHOICES = ("augment", "model", "optimizer", "schedule", "tracking")


def within(
    low: float | None = None,
    high: float | None = None,
    *,
    above: float | None = None,
    below: float | None = None,
) -> Any:
    """A field that must be given, at least ``low``, at most ``high``, ``above`` and ``below``."""
    bounds = {"at least": low, "above": above, "at most": high, "below": below}
    return field(default="???", metadata={k: v for k, v in bounds.items() if v is not None})


@dataclass
class Augment:
    """How a training picture is varied; every figure is a range drawn from uniformly."""

    name: str = "???"
    horizontal_flip: bool = False
    zoom: float = within(0, below=1)
    shear: float = within(0, below=1.5)
    rotation: float = within(0, 180)
    shift: float = within(0, below=1)


@dataclass
class Model:
    """Which network, how wide its first block is, and its own depth where it has one."""

    name: str = "???"
    depth: int | None = field(default=None, metadata={"at least": 1, "at most": 8})
    filters: int = within(1, 1024)


@dataclass
class Optimizer:
    """A Keras optimizer by its Keras name; what is None is left to Keras."""

    name: str = "???"
    learning_rate: float = within(above=0, below=math.inf)
    weight_decay: float | None = field(default=None, metadata={"at least": 0, "below": math.inf})
    momentum: float | None = field(default=None, metadata={"at least": 0, "below": 1})
    nesterov: bool | None = None
    rho: float | None = field(default=None, metadata={"at least": 0, "below": 1})
    beta_1: float | None = field(default=None, metadata={"at least": 0, "below": 1})
    beta_2: float | None = field(default=None, metadata={"at least": 0, "below": 1})
    epsilon: float | None = field(default=None, metadata={"above": 0, "below": math.inf})


@dataclass
class Schedule:
    """How the learning rate moves during training."""

    name: str = "???"
    warmup_fraction: float = field(default=0.0, metadata={"at least": 0, "below": 1})
    final_fraction: float = field(default=0.0, metadata={"at least": 0, "at most": 1})


@dataclass
class Tracking:
    """Where runs and models are recorded; ``uri`` None means the project's own store."""

    name: str = "???"
    uri: str | None = None
    experiment: str = "???"
    registered_model: str = "???"


@dataclass
class Config:
    """The whole configuration, as an entry point sees it.

    Values come from ``params.yaml``; the groups from the files of ``conf/`` that it chooses.
    """

    images: str = "???"
    predict_images: str = "???"
    image_size: int = within(8, 1024)
    validation_fraction: float = within(above=0, below=1)
    test_fraction: float = within(above=0, below=1)
    max_refused_fraction: float = within(0, 1)
    seed: int = within(0, 2**32 - 1)
    depth: int = within(1, 8)
    dropout: float = within(0, below=1)
    dense_units: int = within(1, 65536)
    learning_rate: float | None = within(above=0, below=math.inf)
    epochs: int = within(1, 100_000)
    patience: int = within(1, 100_000)
    batch_size: int = within(1, 65536)
    steps_per_epoch: int | None = within(1)
    validation_steps: int | None = within(1)
    augment: Augment = field(default_factory=Augment)
    model: Model = field(default_factory=Model)
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: Schedule = field(default_factory=Schedule)
    tracking: Tracking = field(default_factory=Tracking)

    def flat(self) -> dict[str, Any]:
        """Every resolved parameter by its name on the command line, without the unset ones.

        A choice stands under its group's name (``optimizer: adam``), what it means below it
        (``optimizer.beta_1: 0.9``); ``learning_rate`` and ``depth`` are those in force.
        """
        parameters: dict[str, Any] = {}
        for key, value in vars(self).items():
            if key in CHOICES:
                parameters[key] = value.name
                details = {k: v for k, v in vars(value).items() if k != "name" and v is not None}
                parameters |= {f"{key}.{k}": v for k, v in details.items()}
            else:
                parameters[key] = value
        parameters |= {"learning_rate": self.rate, "depth": self.blocks}
        parameters.pop("optimizer.learning_rate")
        parameters.pop("model.depth", None)
        return parameters

    @property
    def rate(self) -> float:
        """The learning rate in force: ``learning_rate``, or where it is null the optimizer's."""
        return self.optimizer.learning_rate if self.learning_rate is None else self.learning_rate

    @property
    def blocks(self) -> int:
        """The depth in force: the chosen network's own, or where it has none ``depth``."""
        return self.depth if self.model.depth is None else self.model.depth


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
    known = [f.name for f in fields(Config)]
    for key in params:
        if key not in known:
            raise UserError(f"params.yaml: there is no key {key!r}; {_suggest(str(key), known)}")
    missing = [key for key in known if key not in params]
    if missing:
        raise UserError(f"params.yaml: the key {missing[0]!r} is missing; add it")
    return params


def run_stage(stage: str, task: Callable[[Config], Any]) -> None:
    """Compose the configuration from the command line, call ``task`` with it, end the process.

    Exit code 0, or 1 after one sentence on standard error where the person can mend it.
    ``--key value`` is read as ``key=value``, which is how ``mlflow run -P key=value`` passes it.
    """
    try:
        root = project_root()
        sys.argv[1:] = as_overrides(sys.argv[1:])
        params = read_params(root)
        _check_overrides(root, params, sys.argv[1:])
        _call_hydra(root, stage, task)
    except UserError as error:
        fail(error)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)


def fail(error: UserError) -> None:
    """Print the error's sentence and end the process with exit code 1."""
    sys.stdout.flush()
    print(f"error: {error}", file=sys.stderr)
    sys.exit(1)


def compose(overrides: list[str] | None = None) -> Config:
    """The configuration with ``overrides`` (``key=value``), without an entry point.

    Raises:
        UserError: an unknown key or choice, a wrong type or a value out of range.
    """
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    root = project_root()
    _check_overrides(root, read_params(root), overrides or [])
    _register(root)
    try:
        with hydra.initialize_config_dir(str(root / "conf"), version_base="1.3"):
            tree = hydra.compose("config", overrides or [])
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        raise _explained(error) from None
    return _typed(tree)


def _call_hydra(root: Path, stage: str, task: Callable[[Config], Any]) -> None:
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException
    from hydra.types import RunMode
    from omegaconf.errors import OmegaConfBaseException

    from pawprint.sweep import close_unfinished, note_failure

    def run(tree: Any) -> Any:
        try:
            return task(_typed(tree))
        except UserError as error:
            job = HydraConfig.get()
            if job.mode != RunMode.MULTIRUN:
                fail(error)  # from Hydra it would come with lines of its own
            print(f"error: {error}; the other trials go on", file=sys.stderr)
            note_failure(Path(job.runtime.output_dir), job.job.override_dirname, str(error))

    _register(root)
    sys.argv.append(f"hydra.job.name={stage}")
    wants_traceback = "HYDRA_FULL_ERROR" in os.environ
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions reach us instead of being printed
    try:
        hydra.main(config_path=str(root / "conf"), config_name="config", version_base="1.3")(run)()
    except BaseException as error:
        close_unfinished("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        theirs = isinstance(error, HydraException | OmegaConfBaseException | yaml.YAMLError)
        if wants_traceback or not theirs:
            raise
        raise _explained(error) from None


def _register(root: Path) -> None:
    """Make the schema and the resolvers known to Hydra."""
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    ConfigStore.instance().store(name="schema", node=Config)
    OmegaConf.register_new_resolver("params", lambda key: read_params(root)[key], replace=True)
    OmegaConf.register_new_resolver("root", lambda: str(root), replace=True)


def _typed(tree: Any) -> Config:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        config = OmegaConf.to_object(tree)
    except OmegaConfBaseException as error:
        raise _explained(error) from None
    _check_ranges(config)
    for key in ("images", "predict_images"):
        if not getattr(config, key).strip():
            raise UserError(f"{key} is empty; give the path of a folder with pictures")
    held_out = config.validation_fraction + config.test_fraction
    if held_out >= 1:
        raise UserError(
            f"validation_fraction + test_fraction is {held_out:g}, which leaves no picture "
            "for training; make them sum to less than 1"
        )
    return config


def _check_ranges(node: Any, prefix: str = "") -> None:
    for f in fields(node):
        value, key = getattr(node, f.name), f"{prefix}{f.name}"
        if is_dataclass(value):
            _check_ranges(value, f"{key}.")
        elif value == "???":  # taken away by ~key
            raise UserError(f"{key} has no value; give one")
        elif value is not None and f.metadata:
            bounds = f.metadata
            good = (
                value >= bounds.get("at least", value)
                and value <= bounds.get("at most", value)
                and not ("above" in bounds and not value > bounds["above"])
                and not ("below" in bounds and not value < bounds["below"])
            )
            if not good:
                words = " and ".join(f"{word} {bound}" for word, bound in bounds.items())
                raise UserError(f"{key} is {value}, but must be {words}; change it")


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


def as_overrides(arguments: list[str]) -> list[str]:
    """The arguments with each ``--key value`` of a configuration key turned into ``key=value``."""
    known = {f.name for f in fields(Config)}
    overrides: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or name.split(".")[0] not in known:
            overrides.append(argument)
            continue
        value = value if equals else next(rest, None)
        if value is None:
            raise UserError(f"command line: {argument} has no value; give {name}=VALUE")
        overrides.append(f"{name}={value}")
    return overrides


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
