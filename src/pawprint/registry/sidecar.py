"""What is known of a network in a file: what register wrote beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pawprint.config.paths import Paths
from pawprint.registry.source import Source, version_name

_NETWORK = "network"  # of a record: the digest of the network that it is about
_KNOWN = (
    *("test_accuracy", "test_accuracy_low", "test_accuracy_high"),
    *("data_digest", "git_commit"),
)


def record_beside(network: Path) -> Path:
    """Where register writes of a network in that file."""
    return Paths(network.parent, own=network.parent).registered


def facts_beside(content: bytes, tags: Mapping[str, Any]) -> dict[str, Any]:
    """What a record holds so that ``with_facts`` knows the network by it.

    Args:
        content: of the network's file.
        tags: of its version.
    """
    return {_NETWORK: _digest(content), **{name: tags.get(name) for name in _KNOWN}}


def with_facts(source: Source, content: bytes) -> Source:
    """The source of a network's file with version, run, data and accuracy, where the record beside
    it is of this very network; else as it is.

    Args:
        source: of a file; another one has its facts from the store, and stays as it is.
        content: of the file.
    """
    if source.model or source.run_id:
        return source
    facts = _read(record_beside(source.network))
    model, version, run_id = (facts.get(key) for key in ("model", "version", "run_id"))
    if not (isinstance(model, str) and type(version) is int and isinstance(run_id, str)):
        return source
    # Not by the run: train writes its network before its run, register much later.
    if facts.get(_NETWORK) != _digest(content):
        return source
    tags = {name: str(fact) for name, fact in facts.items() if fact is not None}
    name = version_name(model, version)
    return replace(source, name=name, model=model, version=version, run_id=run_id, tags=tags)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read(path: Path) -> dict[str, Any]:
    """What JSON holds by name; nothing where it is missing or odd."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
