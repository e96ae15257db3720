"""Pictures from elsewhere, downloaded once by fsspec and kept."""

import hashlib
import json
import logging
import os
import shutil
from pathlib import Path

from pawprint.data.sources.address import parse
from pawprint.data.sources.remote import Remote, RetryPolicy, open_remote
from pawprint.system.errors import UserError
from pawprint.system.files import write_json
from pawprint.system.lock import locked

log = logging.getLogger(__name__)


def download(url: str, folder: Path, *, policy: RetryPolicy | None = None) -> Path:
    """Bring the file or folder at ``url`` into ``folder``, unless it is there already.

    It is downloaded again only where the server has another one; without a network the kept one
    is used. A file with a checksum is trusted without a request.

    Args:
        url: where it is, with ``#sha256=…`` at the end to have a file checked.
        folder: where downloads are kept; made where it is missing.
        policy: how long to try. Defaults to ``RetryPolicy()``.

    Returns:
        The complete file or folder.

    Raises:
        UserError: the address or its checksum is wrong, the server does not give the content, or
            there is no room for it.
    """
    address = parse(url)
    kept = folder / address.file_name
    try:
        lock = kept.with_name(f"{kept.name}.lock")
        busy = f"another process downloads {address}; waiting for it"
        with (
            locked(lock, busy=busy, patience=None),
            open_remote(address, policy or RetryPolicy()) as remote,
        ):
            if not _is_current(remote, kept):
                _fetch(remote, kept)
    except OSError as error:
        raise UserError(
            f'"{address}" cannot be kept in "{folder}" ({error.strerror or type(error).__name__}): '
            "see that there is room and that the folder is yours to write"
        ) from error
    return kept


def _is_current(remote: Remote, kept: Path) -> bool:
    """Whether what is kept is complete, and still what the server has."""
    if not kept.exists():
        return False
    digest = _digest(kept)
    if remote.address.sha256 is not None:
        return digest == remote.address.sha256
    try:
        record = json.loads(_record(kept).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        record = {}
    if record.get("sha256") != digest:
        log.warning("%s is not as it was downloaded; downloading it again", kept)
        return False
    try:
        return remote.version() == record.get("version") is not None
    except UserError as error:
        log.warning("%s; using %s as downloaded earlier", error, kept)
        return True


def _fetch(remote: Remote, kept: Path) -> None:
    address = remote.address
    part = kept.with_name(f"{kept.name}.part")  # a folder of what is not complete or no longer kept
    log.info("downloading %s to %s", address, kept.parent)
    try:
        shutil.rmtree(part, ignore_errors=True)  # what a killed process left
        part.mkdir()
        version = remote.fetch(part / "new")
        digest = _digest(part / "new")
        if address.sha256 not in (None, digest):
            raise UserError(
                f'the file at "{address}" has the sha256 {digest}, but the URL asks for '
                f"{address.sha256}: see which of the two is right"
            )
        # The record first: without it, what is there is not trusted.
        write_json(_record(kept), {"url": str(address), "version": version, "sha256": digest})
        if kept.exists():
            os.replace(kept, part / "old")
        os.replace(part / "new", kept)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    log.info("downloaded %s to %s, sha256 %s", address, kept, digest)


def _record(kept: Path) -> Path:
    """The file that remembers what was downloaded."""
    return kept.with_name(f"{kept.name}.json")


def _digest(path: Path) -> str:
    """The sha256 of a file, or of a folder's names and sizes."""
    if path.is_file():
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        if file.is_file():
            digest.update(os.fsencode(f"{file.relative_to(path)}\0{file.stat().st_size}\n"))
    return digest.hexdigest()
