"""An archive from the web, downloaded once and kept."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pawprint.data.sources.address import Address, parse
from pawprint.system.errors import UserError
from pawprint.system.files import write_json
from pawprint.system.lock import locked

if TYPE_CHECKING:  # else only where something is downloaded, because it takes time to import
    from pawprint.data.sources.http import Facts, Patience

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Kept:
    """What is remembered of a complete file."""

    url: str
    etag: str | None
    last_modified: str | None
    size: int
    sha256: str
    mtime_ns: int


def download(url: str, folder: Path, *, patience: Patience | None = None) -> Path:
    """Bring the file at ``url`` into ``folder``, unless it is there already.

    A download that stops half-way goes on from there the next time. A complete file is asked for
    again only where the server has another one; without a network the kept one is used. A file
    with a checksum is trusted without asking.

    Args:
        url: Where the file is, with ``#sha256=…`` at the end to have it checked.
        folder: Where files are kept; made where it is missing.
        patience: How long to try. Defaults to ``Patience()``.

    Returns:
        The complete file.

    Raises:
        UserError: The URL or its checksum is wrong, the server does not give the file, or there is
            no room for it.
    """
    from pawprint.data.sources.http import Patience

    address = parse(url)
    patience = patience or Patience()
    file = folder / address.file_name
    with _writing_explained(address, folder):
        folder.mkdir(parents=True, exist_ok=True)
        busy = f"Another process downloads {address}; waiting for it."
        with locked(file.with_name(f"{file.name}.lock"), busy=busy, patience=None):
            if not _is_current(address, file, patience):
                _bring(address, file, patience)
    return file


def _is_current(address: Address, file: Path, patience: Patience) -> bool:
    from pawprint.data.sources.fetch import is_unchanged
    from pawprint.data.sources.http import Facts

    if not file.is_file():
        return False
    kept, stat = _read_kept(file), file.stat()
    as_left = kept is not None and (kept.size, kept.mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    digest = kept.sha256 if as_left else _sha256(file)
    if address.sha256 is None and (kept is None or kept.sha256 != digest):
        log.warning("%s is not as it was downloaded; downloading it again.", file)
        return False
    if address.sha256 not in (None, digest):
        return False
    facts = Facts(kept.etag, kept.last_modified, kept.size) if kept else Facts()
    if not as_left:
        _keep(address, file, facts, digest, file)
    if address.sha256 is not None:
        return True
    try:
        return is_unchanged(address, facts, patience)
    except UserError as error:
        log.warning("%s Using %s as downloaded earlier.", error, file)
        return True


def _bring(address: Address, file: Path, patience: Patience) -> None:
    from pawprint.data.sources.fetch import discard, fetch

    part = file.with_name(f"{file.name}.part")
    resumed = part.exists()
    facts = fetch(address, part, patience)
    digest = _sha256(part)
    if resumed and address.sha256 not in (None, digest):  # the older part may be another file's
        discard(part)
        facts = fetch(address, part, patience)
        digest = _sha256(part)
    if address.sha256 not in (None, digest):
        discard(part)
        raise UserError(
            f'The file at "{address}" has the sha256 {digest}, but the URL asks for '
            f"{address.sha256}: see which of the two is right."
        )
    _keep(address, part, facts, digest, file)  # first: without it, what is there is not trusted
    os.replace(part, file)
    discard(part)
    log.info("Downloaded %s to %s, sha256 %s.", address, file, digest)


def _keep(address: Address, content: Path, facts: Facts, digest: str, file: Path) -> None:
    """Remember what ``content`` is, which is or will be ``file``."""
    stat = content.stat()
    kept = _Kept(
        url=str(address),
        etag=facts.etag,
        last_modified=facts.last_modified,
        size=stat.st_size,
        sha256=digest,
        mtime_ns=stat.st_mtime_ns,
    )
    write_json(_memory(file), asdict(kept))


def _read_kept(file: Path) -> _Kept | None:
    try:
        return _Kept(**json.loads(_memory(file).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _memory(file: Path) -> Path:
    return file.with_name(f"{file.name}.json")


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


@contextmanager
def _writing_explained(address: Address, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f'"{address}" cannot be kept in "{folder}" ({error.strerror or type(error).__name__}): '
            "see that there is room and that the folder is yours to write."
        ) from error
