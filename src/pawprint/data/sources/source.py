"""The folder of the pictures: a person's own, or one unpacked for as long as it is needed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pawprint.data.sources.address import escaped, is_address, shown
from pawprint.data.sources.archive import Archive, unpack
from pawprint.system.errors import UserError

_PREFIX = ".pictures."


@contextmanager
def open_images(
    images: Path | str, output: Path | None = None, downloads: Path | None = None
) -> Iterator[Path]:
    """Yield a folder with the pictures of ``images``.

    An archive (zip, or tar plain or compressed with gzip, bzip2 or xz; told by its content) is
    unpacked into a temporary folder, which is removed on the way out, even on an exception; one
    that a killed process left is removed on the next way in.

    Args:
        images: folder, archive, or the address of either.
        output: the temporary folder is made next to this path, which will need room on the same
            disk anyway. Defaults to the system's folder for temporary files.
        downloads: where downloads are kept. Defaults to "downloads" next to ``output``, or else
            in the current folder.

    Raises:
        UserError: ``images`` is missing, is no archive, is damaged, cannot be downloaded, or holds
            a member that cannot be unpacked safely.
    """
    parent = Path(tempfile.gettempdir()) if output is None else output.parent
    source, cure = Path(images), ""
    if is_address(images):
        from pawprint.data.sources.download import download  # takes time to import

        source = download(str(images), downloads or (output or Path()).parent / "downloads")
        cure = f'see that it is the right one, or remove "{source}" to retry'
    if source.is_dir():
        yield source
        return
    if not source.exists():
        raise UserError(
            f'the pictures "{name_of(images)}" were not found: '
            "set `images` to a folder or an archive that exists"
        )
    with _temporary_folder(parent) as folder:
        unpack(Archive(source, name_of(images), cure), folder)
        yield folder


def name_of(images: Path | str) -> str:
    """What to call ``images`` in sentences and records: an address loses what may be secret."""
    return shown(str(images)) if is_address(images) else escaped(str(images))


@contextmanager
def _temporary_folder(parent: Path) -> Iterator[Path]:
    """A new folder, locked for as long as this process uses it."""
    making = None
    try:
        parent.mkdir(parents=True, exist_ok=True)
        making = _lock(parent, wait=True)  # so that nobody removes the folder before it is locked
        _remove_abandoned(parent)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        lock = _lock(folder)
    except OSError as error:
        raise UserError(
            f'the archive cannot be unpacked in "{parent}" ({error.strerror}): see that there is '
            "room and that the folder is yours to write"
        ) from error
    finally:
        _unlock(making)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _unlock(lock)


def _remove_abandoned(parent: Path) -> None:
    """Remove what processes left that were killed: their locks are free."""
    for folder in parent.glob(f"{_PREFIX}*"):
        lock = _lock(folder)
        if lock is not None and os.fstat(lock).st_uid == os.getuid():
            shutil.rmtree(folder, ignore_errors=True)
        _unlock(lock)


def _lock(folder: Path, *, wait: bool = False) -> int | None:
    """Lock a folder itself until ``_unlock``, or until the process ends.

    Returns:
        Its descriptor, or None where another holds the lock or the disk has no locks.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _unlock(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)
