"""Finding an exported network by its name, and what is known of it.

The project's own store is read at once, any other one by MLflow; of a network in a file tells the
record in the same folder, which stands beside the champion's network in `models/champion`. That
file answers where the store has no champion, as in a fresh clone.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pawprint.config.compose import find_project
from pawprint.config.paths import Paths
from pawprint.inference.predictor import Predictor
from pawprint.system.errors import UserError
from pawprint.tracking.location import (
    artifact_folder,
    champion_in_dvc,
    champion_missing,
    no_version,
    query,
    registry_uri,
    sqlite_path,
    store_uri,
)
from pawprint.tracking.names import CHAMPION, FORMS, NETWORK_FILE, is_file
from pawprint.tracking.registry import fetch_model_of_run, fetch_version, version_of_alias

_REGISTERED = re.compile(r"models:/(?P<model>[^@/]+)(?:@(?P<alias>[^@/]+)|/(?P<version>\d{1,15}))")
_OF_RUN = re.compile(r"runs:/(?P<run>[^/]+)(?:/model)?/?")

RECORD = "registered.json"  # beside a network
CARD_FILE = "README.md"  # the model card beside the champion's network, as on a hub of models

# MLflow's own tables; a version that was deleted keeps its row.
_BY_NUMBER = """
    SELECT version, run_id, storage_location FROM model_versions
    WHERE name = ? AND version = ? AND current_stage != 'Deleted_Internal'
"""
_BY_ALIAS = """
    SELECT version, run_id, storage_location FROM registered_model_aliases
    JOIN model_versions USING (name, version)
    WHERE name = ? AND alias = ? AND current_stage != 'Deleted_Internal'
"""
_TAGS = "SELECT key, value FROM model_version_tags WHERE name = ? AND version = ?"
_LOGGED = """
    SELECT artifact_location FROM logged_models
    WHERE source_run_id = ? AND name = 'model' AND lifecycle_stage = 'active'
    ORDER BY creation_timestamp_ms DESC
"""


@dataclass(frozen=True)
class Source:
    """The file of an exported network, and where it comes from as far as that is known.

    Attributes:
        name: what to call it, as "pawprint version 3".
        network: the ONNX file, on this machine's disk.
        model: the registered model's name.
        version: its version.
        run_id: the run that trained it.
        tags: the version's, as MLflow has them.
        notes: sentences on what a person may not expect of who answers.
        stands_in: whether it answers because the store has no champion.
    """

    name: str
    network: Path
    model: str | None = None
    version: int | None = None
    run_id: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    stands_in: bool = False


def find_champion(uri: str | None, model: str) -> Source:
    """The network of `models:/<model>@champion`; see ``find_network``."""
    return find_network(f"models:/{model}@{CHAMPION}", uri)


def find_network(name: str, uri: str | None) -> Source:
    """The network of that name.

    Args:
        name: models:/NAME@ALIAS, models:/NAME/VERSION, runs:/RUN, or the path of an ONNX file.
        uri: configured tracking URI, or None for `MLFLOW_TRACKING_URI` or the project's own.

    Where the store has no champion, or no network of it, the one in `models/champion` stands in
    if it is of that model (and version), and the notes say so.

    Raises:
        UserError: there is no such network, its files are gone, or the store does not answer.
    """
    if match := _REGISTERED.fullmatch(name):
        model, alias, version = match.group("model", "alias", "version")
        return _registered(store_uri(uri), model, alias, version)
    if match := _OF_RUN.fullmatch(name):
        return _of_run(store_uri(uri), match["run"])
    if not is_file(name):
        raise UserError(f"{name} names no model; give {FORMS}")
    path = Path(name)
    if not path.is_file():
        raise UserError(f"{name or 'an empty name'} is no file; give {FORMS}")
    return Source(str(path), path)


def open_network(
    name: str, uri: str | None, sure_precision: float | None = None, threshold: float | None = None
) -> tuple[Source, Predictor]:
    """The network of that name, ready to answer; see ``find_network`` and ``Predictor``.

    A file stands for itself; what is not expected of another one is in the source's notes. Outside
    of a project there is nothing to expect.

    Raises:
        UserError: there is no such network, it cannot be used, or was never that precise.
    """
    source = find_network(name, uri)
    predictor = Predictor(source.network, sure_precision, threshold=threshold)
    if not is_file(name):
        source = with_class_note(source, predictor.class_names)
    return source, predictor


def version_now(name: str, uri: str | None) -> tuple[int, str | None] | None:
    """The version that has the alias of models:/NAME@ALIAS now, and its run; None if none has it.

    Nothing is fetched, so that a server can look every few seconds.

    Raises:
        UserError: the store does not answer.
    """
    match = _REGISTERED.fullmatch(name)
    if match is None or match["alias"] is None:
        raise ValueError(f"{name} has no alias")
    model, alias = match.group("model", "alias")
    tracking = store_uri(uri)
    path = sqlite_path(registry_uri(tracking))
    if path is not None and not path.exists():  # MLflow would make a new one
        return None
    rows = query(path, _BY_ALIAS, model, alias)
    if rows is None:
        return version_of_alias(tracking, model, alias)
    return (int(rows[0][0]), rows[0][1]) if rows else None


def has_alias(name: str) -> bool:
    """Whether a network's name is models:/NAME@ALIAS, which may mean another one tomorrow."""
    match = _REGISTERED.fullmatch(name)
    return match is not None and match["alias"] is not None


