"""Archives: zip, and tar plain or compressed with gzip, bzip2 or xz."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pawprint.data.sources.address import escaped, is_url
from pawprint.data.sources.unpacking import Archive, Bounds, Unpacking
from pawprint.system.errors import UserError

_ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_ZIP_STARTS = (b"PK\3\4", b"PK\5\6")
_COMPRESSIONS = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\0", lzma.open))
_LONGEST_HEADER = 16 * 2**20  # read into memory as a whole
_LONGEST_TARGET = 4096
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,  # what bz2 and tarfile raise on some damaged headers
    NotImplementedError,  # a compression that zipfile does not know
    RecursionError,  # tarfile's, at headers upon headers
)


def unpack(archive: Archive, folder: Path, *, bounds: Bounds | None = None) -> None:
    """Unpack an archive, told by its content, whatever its name.

    Args:
        archive: The archive.
        folder: A new, empty folder.
        bounds: What it may come to. Defaults to ``Bounds()``.

    Raises:
        UserError: It is no archive, is damaged or encrypted, exceeds the bounds, or holds a member
            that would be written outside the folder, is a device, or has a name that this disk
            cannot hold.
    """
    bounds = bounds or Bounds()
    with _damage_explained(archive):
        kind = _kind(archive.path)
        if kind is None:
            raise _no_archive(archive)
        unpacking = Unpacking(archive, folder, bounds)
        (_unpack_zip if kind == "zip" else _unpack_tar)(unpacking)
        unpacking.finish()


def _kind(path: Path) -> str | None:
    with path.open("rb") as file:
        if file.read(4) in _ZIP_STARTS:
            return "zip"
    try:
        # Before a look for a zip: that looks at the end, where a tar may hold one as its member.
        with _tar(path):
            return "tar"
    except tarfile.ReadError:
        return "zip" if zipfile.is_zipfile(path) else None


def _unpack_zip(unpacking: Unpacking) -> None:
    with zipfile.ZipFile(unpacking.archive.path) as file:
        members = file.infolist()
        unpacking.expect(len(members), sum(member.file_size for member in members))
        for member in members:
            name = member.filename.replace("\\", "/")
            if re.match(r"[A-Za-z]:(/|$)", name):  # a drive
                raise unpacking.unsafe(member.filename)
            if member.flag_bits & 0x1:
                raise UserError(
                    f"{unpacking.archive} is encrypted: unpack it yourself and set `images` to "
                    "the folder."
                )
            mode = member.external_attr >> 16 if member.create_system == 3 else 0  # 3: Unix
            if name.endswith("/"):
                unpacking.add_folder(name)
                continue
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFLNK):
                raise unpacking.unsafe(name)
            with file.open(member) as content:
                if stat.S_ISLNK(mode):
                    unpacking.add_link(name, os.fsdecode(content.read(_LONGEST_TARGET)))
                else:
                    unpacking.add_file(name, member.file_size, content)


def _unpack_tar(unpacking: Unpacking) -> None:
    with _tar(unpacking.archive.path, unpacking) as file:
        while (member := file.next()) is not None:
            file.members.clear()  # else millions of members fill the memory
            name = member.name.lstrip("/")  # tar's own rule
            if member.isdir():
                unpacking.add_folder(name)
            elif member.issym():
                unpacking.add_link(name, member.linkname)
            elif member.islnk():
                unpacking.add_copy(name, member.linkname.lstrip("/"))
            elif member.isdev():
                raise unpacking.unsafe(name)
            else:
                with file.extractfile(member) as content:
                    unpacking.add_file(name, member.size, content)
        # tarfile stops without a word at a damaged header; a sound archive ends in zeros.
        file.fileobj.seek(file.offset)
        if file.fileobj.read(tarfile.BLOCKSIZE).strip(b"\0"):
            raise tarfile.ReadError("a member's header is damaged")
        while file.fileobj.read(2**20):  # to the end, where the checksum is
            pass


class _Metered:
    """A file whose reader can neither read too much in all nor too much at once."""

    def __init__(self, file: BinaryIO, unpacking: Unpacking | None) -> None:
        self._file, self._unpacking = file, unpacking

    def read(self, size: int) -> bytes:
        if size > _LONGEST_HEADER:
            raise ValueError("a member's header is too long")
        content = self._file.read(size)
        self._check(self._file.tell())
        return content

    def seek(self, place: int) -> int:
        self._check(place)
        return self._file.seek(place)

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def _check(self, place: int) -> None:
        if self._unpacking is not None:
            self._unpacking.check_read(place)


@contextmanager
def _tar(path: Path, unpacking: Unpacking | None = None) -> Iterator[tarfile.TarFile]:
    with path.open("rb") as file:
        start = file.read(6)
    unpacked = next((opener for magic, opener in _COMPRESSIONS if start.startswith(magic)), open)
    with (
        unpacked(path, "rb") as file,
        tarfile.open(fileobj=_Metered(file, unpacking), mode="r:") as tar,
    ):
        yield tar


def _no_archive(archive: Archive) -> UserError:
    if is_url(archive.named):
        return UserError(
            f'What "{archive.named}" sends is no archive: set `images` to the URL of a .zip or '
            ".tar file itself."
        )
    if archive.named.lower().endswith(_ENDINGS):
        return UserError(
            f"{archive} is damaged or is no archive at all: {archive.mend}, or set `images` to a "
            "folder."
        )
    return UserError(
        f'"{archive.named}" is neither a folder nor an archive: set `images` to a folder with a '
        "sub-folder per class, or to a .zip or .tar archive of one."
    )


@contextmanager
def _damage_explained(archive: Archive) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            what = "cannot be unpacked, as there is no room on the disk"
            todo = "free some, or set `images` to an unpacked folder"
        elif isinstance(error, OSError) and error.errno is not None:
            what = f"cannot be unpacked ({error.strerror})"
            todo = "see that it and the output folder are yours to read and write"
        else:
            what = f"is damaged ({escaped(str(error)) or type(error).__name__})"
            todo = archive.mend
        raise UserError(f"{archive} {what}: {todo}.") from error
