"""Where the pictures come from: a folder, or an archive unpacked for as long as it is needed."""

from __future__ import annotations

import errno
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from pawprint.errors import UserError

_ARCHIVE_ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,  # what bz2 and tarfile raise on some damaged headers
)


@contextmanager
def opened(images: Path, beside: Path | None = None) -> Iterator[Path]:
    """Yield a folder with the pictures of ``images``, a folder or an archive of one.

    An archive (zip, or tar plain or compressed with gzip, bzip2 or xz; told by its content) is
    unpacked into a temporary folder, which is removed on the way out, even on an exception.

    Args:
        images: Folder or archive.
        beside: The temporary folder is made in the folder of this path, where the output will
            need room anyway. Defaults to the system's folder for temporary files.

    Raises:
        UserError: ``images`` is missing, is no archive, is damaged, or holds a member that would
            be written outside the folder.
    """
    if not images.exists():
        raise UserError(
            f'The pictures "{images}" were not found: '
            "set `images` to a folder or an archive that exists."
        )
    if images.is_dir():
        yield images
        return
    unpack = _unpacker(images)
    parent = None if beside is None else beside.parent
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pictures.", dir=parent) as name:
        folder = Path(name)
        with _damage_explained(images):
            unpack(images, folder)
        yield folder


def _unpacker(images: Path) -> Callable[[Path, Path], None]:
    try:
        if zipfile.is_zipfile(images):
            return _unpack_zip
        if tarfile.is_tarfile(images):
            return _unpack_tar
    except _DAMAGE as error:
        raise _damaged(images, error) from error
    if images.name.lower().endswith(_ARCHIVE_ENDINGS):
        raise UserError(
            f'The archive "{images}" is damaged or is no archive at all: '
            "download or pack it again, or set `images` to a folder."
        )
    raise UserError(
        f'"{images}" is neither a folder nor an archive: set `images` to a folder with a '
        "sub-folder per class, or to a .zip or .tar archive of one."
    )


def _unpack_zip(images: Path, folder: Path) -> None:
    with zipfile.ZipFile(images) as archive:
        for member in archive.infolist():
            inside = PurePosixPath(member.filename.replace("\\", "/"))
            if inside.is_absolute() or ".." in inside.parts:
                raise _escaping(images, member.filename)
            if member.flag_bits & 0x1:
                raise UserError(
                    f'The archive "{images}" is encrypted: unpack it yourself and set `images` '
                    "to the folder."
                )
        archive.extractall(folder)


def _unpack_tar(images: Path, folder: Path) -> None:
    with tarfile.open(images) as archive:
        try:
            archive.extractall(folder, filter="data")
        except tarfile.FilterError as error:
            raise _escaping(images, error.tarinfo.name) from error
        # tarfile stops without a word at a damaged header; a sound archive ends in zeros.
        archive.fileobj.seek(archive.offset)
        if archive.fileobj.read(tarfile.BLOCKSIZE).strip(b"\0"):
            raise tarfile.ReadError("a member's header is damaged")


@contextmanager
def _damage_explained(images: Path) -> Iterator[None]:
    try:
        yield
    except (*_DAMAGE, NotImplementedError) as error:  # the last: an unknown zip compression
        raise _damaged(images, error) from error


def _damaged(images: Path, error: Exception) -> UserError:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return UserError(
            f'There is no room on the disk to unpack the archive "{images}": '
            "free some, or set `images` to an unpacked folder."
        )
    if isinstance(error, OSError) and error.errno is not None:
        return UserError(
            f'The archive "{images}" cannot be unpacked ({error.strerror}): '
            "see that it and the output folder are yours to read and write."
        )
    return UserError(
        f'The archive "{images}" is damaged ({error or type(error).__name__}): '
        "download or pack it again."
    )


def _escaping(images: Path, member: str) -> UserError:
    return UserError(
        f'The archive "{images}" holds "{member}", which may not be unpacked safely '
        "(it leads outside the folder, or is a device): pack it again from a plain folder."
    )
