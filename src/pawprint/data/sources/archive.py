"""Archives: zip, and tar plain or compressed with gzip, bzip2 or xz.

Zip and tar share one way onto the disk, which writes nothing outside its folder, and no more than
there is room. It does not rely on the checks of tarfile's own filters, which older patch releases
of Python get wrong.
"""

from __future__ import annotations

import bz2
import errno
import gzip
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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from pawprint.data.sources.address import escaped, is_address
from pawprint.system.errors import UserError

_ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_COMPRESSIONS = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\0", lzma.open))
_UNICODE_PATH = 0x7075  # Info-ZIP's extra field of a zip's member
_MAX_HEADER = 16 * 2**20  # bytes, read into memory as a whole
_MAX_TARGET = 4096
_MAX_SHOWN = 80
_PIECE = 256 * 2**10
_UNNAMEABLE = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)
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


@dataclass(frozen=True)
class Bounds:
    """What an archive may come to.

    Attributes:
        members: files, folders and links. Defaults to 5,000,000
        ratio: how many times its own size it may unpack to, above ``unsuspicious``; pictures
            hardly shrink, and what shrinks more is made to fill disks. Defaults to 200
        unsuspicious: bytes that any archive may unpack to. Defaults to 1 GiB
        reserve: bytes of disk that stay free, or a twentieth of the free ones where that is less.
            Defaults to 200 MB
        depth: folders inside each other. Defaults to 100
    """

    members: int = 5_000_000
    ratio: int = 200
    unsuspicious: int = 2**30
    reserve: int = 200 * 10**6
    depth: int = 100


@dataclass(frozen=True)
class Archive:
    """An archive and how to speak of it: its file, its name, and what to do where it is damaged."""

    path: Path
    name: str
    cure: str = ""

    def __str__(self) -> str:
        return f'the archive "{self.name}"'


def unpack(archive: Archive, folder: Path, *, bounds: Bounds | None = None) -> None:
    """Unpack an archive, told by its content, whatever its name.

    Of two members with the same name the later stays. Modes, owners and times are left behind.

    Args:
        archive: the archive.
        folder: a new, empty folder that nobody else writes to.
        bounds: what it may come to. Defaults to ``Bounds()``.

    Raises:
        UserError: it is no archive, is damaged or encrypted, exceeds the bounds, or holds a member
            that would be written outside the folder, is a device, or has a name that this disk
            cannot hold.
    """
    try:
        writer = _Writer(archive, folder, bounds or Bounds())
        (_unpack_zip if _is_zip(archive) else _unpack_tar)(writer)
        writer.make_links()
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            what = "cannot be unpacked, as there is no room on the disk"
            cure = "free some, or set `images` to an unpacked folder"
        elif isinstance(error, OSError) and error.errno is not None:
            what = f"cannot be unpacked ({error.strerror})"
            cure = "see that it and the output folder are yours to read and write"
        else:
            what = f"is damaged ({escaped(str(error)) or type(error).__name__})"
            cure = archive.cure or "download or pack it again"
        raise UserError(f"{archive} {what}: {cure}") from error


def _is_zip(archive: Archive) -> bool:
    with archive.path.open("rb") as file:
        if file.read(4) in (b"PK\3\4", b"PK\5\6"):
            return True
    try:
        # Before a look for a zip: that looks at the end, where a tar may hold one as its member.
        with _open_tar(archive.path):
            return False
    except tarfile.ReadError:
        if zipfile.is_zipfile(archive.path):
            return True
    if is_address(archive.name):
        raise UserError(
            f'what "{archive.name}" sends is no archive: set `images` to the URL of a .zip or .tar '
            "file itself"
        )
    if archive.name.lower().endswith(_ENDINGS):
        raise UserError(
            f"{archive} is damaged or is no archive at all: download or pack it again, or set "
            "`images` to a folder"
        )
    raise UserError(
        f'"{archive.name}" is neither a folder nor an archive: set `images` to a folder with a '
        "sub-folder per class, or to a .zip or .tar archive of one"
    )


