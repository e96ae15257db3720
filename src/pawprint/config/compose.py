"""From params.yaml, conf/ and settings to one typed configuration."""

import math
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from operator import ge, gt, le, lt
from pathlib import Path
from typing import Any

import yaml

from pawprint.config.overrides import (
    KEYS,
    NO_RECIPE,
    RECIPE,
    as_overrides,
    check_choices,
    check_keys,
    named_recipe,
    overrides_of,
    read_recipe,
    read_yaml,
    suggest,
)
from pawprint.config.paths import PACKAGE, conf_file, conf_folders
from pawprint.config.schema import DESCRIPTION, ONE_OF, Config, Gate, Growth, Model, Tracking
from pawprint.system.errors import UserError

BOUNDS = {"at least": ge, "above": gt, "at most": le, "below": lt}


def project_root() -> Path:
    """The nearest folder with ``dvc.yaml`` and ``params.yaml``, from the current folder upward.

    Raises:
        UserError: there is none, or it has code of pawprint that is not this code.
    """
    if root := find_project():
        return root
    raise UserError(
        f"no pawprint project found: neither {Path.cwd()} nor a folder above it has dvc.yaml and "
        "params.yaml; change into the project's folder, or make one with `pawprint init FOLDER`"
    )


def find_project() -> Path | None:
    """As ``project_root``, but None where there is no project.

    Raises:
        UserError: it has code of pawprint that is not this code.
    """
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise UserError("the current folder was removed; change into the project's") from None
    for folder in (here, *here.parents):
        settings = (folder / "params.yaml").is_file() or (folder / "conf").is_dir()
        if settings and (folder / "dvc.yaml").is_file():
            own = folder / "src" / "pawprint"
            if own.is_dir() and not own.samefile(PACKAGE):
                raise UserError(
                    f"{folder} has its own code in src/, but this pawprint is that of {PACKAGE}; "
                    f"run it as `PYTHONPATH=src pawprint …` in {folder}"
                )
            return folder
    return None


