"""Archives: zip, and tar plain or compressed with gzip, bzip2 or xz.

The members of both go through tarfile's ``data`` filter, which refuses what leads outside. Links
are made last: nothing is written through one, and the filter, which follows links wrongly in older
patch releases of Python, finds none to follow.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import logging
import lzma
import os
import posixpath
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from pawprint.data.sources.address import escaped
from pawprint.system.errors import UserError

log = logging.getLogger(__name__)

_COMPRESSIONS = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\0", lzma.open))
_ZIP_TYPES = {0: tarfile.REGTYPE, stat.S_IFREG: tarfile.REGTYPE, stat.S_IFLNK: tarfile.SYMTYPE}
_ZIP_COMPRESSIONS = (
    zipfile.ZIP_STORED,
    zipfile.ZIP_DEFLATED,
    zipfile.ZIP_BZIP2,
    zipfile.ZIP_LZMA,
)
_ZIP_OTHERS = {9: "Deflate64, as Windows packs large files", 93: "Zstandard", 95: "xz", 98: "PPMd"}
_UNICODE_PATH = 0x7075  # Info-ZIP's extra field of a zip's member
_RESERVE = 200 * 10**6  # bytes of disk that stay free, or a twentieth where that is less
_MAX_DEPTH = 100  # folders inside each other
_MAX_HEADER = 16 * 2**20  # bytes, which tarfile reads into memory as a whole
_MAX_TARGET = 4096
_MAX_SHOWN = 80
_PIECE = 256 * 2**10
_UNNAMEABLE = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)
_BY_HAND = "if you trust it, unpack it yourself and set `images` to the folder"
_UNSAFE = ", which may not be unpacked safely (it leads outside the folder, or is a device)"
_DAMAGE = (  # of which bz2 and tarfile raise the plain ones too
    OSError, EOFError, ValueError, RecursionError, NotImplementedError,
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError,
)  # fmt: skip
_Members = Generator[tuple[tarfile.TarInfo, IO[bytes]]]  # with what a file holds


@dataclass(frozen=True)
class Bounds:
    """What an archive may come to.

    Attributes:
        members: files, folders and links. Defaults to 5,000,000
        ratio: how many times its own size it may unpack to, above ``unsuspicious``; pictures
            hardly shrink, and what shrinks more is made to fill disks. Defaults to 200
        unsuspicious: bytes that any archive may unpack to. Defaults to 1 GiB
    """

    members: int = 5_000_000
    ratio: int = 200
    unsuspicious: int = 2**30


def unpack(archive: Path, folder: Path, *, name: str, bounds: Bounds | None = None) -> None:
    """Unpack an archive, told by its content, whatever its name.

    Of two members with the same name the later stays. Modes, owners and times are left behind.

    Args:
        archive: the file.
        folder: a new, empty folder that nobody else writes to.
        name: what a person called the archive.
        bounds: what it may come to. Defaults to ``Bounds()``.

    Raises:
        UserError: it is no archive, is damaged or encrypted, exceeds the bounds, or holds a member
            that would be written outside the folder, is a device, or has a name that this disk
            cannot hold.
    """
    try:
        writer = _Writer(folder, archive.stat().st_size, bounds or Bounds())
        read = _zip_members if _is_zip(archive, writer) else _tar_members
        with closing(read(archive, writer)) as members:
            for member, content in members:
                writer.add(member, content)
        for path, target in writer.links.items():
            path.symlink_to(target)
    except UserError as error:
        raise UserError(f'"{name}" {error}') from error
    except _DAMAGE as error:
        what = f"is damaged ({escaped(str(error)) or type(error).__name__})"
        cure = f'remove "{archive}" and download or pack it again'
        if isinstance(error, OSError) and error.errno is not None:
            what = f"cannot be unpacked ({error.strerror})"
            cure = "see that there is room and that the output folder is yours to write"
        raise UserError(f'"{name}" {what}: {cure}') from error


def _is_zip(archive: Path, writer: _Writer) -> bool:
    try:
        # Before a look for a zip: that looks at the end, where a tar may hold one as its member.
        with closing(_tar_members(archive, writer)) as members:
            next(members, None)
    except tarfile.ReadError as error:
        if zipfile.is_zipfile(archive):
            return True
        raise UserError(
            f'is damaged, or is neither a folder nor an archive (zip or tar): see "{archive}", and '
            "set `images` to a folder with a sub-folder per class, or to an archive of one"
        ) from error
    return False


def _zip_members(archive: Path, writer: _Writer) -> _Members:
    """Yield the members of a zip as if they were those of a tar."""
    with zipfile.ZipFile(archive) as file:
        writer.check_size(sum(info.file_size for info in file.infolist()))
        _tell_of_names(
            [_zip_name(info) for info in file.infolist() if _has_dos_name(info)], archive
        )
        for info in file.infolist():
            if info.flag_bits & 0x1:
                raise UserError(f"is encrypted: {_BY_HAND}")
            member = tarfile.TarInfo(_zip_name(info).replace("\\", "/"))
            mode = info.external_attr >> 16 if info.create_system == 3 else 0  # 3: Unix
            if re.match(r"/|[A-Za-z]:(/|$)", member.name):  # from the root or a drive
                raise _refusal(member, _UNSAFE)
            if member.name.endswith("/"):
                member.type = tarfile.DIRTYPE
                yield member, io.BytesIO()
                continue
            member.type = _ZIP_TYPES.get(stat.S_IFMT(mode), tarfile.CHRTYPE)
            if info.compress_type not in _ZIP_COMPRESSIONS:
                how = _ZIP_OTHERS.get(info.compress_type, f"method {info.compress_type}")
                raise UserError(
                    f'is packed with {how}, which is not supported ("{_brief(member.name)}"): '
                    "unpack it with the program that made it, and set `images` to the folder"
                )
            with file.open(info) as content:
                if member.issym():
                    member.linkname = os.fsdecode(content.read(_MAX_TARGET))
                yield member, content


def _tell_of_names(names: list[str], archive: Path) -> None:
    """Say that names may be wrong of which nothing tells the encoding."""
    if names:
        log.warning(
            '"%s": the encoding of %d names as "%s" is not known, and that of DOS (code page 437) '
            "was taken; if they look wrong, unpack it with the program that made it, and set "
            "`images` to the folder",
            archive.name,
            len(names),
            _brief(names[0]),
        )


def _has_dos_name(info: zipfile.ZipInfo) -> bool:
    """Whether a name is no ASCII, and taken as it stands."""
    return (
        not info.flag_bits & 0x800
        and not info.filename.isascii()
        and (_zip_name(info) == info.filename)
    )


def _zip_name(info: zipfile.ZipInfo) -> str:
    """The name of a member; many programs write UTF-8 without the flag that says so."""
    if info.flag_bits & 0x800:
        return info.filename
    raw = info.orig_filename.encode("cp437")
    extra = info.extra
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind == _UNICODE_PATH and field[:5] == struct.pack("<BL", 1, zlib.crc32(raw)):
            raw = field[5:]
    try:
        return raw.partition(b"\0")[0].decode()
    except UnicodeDecodeError:
        return info.filename


def _tar_members(archive: Path, writer: _Writer) -> _Members:
    with archive.open("rb") as file:
        start = file.read(6)
    opener: Any = next((opener for magic, opener in _COMPRESSIONS if start.startswith(magic)), open)
    with opener(archive, "rb") as file:
        checked = _CheckedFile(file, writer)
        with tarfile.open(fileobj=cast("IO[bytes]", checked), mode="r:") as tar:
            while (member := tar.next()) is not None:
                if member.size < 0:  # tarfile would go back, and back again
                    raise tarfile.ReadError("a member's size is negative")
                tar.members = []  # type: ignore[attr-defined]  # else millions fill the memory
                content = tar.extractfile(member) if member.isreg() else None
                yield member, content or io.BytesIO()
            # tarfile stops without a word at a damaged header; a sound archive ends in zeros.
            checked.seek(tar.offset)
            if checked.read(tarfile.BLOCKSIZE).strip(b"\0"):
                raise tarfile.ReadError("a member's header is damaged")
            while checked.read(2**20):  # to the end, where the checksum is
                pass


class _CheckedFile:
    """A tar of which nobody reads too much in all, or, as tarfile does with headers, at once."""

    def __init__(self, file: IO[bytes], writer: _Writer) -> None:
        self._file, self._writer, self.tell = file, writer, file.tell

    def read(self, size: int) -> bytes:
        if size > _MAX_HEADER:
            raise ValueError("a member's header is too long")
        content = self._file.read(size)
        self._writer.check_size(self.tell())
        return content

    def seek(self, place: int) -> int:
        self._writer.check_size(place)
        return self._file.seek(place)


class _Writer:
    """Writes the members of an archive into a folder, within their bounds."""

    def __init__(self, folder: Path, packed: int, bounds: Bounds) -> None:
        self._folder, self._bounds = folder, bounds
        self._limit = max(bounds.unsuspicious, bounds.ratio * packed)
        free = shutil.disk_usage(folder).free
        self._room = free - min(_RESERVE, free // 20)
        self._bytes = self._members = 0
        self._folders = {folder}
        self.links: dict[Path, str] = {}

    def check_size(self, size: int) -> None:
        """Refuse what unpacks to more bytes than it may, or than there is room for."""
        if size > self._limit:
            raise UserError(
                f"unpacks to more than {self._limit / 1e9:.3g} GB, too much for its own size, as "
                f"archives do that are made to fill disks: {_BY_HAND}"
            )
        if size > self._room:
            raise UserError(
                f'unpacks to {size / 1e9:.3g} GB or more, but the disk of "{self._folder.parent}" '
                f"has room for {self._room / 1e9:.3g} GB: free some"
            )

    def add(self, member: tarfile.TarInfo, content: IO[bytes]) -> None:
        """Write a file or folder, or note a symbolic link."""
        # What is checked is what is made: the filter takes a link "a/" for one inside of "a".
        member.name = posixpath.normpath(member.name)
        if member.issym():
            member.linkname = posixpath.normpath(member.linkname)
        if max(member.name.count("/"), member.linkname.count("/")) >= _MAX_DEPTH:
            raise _refusal(member, f", deeper than {_MAX_DEPTH} folders")
        try:
            path = self._folder / tarfile.data_filter(member, str(self._folder)).name
            self._count()
            self._add(path, member, content)
        except tarfile.FilterError as error:
            raise _refusal(member, _UNSAFE) from error
        except (FileExistsError, NotADirectoryError) as error:
            what = " or a folder around it as a folder and as a file too"
            raise _refusal(member, what) from error
        except OSError as error:
            if error.errno not in _UNNAMEABLE:
                raise
            raise _refusal(member, ", a name that this disk cannot hold") from error

    def _add(self, path: Path, member: tarfile.TarInfo, content: IO[bytes]) -> None:
        if member.isdir():
            self._make_folder(path)
            return
        if member.islnk():  # a copy of an earlier file
            original = self._folder / posixpath.normpath(member.linkname)
            if not original.is_file():
                what = f' as a link to "{_brief(member.linkname)}", which is no file before it'
                raise _refusal(member, what)
            if original == path:  # tar writes a file that is given to it twice as a link to itself
                return
            content = original.open("rb")
        if path in self._folders:
            raise FileExistsError
        self._make_folder(path.parent)
        self.links.pop(path, None)
        path.unlink(missing_ok=True)
        if member.issym():
            self.links[path] = member.linkname
            return
        with content, path.open("xb") as file:
            while piece := content.read(_PIECE):
                self._bytes += len(piece)
                self.check_size(self._bytes)
                file.write(piece)

    def _make_folder(self, path: Path) -> None:
        if path in self._folders:
            return
        if path in self.links:
            raise FileExistsError
        self._make_folder(path.parent)
        self._count()
        path.mkdir(exist_ok=True)  # there already where the disk ignores case
        self._folders.add(path)

    def _count(self) -> None:
        self._members += 1
        if self._members > self._bounds.members:
            most = f"{self._bounds.members:,}"
            raise UserError(f"holds more than {most} files and folders: {_BY_HAND}")


def _refusal(member: tarfile.TarInfo, what: str) -> UserError:
    """What to raise for a member that cannot be unpacked."""
    return UserError(
        f'holds "{_brief(member.name)}"{what}: pack it again from a plain folder with short names'
    )


def _brief(name: str) -> str:
    return escaped(name if len(name) <= _MAX_SHOWN else f"{name[: _MAX_SHOWN - 1]}…")
