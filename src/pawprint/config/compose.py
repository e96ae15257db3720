"""From params.yaml, conf/ and settings to one typed configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from pawprint.config.check import check
from pawprint.config.overrides import (
    KEYS,
    as_overrides,
    check_choices,
    check_keys,
    expand_recipe,
    read_yaml,
    suggest,
)
from pawprint.config.schema import Config, Tracking
from pawprint.system.errors import UserError


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


def read_overrides(root: Path, settings: Sequence[str], *more_folders: Path) -> list[str]:
    """Settings of a command line, recipes put in, keys and choices checked.

    Args:
        root: the project's.
        settings: ``key=value``, as by ``as_overrides``.
        more_folders: where choices are beside those in `conf/`.

    Raises:
        UserError: an unknown key, choice or recipe.
    """
    overrides = expand_recipe(root, settings)
    check_keys(overrides)
    check_choices(read_params(root), overrides, [root / "conf", *more_folders])
    return overrides


def compose(words: Sequence[str] = ()) -> Config:
    """The configuration with settings (``key=value``).

    Raises:
        UserError: an unknown key or choice, a wrong type or a value out of range.
    """
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    root = project_root()
    overrides = read_overrides(root, as_overrides(words))
    register_resolvers(root)
    try:
        with hydra.initialize_config_dir(str(root / "conf"), version_base="1.3"):
            tree = hydra.compose("config", overrides)
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
    plain = None if words else _plain_tracking(root, read_params(root))
    if plain is None:
        config = compose(words)
        plain = config.tracking, config.sure_precision
    return plain


def _plain_tracking(root: Path, params: dict[str, Any]) -> tuple[Tracking, float | None] | None:
    """The two where `conf/` gives them as params.yaml and one file of plain texts say, else None.

    Whatever is not as expected is left to Hydra, which says what is wrong with it.
    """
    try:
        contents = read_yaml(root / "conf" / "config.yaml")
        tracking = Tracking(**read_yaml(root / "conf" / "tracking" / f"{params['tracking']}.yaml"))
        as_shipped = (
            {"tracking": "${params:tracking}"} in contents["defaults"]
            and contents["sure_precision"] == "${params:sure_precision}"
            and "tracking" not in contents
        )
    except (OSError, UserError, KeyError, TypeError):
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


def register_resolvers(root: Path) -> None:
    """Make the schema and the resolvers of `conf/config.yaml` known to Hydra."""
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
    key = getattr(error, "full_key", None)
    if key and key not in sentence:
        sentence = f"{key}: {sentence}"
    return UserError(f"{sentence}; give another value, in params.yaml or as key=value")