def _unpack_zip(writer: _Writer) -> None:
    with zipfile.ZipFile(writer.archive.path) as file:
        members = file.infolist()
        writer.check_declared(len(members), sum(member.file_size for member in members))
        for member in members:
            name = _zip_name(member).replace("\\", "/")
            if re.match(r"[A-Za-z]:(/|$)", name):  # a drive
                raise writer.unsafe(name)
            if member.flag_bits & 0x1:
                raise UserError(
                    f"{writer.archive} is encrypted: unpack it yourself and set `images` to the "
                    "folder"
                )
            mode = member.external_attr >> 16 if member.create_system == 3 else 0  # 3: Unix
            if name.endswith("/"):
                writer.add_folder(name)
                continue
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFLNK):
                raise writer.unsafe(name)
            with file.open(member) as content:
                if stat.S_ISLNK(mode):
                    writer.add_link(name, os.fsdecode(content.read(_MAX_TARGET)))
                else:
                    writer.add_file(name, member.file_size, content)


def _zip_name(member: zipfile.ZipInfo) -> str:
    """The name of a member; many programs write UTF-8 without the flag that says so."""
    if member.flag_bits & 0x800:
        return member.filename
    raw = member.orig_filename.encode("cp437")
    extra = member.extra
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind == _UNICODE_PATH and field[:5] == struct.pack("<BL", 1, zlib.crc32(raw)):
            raw = field[5:]
    try:
        return raw.partition(b"\0")[0].decode()
    except UnicodeDecodeError:
        return member.filename


def _unpack_tar(writer: _Writer) -> None:
    with _open_tar(writer.archive.path, writer) as file:
        while (member := file.next()) is not None:
            file.members = []  # type: ignore[attr-defined]  # else millions of members fill the memory
            name = member.name.lstrip("/")  # tar's own rule
            if member.isdir():
                writer.add_folder(name)
            elif member.issym():
                writer.add_link(name, member.linkname)
            elif member.islnk():
                writer.add_copy(name, member.linkname.lstrip("/"))
            elif member.isdev() or (content := file.extractfile(member)) is None:
                raise writer.unsafe(name)
            else:
                with content:
                    writer.add_file(name, member.size, content)
        # tarfile stops without a word at a damaged header; a sound archive ends in zeros.
        rest = cast("_Metered", file.fileobj)
        rest.seek(file.offset)
        if rest.read(tarfile.BLOCKSIZE).strip(b"\0"):
            raise tarfile.ReadError("a member's header is damaged")
        while rest.read(2**20):  # to the end, where the checksum is
            pass


class _Metered:
    """A file whose reader can neither read too much in all nor too much at once."""

    def __init__(self, file: IO[bytes], writer: _Writer | None) -> None:
        self._file, self._writer = file, writer
        self.tell, self.seekable = file.tell, file.seekable

    def read(self, size: int) -> bytes:
        if size > _MAX_HEADER:
            raise ValueError("a member's header is too long")
        content = self._file.read(size)
        self._check(self._file.tell())
        return content

    def seek(self, place: int) -> int:
        self._check(place)
        return self._file.seek(place)

    def _check(self, place: int) -> None:
        if self._writer is not None:
            self._writer.check_ratio(place)


@contextmanager
def _open_tar(path: Path, writer: _Writer | None = None) -> Iterator[tarfile.TarFile]:
    with path.open("rb") as file:
        start = file.read(6)
    opener: Any = next((opener for magic, opener in _COMPRESSIONS if start.startswith(magic)), open)
    with opener(path, "rb") as file:
        metered = cast("IO[bytes]", _Metered(file, writer))
        with tarfile.open(fileobj=metered, mode="r:") as tar:
            yield tar