def read_params(root: Path) -> dict[str, Any]:
    """The content of ``params.yaml``, its keys checked against the schema.

    Raises:
        UserError: the file is missing or no YAML mapping, or a key is unknown or missing.
    """
    path = root / "params.yaml"
    try:
        params = read_yaml(path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing; restore it, for example from git") from None
    known = [key for key in KEYS if key != "sweep"]
    for key in params:
        if key not in known:
            raise UserError(f"params.yaml: there is no key {key!r}; {suggest(str(key), known)}")
    missing = [key for key in known if key not in params]
    if missing:
        raise UserError(f"params.yaml: the key {missing[0]!r} is missing; add it")
    return params


@dataclass(frozen=True)
class Settings:
    """What is set, and where; the recipe goes before ``params.yaml``, the command line before both.

    Attributes:
        params: values by key, of ``params.yaml``; ``recipe`` is the name of the one in force.
        recipe: values by key, of that recipe's file, but for those that the command line sets.
        given: of the command line, ``key=value`` each.
        where: the recipe is named, "params.yaml" or "command line".
    """

    params: dict[str, Any]
    recipe: dict[str, Any]
    given: list[str]
    where: str

    @property
    def overrides(self) -> list[str]:
        """All that goes before ``params.yaml``, as Hydra takes it."""
        return [*overrides_of(self.recipe), *self.given]

    def replaced(self, keys: Collection[str] | None = None) -> str:
        """A sentence on the values of ``params.yaml`` that its own recipe goes before, if any.

        Args:
            keys: those that count; None for all.
        """
        if self.where != "params.yaml":
            return ""
        shown = [
            f"{override} (not {overrides_of({key: self.params[key]})[0].partition('=')[2]})"
            for key, override in zip(self.recipe, overrides_of(self.recipe), strict=True)
            if key in self.params and self.params[key] != self.recipe[key]
            if keys is None or key in keys
        ]
        said = (
            f"recipe={self.params[RECIPE]} goes before params.yaml: {', '.join(shown)}; "
            "`pawprint pipeline KEY=VALUE` sets another value"
        )
        return said if shown else ""


def read_settings(root: Path, words: Sequence[str] = (), *more_folders: Path) -> Settings:
    """What ``params.yaml``, its recipe or another one, and words as by ``as_overrides`` set.

    Raises:
        UserError: an unknown key, choice or recipe.
    """
    params, folders = read_params(root), [*conf_folders(root), *more_folders]
    name, where, given = named_recipe(words, params[RECIPE])
    recipe = read_recipe(root, name, where, folders)
    check_keys(given)
    keys = {re.split(r"[=@]", word.lstrip("+~"))[0] for word in given}
    # Where another choice was given, what the recipe says within its own has no place.
    left = {k: v for k, v in recipe.items() if not {k, k.partition(".")[0]} & keys}
    params[RECIPE] = NO_RECIPE if name is None else name
    settings = Settings(params, left, given, where)
    check_choices(params, settings.overrides, folders)
    return settings


def compose(words: Sequence[str] = ()) -> Config:
    """The configuration with settings (``key=value``).

    Raises:
        UserError: an unknown key or choice, a wrong type or a value out of range.
    """
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    root = project_root()
    settings = read_settings(root, as_overrides(words))
    try:
        with hydra_of(root, settings.params):
            tree = hydra.compose("config", settings.overrides)
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        raise explained(error) from None
    return typed(tree)


def compose_tracking(words: Sequence[str] = ()) -> tuple[Tracking, float | None]:
    """``tracking`` and ``sure_precision``, all that a prediction needs of the configuration.

    Read at once where they are plain values, as a person who waits for an answer would wish;
    Hydra, which takes as long as the answer, composes what is more than that.

    Raises:
        UserError: as ``compose``.
    """
    root = project_root()
    if not words:
        params = read_params(root)
        if plain := _plain_tracking(root, params | read_recipe(root, params[RECIPE])):
            return plain
    config = compose(words)
    return config.tracking, config.sure_precision


def _plain_tracking(root: Path, params: dict[str, Any]) -> tuple[Tracking, float | None] | None:
    """The two where `conf/` gives them as ``params`` and one file of plain texts say, else None.

    Whatever is not as expected is left to Hydra, which says what is wrong with it.
    """
    try:
        contents = read_yaml(conf_file(root, "config.yaml"))
        tracking = Tracking(**read_yaml(conf_file(root, f"tracking/{params['tracking']}.yaml")))
        as_shipped = (
            {"tracking": "${params:tracking}"} in contents["defaults"]
            and contents["sure_precision"] == "${params:sure_precision}"
            and "tracking" not in contents
            and not any(key.startswith("tracking.") for key in params)
        )
    except (OSError, UserError, KeyError, TypeError):
        return None
    are_plain = all(
        isinstance(text, str) and text.strip() and "$" not in text and text != "???"
        for key, text in vars(tracking).items()
        if key != "uri" or text is not None
    )
    sure = params["sure_precision"]
    is_plain = sure is None or (type(sure) is float and 0 < sure <= 1)
    return (tracking, sure) if as_shipped and are_plain and is_plain else None


@contextmanager
def hydra_of(root: Path, params: Mapping[str, Any], job: str = "app") -> Iterator[Any]:
    """Hydra on ``conf_folders``, which knows the schema and the resolvers in config.yaml.

    Args:
        root: of the project.
        params: values of ``params.yaml`` by key.
        job: what Hydra calls it.
    """
    from hydra import initialize_config_dir
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    ConfigStore.instance().store(name="schema", node=Config)
    OmegaConf.register_new_resolver("params", params.__getitem__, replace=True)
    OmegaConf.register_new_resolver("root", lambda: str(root), replace=True)
    first, *others = conf_folders(root)
    with initialize_config_dir(str(first), job_name=job, version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        search_path = hydra.config_loader.get_search_path()
        for folder in others:
            search_path.prepend("pawprint", str(folder), "schema")
        hydra.config_loader = ConfigLoaderImpl(search_path)
        yield hydra


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
        raise explained(error) from None
    assert isinstance(config, Config)
    check(config)
    return config


def explained(error: BaseException) -> UserError:
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
    if (key := getattr(error, "full_key", None)) and key not in sentence:
        sentence = f"{key}: {sentence}"
    if sentence.startswith("Ambiguous value"):  # several, as for an axis of a sweep
        return UserError(f"{sentence}; add -m to train once with each of them")
    if sentence.startswith("Cannot find primary config"):
        return UserError(f"{sentence.partition('.')[0]}; give --config-name a file of conf/")
    return UserError(f"{sentence}; give another value, in params.yaml or as key=value")


def check(config: Config) -> None:
    """Refuse values out of range and values that do not fit together.

    Raises:
        UserError: names the key, its value and what it may be.
    """
    _check_ranges(config)
    for key in ("images", "predict_images", "unlabelled"):
        if (path := getattr(config, key)) is not None:
            check_path(key, path)
    for key in ("experiment", "registered_model"):
        if not getattr(config.tracking, key).strip():
            raise UserError(f"tracking.{key} is empty; give it a name")
    held_out = config.validation_fraction + config.test_fraction
    if held_out >= 1:
        raise UserError(
            f"validation_fraction + test_fraction is {held_out:g}, which leaves no picture "
            "for training; make them sum to less than 1"
        )
    if config.augment.scale_from > config.augment.scale_to:
        raise UserError(
            f"augment.scale_from is {config.augment.scale_from:g}, more than augment.scale_to "
            f"({config.augment.scale_to:g}); make it the smaller one"
        )
    _check_growth(config.growth)
    _check_pixels(config.model)
    for key in ("warmup_fraction", "final_fraction"):
        if config.schedule.name == "constant" and (share := getattr(config.schedule, key)):
            raise UserError(
                f"schedule.{key} is {share:g}, but schedule=constant keeps one rate; leave it out "
                "or choose schedule=cosine or one_cycle"
            )
    needs = ("backbone", "weights", "unfreeze", "head_epochs", "head_rate")
    _check_needs("model", config.model, "transfer", needs)
    _check_needs("gate", config.gate, "better", ("significance",))
    _check_needs("gate", config.gate, "not_worse", ("margin",))
    _check_teacher(config)
    if config.model.name in ("article", "cnn", "resnet") and config.filters is None:
        raise UserError("model.width has no value; give one, or set width")


def _check_teacher(config: Config) -> None:
    if config.teacher is not None and config.frozen:
        raise UserError(
            f"teacher is {config.teacher}, but of a frozen backbone the head alone learns, from "
            "features of whole pictures; set teacher to null, or model.unfreeze above 0"
        )


def _check_needs(group: str, chosen: Model | Gate, name: str, keys: tuple[str, ...]) -> None:
    """Refuse a choice called ``name`` that lacks a value for one of ``keys``."""
    missing = [key for key in keys if getattr(chosen, key) is None]
    if chosen.name == name and missing:
        raise UserError(
            f"{group}.{missing[0]} has no value, which {group}={name} needs; give one, as "
            f"conf/{group}/{name}.yaml does"
        )


def check_path(key: str, meant: str) -> None:
    """Refuse a path that DVC and the stages would not take for the same.

    Raises:
        UserError: it is empty, or has a ~ or a variable in it.
    """
    if not meant.strip():
        raise UserError(f"{key} is empty; give the path of a folder with pictures")
    # DVC watches the path as it is written, so it may not mean another one to the stages.
    whole = os.path.expandvars(os.path.expanduser(meant))  # noqa: PTH111
    if whole != meant and "://" not in meant:
        raise UserError(f"{key} is {meant}, but DVC takes ~ and $ as they are; write it as {whole}")


def _check_growth(growth: Growth) -> None:
    sizes, until = growth.sizes, growth.until
    if not sizes or any(not 0 < size <= 1 for size in sizes):
        raise UserError(
            f"growth.sizes is {sizes}, but must be shares of image_size above 0 and at most 1; "
            "give one or more"
        )
    if list(sizes) != sorted(sizes):
        raise UserError(
            f"growth.sizes is {sizes}, but pictures only grow; put the smaller shares first"
        )
    rising = all(a < b for a, b in zip([0.0, *until], [*until, 1.0], strict=True))
    if len(until) != len(sizes) - 1 or not rising:
        raise UserError(
            f"growth.until is {until}, but must be {len(sizes) - 1} rising shares of the epochs "
            "between 0 and 1, one for each size but the last; change it"
        )


def _check_pixels(model: Model) -> None:
    for key in ("scale", "offset"):
        given = getattr(model, key)
        numbers = given if isinstance(given, list) and len(given) == 3 else [given]
        if given is not None and not all(
            type(number) in (int, float) and math.isfinite(number) for number in numbers
        ):
            raise UserError(
                f"model.{key} is {given}, but must be a number, or three as [0.5,0.5,0.5]; change "
                "it"
            )
    if model.scale is not None and model.pixels is not None:
        raise UserError(
            f"model.pixels is {model.pixels} and model.scale {model.scale}, which both say how "
            "pixels are seen; set one of them to null"
        )
    if model.scale is None and model.offset is not None:
        raise UserError(
            f"model.offset is {model.offset}, but is added to what model.scale makes, which is "
            "null; set model.scale too"
        )


def _check_ranges(node: Any, prefix: str = "") -> None:
    for f in fields(node):
        value, name = getattr(node, f.name), f"{prefix}{f.name}"
        if is_dataclass(value):
            _check_ranges(value, f"{name}.")
        elif value == "???":  # taken away by ~key
            raise UserError(f"{name} has no value; give one")
        elif value is not None and not _is_allowed(value, f.metadata):
            raise UserError(f"{name} is {value}, but must be {format_range(f.metadata)}; change it")


def _is_allowed(value: Any, limits: Mapping[str, Any]) -> bool:
    bounds = [(BOUNDS[word], limit) for word, limit in limits.items() if word in BOUNDS]
    return value in limits.get(ONE_OF, [value]) and all(holds(value, x) for holds, x in bounds)


def format_range(limits: Mapping[str, Any]) -> str:
    """What a key may be by its metadata, as "at least 0 and below 1"; empty for anything."""
    if ONE_OF in limits:
        return f"one of {', '.join(limits[ONE_OF])}"
    return " and ".join(f"{word} {bound}" for word, bound in limits.items() if word != DESCRIPTION)
