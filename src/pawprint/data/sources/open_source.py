"""Where the pictures come from: a folder, or an archive unpacked for as long as it is needed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pawprint.data.sources.address import escaped, is_url, shown
from pawprint.data.sources.archive import unpack
from pawprint.data.sources.download import download
from pawprint.data.sources.unpacking import Archive
from pawprint.system.errors import UserError

_PREFIX = ".pictures."


@contextmanager
def opened(
    images: Path | str, beside: Path | None = None, downloads: Path | None = None
) -> Iterator[Path]:
    """Yield a folder with the pictures of ``images``.

    An archive (zip, or tar plain or compressed with gzip, bzip2 or xz; told by its content) is
    unpacked into a temporary folder, which is removed on the way out, even on an exception; one
    that a killed process left is removed on the next way in.

    Args:
        images: Folder, archive or the URL of an archive.
        beside: The temporary folder is made in the folder of this path, where the output will
            need room anyway. Defaults to the system's folder for temporary files.
        downloads: Where a downloaded archive is kept. Defaults to "downloads" in the folder of
            ``beside``, or else in the current one.

    Raises:
        UserError: ``images`` is missing, is no archive, is damaged, cannot be downloaded, or holds
            a member that cannot be unpacked safely.
    """
    parent = Path(tempfile.gettempdir()) if beside is None else beside.parent
    if isinstance(images, str) and "://" in images:
        kept = Path() if beside is None else parent
        archive = _from_the_web(images, downloads or kept / "downloads")
    else:
        images = Path(images)
        if images.is_dir():
            yield images
            return
        if not images.exists():
            raise UserError(
                f'The pictures "{escaped(str(images))}" were not found: '
                "set `images` to a folder or an archive that exists."
            )
        archive = Archive(images, escaped(str(images)))
    with _temporary_folder(parent) as folder:
        unpack(archive, folder)
        yield folder


def name_of(images: Path | str) -> str:
    """What to call ``images`` in sentences and records: a URL loses what may be secret in it."""
    text = str(images)
    return shown(text) if "://" in text else escaped(text)


def _from_the_web(url: str, downloads: Path) -> Archive:
    if not is_url(url):
        raise UserError(
            f'The pictures "{shown(url)}" are neither here nor on the web: bring them here with '
            "`dvc import-url`, and set `images` to the folder or archive."
        )
    file = download(url, downloads)
    return Archive(file, shown(url), f'see that it is the right one, or remove "{file}" to retry')


@contextmanager
def _temporary_folder(parent: Path) -> Iterator[Path]:
    """A new folder, locked for as long as this process uses it."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _remove_left(parent)
        folder, lock = _locked_folder(parent)
    except OSError as error:
        raise UserError(
            f'The archive cannot be unpacked in "{parent}" ({error.strerror}): see that there is '
            "room and that the folder is yours to write."
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _locked_folder(parent: Path) -> tuple[Path, int | None]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        try:
            lock = _lock(folder)
        except (BlockingIOError, FileNotFoundError):  # another took it for one that was left
            continue
        except OSError:  # a disk without locks, so nothing is removed there
            return folder, None
        if folder.is_dir():
            return folder, lock
        os.close(lock)


def _remove_left(parent: Path) -> None:
    """Remove what processes left that were killed: their locks are free."""
    for folder in parent.glob(f"{_PREFIX}*"):
        try:
            lock = _lock(folder) if folder.lstat().st_uid == os.getuid() else None
        except OSError:
            continue
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _lock(folder: Path) -> int:
    """Lock a folder itself until the number returned is closed, or the process ends."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
