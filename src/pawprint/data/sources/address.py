"""Where on the web a file is, and what of that may be shown."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import SplitResult, unquote, urlsplit

from pawprint.system.errors import UserError
from pawprint.system.machine import is_this_machine

_SCHEMES = ("http://", "https://")
_CHECKSUM = re.compile(r"sha256=([0-9a-f]{64})", re.IGNORECASE)
_HOST = re.compile(r"(\[.*\]|[^:@]*)(:\d*)?")
_LONGEST_NAME = 80  # what is added to it must still fit into a file name


@dataclass(frozen=True)
class Address:
    """A URL taken apart; as text it can be shown to anybody.

    Attributes:
        url: What is asked for, without credentials and checksum.
        credentials: User and password, or None.
        sha256: What the file must have, in lower-case hex, or None.
    """

    url: str
    credentials: tuple[str, str] | None = None
    sha256: str | None = None

    def __str__(self) -> str:
        return shown(self.url)

    @property
    def file_name(self) -> str:
        """A safe file name, another for every URL; the checksum plays no part in it."""
        base = PurePosixPath(unquote(urlsplit(self.url).path)).name
        safe = re.sub(r"[^A-Za-z0-9._-]+", "_", base)[-_LONGEST_NAME:] or "archive"
        return f"{hashlib.sha256(self.url.encode()).hexdigest()[:12]}-{safe}"

    def may_ask(self, url: str, before: str | None = None) -> bool:
        """Whether an answer from ``url`` can be trusted to be the one of its owner.

        Args:
            url: This address's own, or one to which its server points.
            before: The URL that pointed there.
        """
        parts = _split(url)
        if parts is None:
            return False
        if parts.scheme == "https" or self.sha256 is not None:
            return True
        return is_loopback(url) and not (before or "").lower().startswith("https:")


def is_url(text: str) -> bool:
    """Whether ``text`` is an address on the web (and not a path)."""
    return text.lower().startswith(_SCHEMES)


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine."""
    return is_this_machine(urlsplit(url).hostname or "")


def shown(url: str) -> str:
    """A URL as it can be printed: no credentials, no query (a token, perhaps) and no checksum."""
    return escaped(re.split(r"[?#]", without_credentials(url))[0])


def without_credentials(url: str) -> str:
    """A URL that can be recorded; it leads to the same kept download."""
    scheme, slashes, rest = url.partition("://")
    host = re.split(r"[/?#]", rest)[0]
    if "@" in host:
        rest = rest[host.rindex("@") + 1 :]
    elif not _HOST.fullmatch(host):  # a password with a / ? or #
        rest = rest.rpartition("@")[2]
    return f"{scheme}{slashes}{rest}"


def escaped(text: str) -> str:
    """``text`` with what could steer a terminal, or cannot be written, as escapes."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def parse(text: str) -> Address:
    """Take a URL apart.

    Args:
        text: Such as ``https://host/pets.zip``, with ``#sha256=`` and 64 hexadecimal digits at its
            end where the content is to be checked.

    Raises:
        UserError: It is no complete URL, its checksum is none, or it is plain http with neither a
            checksum nor this very machine as its host.
    """
    parts = _split(text)
    if parts is None:
        raise UserError(
            f'"{shown(text)}" is no complete URL: set `images` to one like https://host/pets.zip.'
        )
    checksum = _CHECKSUM.fullmatch(parts.fragment)
    if parts.fragment and checksum is None:
        raise UserError(
            f'What follows the # in the URL "{shown(text)}" is no checksum: write #sha256= and 64 '
            "hexadecimal digits, or nothing."
        )
    credentials = None
    if parts.username is not None:
        credentials = (unquote(parts.username), unquote(parts.password or ""))
    host = parts.netloc.rpartition("@")[2]
    url = parts._replace(netloc=host, path=parts.path or "/", fragment="").geturl()
    address = Address(url, credentials, checksum[1].lower() if checksum else None)
    if not address.may_ask(url):
        raise UserError(
            f'The URL "{address}" is plain http, where anybody on the way can change the '
            "pictures: use https, or add #sha256= and the checksum of the file."
        )
    return address


def _split(text: str) -> SplitResult | None:
    """The parts of a URL; None where it is none that can be asked."""
    if not is_url(text) or not text.isprintable() or " " in text:
        return None
    try:
        parts = urlsplit(text)
        named = parts.hostname and parts.port != 0  # reading the port raises where it is no number
    except ValueError:
        return None
    return parts if named else None
