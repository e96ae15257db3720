"""Writing the members of an archive: nothing outside the folder, and no more than there is room."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pawprint.data.sources.address import escaped
from pawprint.system.errors import UserError

_PIECE = 256 * 2**10
_UNNAMEABLE = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)
_LONGEST_SHOWN = 80


@dataclass(frozen=True)
class Bounds:
    """What an archive may come to.

    Attributes:
        members: Files, folders and links. Defaults to 5,000,000.
        ratio: How many times its own size it may unpack to, above ``unsuspicious``. Defaults to
            200: pictures hardly shrink, and what shrinks more is made to fill disks.
        unsuspicious: Bytes that any archive may unpack to. Defaults to 1 GiB.
        reserve: Bytes of disk that stay free, or a twentieth of the free ones where that is less.
            Defaults to 200 MB.
        depth: Folders inside each other. Defaults to 100.
    """

    members: int = 5_000_000
    ratio: int = 200
    unsuspicious: int = 2**30
    reserve: int = 200 * 10**6
    depth: int = 100

    def most(self, archive_size: int) -> int:
        """Bytes that an archive of this size may unpack to, whatever room there is."""
        return max(self.unsuspicious, self.ratio * archive_size)


@dataclass(frozen=True)
class Archive:
    """An archive and how to speak of it.

    Attributes:
        path: The file.
        named: What the person calls it.
        mend: What to do where it is damaged.
    """

    path: Path
    named: str
    mend: str = "download or pack it again"

    def __str__(self) -> str:
        return f'The archive "{self.named}"'


class Unpacking:
    """Writes one archive's members into a new folder that nobody else writes to.

    Links are made at the end, so nothing is ever written through one. Of two members with the
    same name the later stays. Modes, owners and times are left behind.

    Attributes:
        most: Bytes that the archive may unpack to, whatever room there is.
    """

    def __init__(self, archive: Archive, folder: Path, bounds: Bounds) -> None:
        self.archive, self.folder, self.bounds = archive, folder, bounds
        self.most = bounds.most(archive.path.stat().st_size)
        free = shutil.disk_usage(folder).free
        self._room = max(0, free - min(bounds.reserve, free // 20))
        self._bytes = self._members = 0
        self._folders = {folder}
        self._links: dict[Path, str] = {}

    def expect(self, members: int, size: int) -> None:
        """Refuse what the archive itself declares too large.

        Raises:
            UserError: It is.
        """
        self._check_count(members)
        self._check_size(size)

    def check_read(self, size: int) -> None:
        """Refuse an archive that has unpacked to ``size`` bytes of whatever kind.

        Raises:
            UserError: They are too many for its own size.
        """
        if size > self.most:
            raise UserError(
                f"{self.archive} unpacks to more than {self.most / 1e9:.3g} GB, too much for its "
                "own size, as archives do that are made to fill disks: if you trust it, unpack it "
                "yourself and set `images` to the folder."
            )

    def add_folder(self, name: str) -> None:
        """Make a folder, unless it is there.

        Raises:
            UserError: ``name`` leads outside, is a file already or cannot be held by the disk.
        """
        self._count()
        with self._naming(name):
            self._make_folder(self._path(name), name)

    def add_file(self, name: str, size: int, content: BinaryIO) -> None:
        """Write a file.

        Args:
            name: With slashes.
            size: As declared.
            content: Its bytes, which are counted.

        Raises:
            UserError: ``name`` will not do as for a folder, or the file is too large.
        """
        self._count()
        self._check_size(self._bytes + size)
        with self._naming(name):
            path = self._place(name)
            file = path.open("xb")
        with file:
            while piece := content.read(_PIECE):
                self._bytes += len(piece)
                self._check_size(self._bytes)
                file.write(piece)

    def add_link(self, name: str, target: str) -> None:
        """Note a symbolic link, to be made by ``finish``.

        Raises:
            UserError: It leads outside, or ``name`` will not do.
        """
        self._count()
        if target.startswith("/"):
            raise self.unsafe(name)
        with self._naming(name):
            path = self._place(name)
            reached = list(path.parent.relative_to(self.folder).parts)
            for part in target.split("/"):
                if part == ".." and not reached:
                    raise self.unsafe(name)
                if part == "..":
                    reached.pop()
                elif part not in ("", "."):
                    reached.append(part)
            # Rewritten, first up and then only down: a way up through another link could lead out.
            self._links[path] = os.path.relpath(self.folder.joinpath(*reached), path.parent)

    def add_copy(self, name: str, original: str) -> None:
        """Write a file with the bytes of an earlier one, which a hard link stands for.

        Raises:
            UserError: As for a file; or there is no such earlier file.
        """
        path = self._path(original)
        if path in self._folders or path in self._links or not path.is_file():
            raise UserError(
                f'{self.archive} holds "{_brief(name)}" as a link to "{_brief(original)}", which '
                "is no file before it in the archive: pack it again without hard links."
            )
        if path != self._path(name):
            with path.open("rb") as content:
                self.add_file(name, path.stat().st_size, content)

    def finish(self) -> None:
        """Make the links.

        Raises:
            UserError: A link's name cannot be held by the disk.
        """
        for path, target in self._links.items():
            with self._naming(path.name):
                path.symlink_to(target)

    def unsafe(self, name: str) -> UserError:
        """What to raise for a member that would do harm."""
        return UserError(
            f'{self.archive} holds "{_brief(name)}", which may not be unpacked safely (it leads '
            "outside the folder, or is a device): pack it again from a plain folder."
        )

    def _path(self, name: str) -> Path:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts or "\0" in name:
            raise self.unsafe(name)
        if len(parts) > self.bounds.depth:
            raise UserError(
                f'{self.archive} holds "{_brief(name)}", deeper than {self.bounds.depth} folders: '
                "pack it again with fewer folders inside each other."
            )
        return self.folder.joinpath(*parts)

    def _place(self, name: str) -> Path:
        """The path of a new file or link, made free of an earlier one."""
        path = self._path(name)
        if path in self._folders:
            raise self._twofold(name)
        self._make_folder(path.parent, name)
        self._links.pop(path, None)
        path.unlink(missing_ok=True)
        return path

    def _make_folder(self, path: Path, name: str) -> None:
        if path in self._folders:
            return
        self._make_folder(path.parent, name)
        self._count()
        if path in self._links:
            raise self._twofold(name)
        try:
            path.mkdir()
        except FileExistsError:
            if not path.is_dir():  # else the disk takes upper and lower case for one
                raise self._twofold(name) from None
        self._folders.add(path)

    def _twofold(self, name: str) -> UserError:
        return UserError(
            f'{self.archive} holds "{_brief(name)}" or a folder around it as a folder and as a '
            "file too: pack it again from a plain folder."
        )

    def _count(self) -> None:
        self._members += 1
        self._check_count(self._members)

    def _check_count(self, members: int) -> None:
        if members > self.bounds.members:
            raise UserError(
                f"{self.archive} holds more than {self.bounds.members:,} files and folders: "
                "unpack it yourself and set `images` to the folder."
            )

    def _check_size(self, size: int) -> None:
        self.check_read(size)
        if size > self._room:
            raise UserError(
                f"{self.archive} unpacks to {size / 1e9:.3g} GB or more, but the disk of "
                f'"{self.folder.parent}" has room for {self._room / 1e9:.3g} GB: free some, or set '
                "`images` to an unpacked folder."
            )

    @contextmanager
    def _naming(self, name: str) -> Iterator[None]:
        try:
            yield
        except (OSError, UnicodeEncodeError) as error:
            if isinstance(error, OSError) and error.errno not in _UNNAMEABLE:
                raise
            raise UserError(
                f'{self.archive} holds "{_brief(name)}", a name that this disk cannot hold: pack '
                "it again with shorter and plainer names."
            ) from error


def _brief(name: str) -> str:
    return escaped(name if len(name) <= _LONGEST_SHOWN else f"{name[: _LONGEST_SHOWN - 1]}…")
