"""Words of a command line as settings, ``key=value``: recipes, `mlflow run`'s form, mistakes."""

import json
import re
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from pawprint.config.paths import conf_file, conf_folders
from pawprint.config.schema import CHOICES, Config
from pawprint.system.errors import UserError

PATHS = ("images", "predict_images", "model.backbone", "model.weights")
RECIPE = "recipe"
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
        if name.split(".")[0] not in (*KEYS, RECIPE) or not (equals or word.startswith("--")):
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


def expand_recipe(root: Path, words: Sequence[str]) -> list[str]:
    """The words with ``recipe=NAME`` replaced by the settings in ``conf/recipe/NAME.yaml``.

    What else is on the command line goes before the recipe.

    Raises:
        UserError: there is no such recipe, or its file holds no settings.
    """
    recipes = [word for word in words if word.startswith(f"{RECIPE}=")]
    if not recipes:
        return list(words)
    folders = [folder / RECIPE for folder in conf_folders(root)]
    name, there_is = recipes[-1].partition("=")[2], choices_of(*folders)
    if "," in name:
        raise UserError(f"command line: recipe={name} is no axis; run a sweep for each recipe")
    if name not in there_is:
        offer = ", ".join(there_is)
        raise UserError(f"command line: there is no recipe {name!r}; choose one of {offer}")
    settings = read_yaml(conf_file(root, f"{RECIPE}/{name}.yaml"))
    given = {word.partition("=")[0] for word in words}
    # Where another choice was given, what the recipe says within its own has no place.
    chosen = {k: v for k, v in settings.items() if not {k, k.partition(".")[0]} & given}
    texts = [f"{k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in chosen.items()]
    place = words.index(recipes[0])
    return [*words[:place], *texts, *(word for word in words[place:] if word not in recipes)]


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


def check_keys(overrides: Sequence[str]) -> None:
    """Refuse unknown keys before Hydra does, in one sentence each.

    Raises:
        UserError: names the key and the nearest one, or all.
    """
    for override in overrides:
        key, equals, _ = override.lstrip("+~").partition("=")
        if not equals and not override.startswith("~"):
            raise UserError(f"command line: {override!r} is not a setting; give key=value")
        name = re.split(r"[.@/]", key)[0]
        if name not in (*KEYS, "hydra"):
            raise UserError(f"command line: there is no key {key!r}; {suggest(name, KEYS)}")
        if name in (*CHOICES, "sweep") and key.startswith(f"{name}."):
            within = [f.name for f in fields(getattr(Config(), name))]
            if (inner := key.split(".")[1]) not in within:
                hint = suggest(inner, within)
                raise UserError(f"command line: {name} has no key {inner!r}; {hint}")


def check_choices(
    params: dict[str, Any], overrides: Sequence[str], folders: Sequence[Path]
) -> None:
    """Refuse choices that no group in ``folders`` has before Hydra does, in one sentence each.

    Raises:
        UserError: names the choice, and all that there are.
    """
    chosen = {group: ([str(params[group])], "params.yaml") for group in CHOICES}
    for override in overrides:
        key, equals, value = override.lstrip("+~").partition("=")
        if equals and key in CHOICES:
            several = [value] if "(" in value else value.split(",")  # choice(a,b) is Hydra's
            chosen[key] = [choice.strip() for choice in several], "command line"
    for group, (choices, where) in chosen.items():
        there_is = choices_of(*(folder / group for folder in folders))
        for choice in choices:
            if choice not in there_is and "(" not in choice:
                offer = ", ".join(there_is)
                raise UserError(f"{where}: {group} has no choice {choice!r}; choose one of {offer}")


def suggest(word: str, known: Sequence[str], what: str = "keys") -> str:
    """The nearest of what is known, else all of it, as half a sentence."""
    import difflib

    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"the {what} are {', '.join(known)}"