class _Writer:
    """Writes the members; links come last, so nothing is ever written through one."""

    def __init__(self, archive: Archive, folder: Path, bounds: Bounds) -> None:
        self.archive, self._folder, self._bounds = archive, folder, bounds
        self._limit = max(bounds.unsuspicious, bounds.ratio * archive.path.stat().st_size)
        free = shutil.disk_usage(folder).free
        self._room = max(0, free - min(bounds.reserve, free // 20))
        self._bytes = self._members = 0
        self._folders = {folder}
        self._links: dict[Path, str] = {}

    def check_declared(self, members: int, size: int) -> None:
        """Refuse too many members, or more bytes than may or can be written."""
        if members > self._bounds.members:
            raise UserError(
                f"{self.archive} holds more than {self._bounds.members:,} files and folders: "
                "unpack it yourself and set `images` to the folder"
            )
        self.check_ratio(size)
        if size > self._room:
            raise UserError(
                f"{self.archive} unpacks to {size / 1e9:.3g} GB or more, but the disk of "
                f'"{self._folder.parent}" has room for {self._room / 1e9:.3g} GB: free some, or '
                "set `images` to an unpacked folder"
            )

    def check_ratio(self, size: int) -> None:
        """Refuse an archive that has unpacked to ``size`` bytes of whatever kind."""
        if size > self._limit:
            raise UserError(
                f"{self.archive} unpacks to more than {self._limit / 1e9:.3g} GB, too much for its "
                "own size, as archives do that are made to fill disks: if you trust it, unpack it "
                "yourself and set `images` to the folder"
            )

    def add_folder(self, name: str) -> None:
        """Make a folder, unless it is there."""
        self._count()
        with self._explained(name):
            self._make_folder(self._path(name))

    def add_file(self, name: str, size: int, content: IO[bytes]) -> None:
        """Write a file; ``size`` is what is declared, the bytes of ``content`` are counted."""
        self._count(size)
        with self._explained(name):
            file = self._make_room(name).open("xb")
        with file:
            while piece := content.read(_PIECE):
                self._bytes += len(piece)
                self.check_declared(self._members, self._bytes)
                file.write(piece)

    def add_link(self, name: str, target: str) -> None:
        """Note a symbolic link, without ways up through other links."""
        self._count()
        with self._explained(name):
            self._links[self._make_room(name)] = posixpath.normpath(target)

    def add_copy(self, name: str, original: str) -> None:
        """Write a file with the bytes of an earlier one, which a hard link stands for."""
        path = self._path(original)
        if not path.is_file():
            raise UserError(
                f'{self.archive} holds "{_brief(name)}" as a link to "{_brief(original)}", which '
                "is no file before it in the archive: pack it again without hard links"
            )
        if path != self._path(name):
            with path.open("rb") as content:
                self.add_file(name, path.stat().st_size, content)

    def make_links(self) -> None:
        """Make the links, and refuse one that leads outside, be it through others."""
        for path, target in self._links.items():
            with self._explained(path.name):
                path.symlink_to(target)
        root = os.path.realpath(self._folder)
        for path in self._links:
            if os.path.commonpath([root, os.path.realpath(path)]) != root:
                raise self.unsafe(path.relative_to(self._folder).as_posix())

    def unsafe(self, name: str) -> UserError:
        """What to raise for a member that would do harm."""
        return UserError(
            f'{self.archive} holds "{_brief(name)}", which may not be unpacked safely (it leads '
            "outside the folder, or is a device): pack it again from a plain folder"
        )

    def _path(self, name: str) -> Path:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts or "\0" in name:
            raise self.unsafe(name)
        if len(parts) > self._bounds.depth:
            raise UserError(
                f'{self.archive} holds "{_brief(name)}", deeper than {self._bounds.depth} folders: '
                "pack it again with fewer folders inside each other"
            )
        return self._folder.joinpath(*parts)

    def _make_room(self, name: str) -> Path:
        """The path of a new file or link, made free of an earlier one."""
        path = self._path(name)
        if path in self._folders:
            raise FileExistsError
        self._make_folder(path.parent)
        self._links.pop(path, None)
        path.unlink(missing_ok=True)
        return path

    def _make_folder(self, path: Path) -> None:
        if path not in self._folders:
            self._make_folder(path.parent)
            self._count()
            path.mkdir(exist_ok=True)  # there already where the disk ignores case
            self._folders.add(path)

    def _count(self, size: int = 0) -> None:
        self._members += 1
        self.check_declared(self._members, self._bytes + size)

    @contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        try:
            yield
        except (FileExistsError, NotADirectoryError) as error:
            raise UserError(
                f'{self.archive} holds "{_brief(name)}" or a folder around it as a folder and as a '
                "file too: pack it again from a plain folder"
            ) from error
        except (OSError, UnicodeEncodeError) as error:
            if isinstance(error, OSError) and error.errno not in _UNNAMEABLE:
                raise
            raise UserError(
                f'{self.archive} holds "{_brief(name)}", a name that this disk cannot hold: pack '
                "it again with shorter and plainer names"
            ) from error


def _brief(name: str) -> str:
    return escaped(name if len(name) <= _MAX_SHOWN else f"{name[: _MAX_SHOWN - 1]}…")
