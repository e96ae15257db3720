"""Which code a result depends on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

_PACKAGE = Path(__file__).parent.parent


def code_digest(paths: Iterable[str]) -> str:
    """Digest of source files: another digest is another code.

    Args:
        paths: relative to the package; a folder means all Python files in it.

    Returns:
        sha256 in hex.
    """
    files: set[Path] = set()
    for path in paths:
        place = _PACKAGE / path
        files.update(place.rglob("*.py") if place.is_dir() else [place])
    digest = hashlib.sha256()
    for file in sorted(files):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(_PACKAGE).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
