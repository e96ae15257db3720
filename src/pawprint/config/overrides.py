"""Words of a command line as settings, ``key=value``: recipes, `mlflow run`'s form, mistakes."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from pawprint.config.paths import conf_file, conf_folders
from pawprint.config.schema import CHOICES, Config
from pawprint.system.errors import UserError

PATHS = ("images", "predict_images", "model.backbone", "model.weights", "teacher", "unlabelled")
RECIPE, NO_RECIPE = "recipe", "none"
SWEEP_OPTIONS = ("-m", "--multirun")
KEYS = tuple(f.name for f in fields(Config))

_SETTING = re.compile(r"(\+{1,2}|~)?([A-Za-z_][\w.@]*|hydra/[\w./@]*)=")


def is_setting(word: str) -> bool:
    """Whether a word has the look of a setting, whatever its key is."""
    return _SETTING.match(word) is not None


def as_overrides(words: Sequence[str]) -> list[str]:
    """The words with each ``--key value`` of a key turned into ``key=value``, as Hydra takes it.

    `mlflow run -P key=value` passes it as two words, and no option of it can do otherwise. A path
    is quoted where Hydra's grammar would see more in it than a path.

    Raises:
        UserError: the last key has no value.
    """
    sweeps = not set(SWEEP_OPTIONS).isdisjoint(words)
    overrides: list[str] = []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.removeprefix("--").partition("=")
        if name == "seeds" and sweeps:  # the word for it where there are several
            word, name = word.replace("seeds", "seed", 1), "seed"
        if name.split(".")[0] not in KEYS or not (equals or word.startswith("--")):
            overrides.append(word)
            continue
        if not equals:
            following = next(rest, None)
            if following is None:
                raise UserError(f"command line: {word} has no value; give {name}=VALUE")
            value = following
        overrides.append(f"{name}={quoted(value) if name in PATHS and not sweeps else value}")
    return overrides


def quoted(path: str) -> str:
    """A path as Hydra's grammar takes it, whatever brackets and commas are in it."""
    if (
        re.fullmatch(r"'.*'|\".*\"|[\w./@+ -]*", path, re.ASCII | re.DOTALL)
        and path == path.strip()
    ):
        return path
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(path, Quote.single).with_quotes()


def named_recipe(words: Sequence[str], chosen: Any) -> tuple[Any, str, list[str]]:
    """The name of the recipe in force, where it stands, and the other words.

    Args:
        words: settings of a command line, of which the last ``recipe=NAME`` counts.
        chosen: the recipe of ``params.yaml``.

    Raises:
        UserError: several recipes are given as an axis.
    """
    names = [word.partition("=")[2] for word in words if word.startswith(f"{RECIPE}=")]
    others = [word for word in words if not word.startswith(f"{RECIPE}=")]
    if not names:
        return chosen, "params.yaml", others
    if "," in names[-1]:
        raise UserError(f"command line: recipe={names[-1]} is no axis; run a sweep for each recipe")
    return None if names[-1] == "null" else names[-1], "command line", others


def read_recipe(
    root: Path, name: Any, where: str = "params.yaml", folders: Sequence[Path] = ()
) -> dict[str, Any]:
    """The settings in ``conf/recipe/NAME.yaml``.

    Args:
        root: of the project.
        name: of the recipe; None is that of no settings.
        where: it was named.
        folders: with more choices, beside those of ``conf_folders``.

    Raises:
        UserError: there is no such recipe, or its file holds something else than settings.
    """
    name, of_conf = NO_RECIPE if name is None else name, conf_folders(root)
    there_is = choices_of(*(folder / RECIPE for folder in of_conf))
    if name not in there_is:
        offer = ", ".join(there_is)
        raise UserError(f"{where}: there is no recipe {name!r}; choose one of {offer}")
    file = f"{RECIPE}/{name}.yaml"
    settings = read_yaml(conf_file(root, file))
    check_keys([f"{key}=" for key in settings], f"conf/{file}")
    check_choices(settings, (), [*of_conf, *folders], f"conf/{file}")
    for key in ("images", "predict_images"):
        if key in settings:
            raise UserError(
                f"conf/{file} sets {key}, which DVC takes from params.yaml alone; set it there"
            )
    return settings


def overrides_of(settings: Mapping[str, Any]) -> list[str]:
    """Values by key as Hydra takes them from a command line."""

    def text(key: str, value: Any) -> str:
        if not isinstance(value, str):
            return json.dumps(value)
        return quoted(value) if key in PATHS else value

    return [f"{key}={text(key, value)}" for key, value in settings.items()]


def read_yaml(path: Path) -> dict[str, Any]:
    """The content of a file of keys and values.

    Raises:
        FileNotFoundError: it is not there.
        UserError: it is no YAML, or no mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is not valid YAML ({reason}); mend that line") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold keys and values, one 'key: value' a line")
    return content


def choices_of(*folders: Path) -> list[str]:
    """The names of the YAML files in ``folders``."""
    return sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})


def check_keys(overrides: Sequence[str], where: str = "command line") -> None:
    """Refuse unknown keys before Hydra does, in one sentence each.

    Raises:
        UserError: names the key and the nearest one, or all.
    """
    for override in overrides:
        key, equals, _ = override.lstrip("+~").partition("=")
        if not equals and not override.startswith("~"):
            raise UserError(f"{where}: {override!r} is not a setting; give key=value")
        name = re.split(r"[.@/]", key)[0]
        if name not in (*KEYS, "hydra"):
            raise UserError(f"{where}: there is no key {key!r}; {suggest(name, KEYS)}")
        if name == RECIPE:
            raise UserError(f"{where}: {override!r} is no recipe; give recipe=NAME, once")
        if name in (*CHOICES, "sweep") and key.startswith(f"{name}."):
            within = [f.name for f in fields(getattr(Config(), name))]
            if (inner := key.split(".")[1]) not in within:
                hint = suggest(inner, within)
                raise UserError(f"{where}: {name} has no key {inner!r}; {hint}")


def check_choices(
    settings: Mapping[str, Any],
    overrides: Sequence[str],
    folders: Sequence[Path],
    where: str = "params.yaml",
) -> None:
    """Refuse choices that no group in ``folders`` has before Hydra does, in one sentence each.

    Args:
        settings: values by key, as they are in the file that ``where`` names.
        overrides: what the command line says, which goes before them.
        folders: as of ``conf_folders``.
        where: the settings stand.

    Raises:
        UserError: names the choice, and all that there are.
    """
    chosen = {group: ([str(settings[group])], where) for group in CHOICES if group in settings}
    for override in overrides:
        key, equals, value = override.lstrip("+~").partition("=")
        if equals and key in CHOICES:
            several = [value] if "(" in value else value.split(",")  # choice(a,b) is Hydra's
            chosen[key] = [choice.strip() for choice in several], "command line"
    for group, (choices, place) in chosen.items():
        there_is = choices_of(*(folder / group for folder in folders))
        for choice in choices:
            if choice not in there_is and "(" not in choice:
                offer = ", ".join(there_is)
                raise UserError(f"{place}: {group} has no choice {choice!r}; choose one of {offer}")


def suggest(word: str, known: Sequence[str], what: str = "keys") -> str:
    """The nearest of what is known, else all of it, as half a sentence."""
    import difflib

    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"the {what} are {', '.join(known)}"