def record_file(network: Path) -> Path:
    """Where the record of the network in that file is."""
    return network.parent / RECORD


def record_of(
    content: bytes, model: str, version: int, run_id: str | None, tags: Mapping[str, str]
) -> dict[str, Any]:
    """What the record of a champion's network holds.

    Args:
        content: of the network's file.
        model: the registered model's name.
        version: its version.
        run_id: of the run that trained it; empty for a version made by hand.
        tags: the version's.
    """
    figures = ("test_accuracy", "test_accuracy_low", "test_accuracy_high")
    words = ("data_digest", "test_digest", "git_commit", "decided", "policy", "reason")
    return {
        "model": model,
        "version": version,
        "champion": version,
        "run_id": run_id or "",
        "network": hashlib.sha256(content).hexdigest(),
        **{name: _figure(tags.get(name)) for name in figures},
        **{name: tags.get(name) for name in words},
    }


def with_facts(source: Source, content: bytes) -> Source:
    """The source of a network's file with version, run, data and accuracy.

    They come from the record in the file's folder, where that is of this very network. A file that
    is not the champion's by its record has a note that says so.

    Args:
        source: of a file; another one has its facts from the store, and stays as it is.
        content: of the file.
    """
    if source.model or source.run_id:
        return source
    note = f"{source.network} is not known as the champion: it has no record of `pawprint register`"
    unknown = replace(source, notes=(*source.notes, note))
    try:
        facts = json.loads(record_file(source.network).read_bytes())
    except (OSError, ValueError, RecursionError):
        return unknown
    if not isinstance(facts, dict) or facts.get("network") != hashlib.sha256(content).hexdigest():
        return unknown  # not by the run: train writes its network before its run
    model, version, run_id = (facts.get(key) for key in ("model", "version", "run_id"))
    if not (isinstance(model, str) and type(version) is int and isinstance(run_id, str)):
        return unknown
    tags = {name: str(fact) for name, fact in facts.items() if fact is not None}
    name = f"{model} version {version}"
    notes = source.notes
    if facts.get("champion") != version:
        notes = (*notes, f"{name} is not the champion: the gate kept it back")
    return Source(name, source.network, model, version, run_id or None, tags, notes)


def champion_file(folder: Path, model: str) -> Source | None:
    """The champion's network in ``folder``; None where it or its record is not whole.

    Args:
        folder: as ``Paths.champion``.
        model: name of the registered model that it has to be of.
    """
    network = folder / NETWORK_FILE
    try:
        found = with_facts(Source(str(network), network), network.read_bytes())
    except OSError:
        return None
    return found if found.model == model and not found.notes else None


def is_version(kept: Source, *, number: int | None, run_id: str | None) -> bool:
    """Whether a champion's file is of that version of its model; one made by hand has no run."""
    return (kept.version, kept.run_id) == (number, run_id or None)


def with_class_note(source: Source, class_names: Sequence[str]) -> Source:
    """The source with a note where the prepared pictures are of other classes than it answers.

    Args:
        source: of a registered network.
        class_names: of that network.
    """
    root = find_project()
    if root is None:
        return source
    prepared = Paths(root).prepared
    try:
        summary = json.loads((prepared / "summary.json").read_bytes())
        names = set(map(str, summary["class_names"]))
    except (OSError, ValueError, KeyError, TypeError):  # nothing is prepared
        return source
    parts = [f"it does not know {name}" for name in sorted(names - set(class_names))[:1]]
    parts += [f"they have no {name}" for name in sorted(set(class_names) - names)[:1]]
    if not parts:
        return source
    note = (
        f"{source.name} has other classes than the pictures in {prepared}: {' and '.join(parts)}; "
        "`dvc repro` takes a network of theirs to the gate, and `pawprint register gate=always` "
        "makes one champion that was kept back"
    )
    return replace(source, notes=(*source.notes, note))


def _figure(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:  # edited by hand
        return None


def _registered(tracking: str, model: str, alias: str | None, version: str | None) -> Source:
    address, which = registry_uri(tracking), version or str(alias)
    found = _look_up(tracking, model, alias, which)
    if found is None:
        problem, error = champion_missing(model, address), no_version(model, which, address)
    elif found.network.is_file():
        return found
    else:
        who = "the champion" if alias == CHAMPION else alias or f"version {version}"
        problem = f"{who} of {model} is version {found.version}, but {found.network} is gone"
        way = "name another network, of those that `mlflow ui` shows"
        if alias == CHAMPION:
            way = champion_in_dvc() or (
                "promote the evaluated network with `pawprint register gate=always`"
            )
        error = UserError(f"{problem}; bring it back, or {way}")
    root = find_project()
    if alias == CHAMPION and root:
        kept = champion_file(Paths(root).champion, model)
        if kept and (found is None or is_version(kept, number=found.version, run_id=found.run_id)):
            note = f"{problem}; the answers are of {kept.network}, {kept.name}"
            return replace(kept, notes=(note,), stands_in=found is None)
    raise error


def _look_up(tracking: str, model: str, alias: str | None, which: str) -> Source | None:
    """A version as the store has it, even if its network is gone; None where it has none."""
    path = sqlite_path(registry_uri(tracking))
    if path is not None and not path.exists():  # MLflow would make a new one
        return None
    rows = query(path, _BY_ALIAS if alias else _BY_NUMBER, model, which)
    if rows == []:
        return None
    folder = artifact_folder(path, rows[0][2]) if rows else None
    if rows and folder is not None:
        number, run_id = int(rows[0][0]), rows[0][1]
        tags = dict(query(path, _TAGS, model, number) or ())
        network = folder / NETWORK_FILE
    else:  # a server, artifacts elsewhere, or a store of another MLflow
        fetched = fetch_version(tracking, model, which)
        if fetched is None:
            return None
        found, network = fetched
        number, run_id, tags = found.number, found.run_id, found.tags
    return Source(f"{model} version {number}", network, model, number, run_id, tags)


def _of_run(address: str, run_id: str) -> Source:
    path = sqlite_path(address)
    if path is not None and not path.exists():  # MLflow would make a new one
        raise UserError(f"{path} is not there, and no run {run_id} in it; name another network")
    rows = query(path, _LOGGED, run_id)
    folder = artifact_folder(path, rows[0][0]) if rows else None
    network = (folder or fetch_model_of_run(address, run_id)) / NETWORK_FILE
    if not network.is_file():
        raise UserError(f"the network of the run {run_id}, {network}, is gone; train again")
    return Source(f"run {run_id}", network, run_id=run_id)
