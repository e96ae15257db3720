"""Addresses of pictures elsewhere, and what of them may be shown."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import SplitResult, unquote, urlsplit

from pawprint.system.errors import UserError
from pawprint.system.machine import is_this_machine

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*", re.IGNORECASE)
_PLAIN_SCHEMES = ("http", "ftp")  # without encryption
_CHECKSUM = re.compile(r"(.*)#sha256=([0-9a-f]{64})", re.IGNORECASE)
_HOST = re.compile(r"(\[.*\]|[^:@]*)(:\d*)?")
_MAX_NAME_LENGTH = 80  # what is added to it must still fit into a file name


@dataclass(frozen=True)
class Address:
    """An address without its checksum; as text it can be shown to anybody.

    Attributes:
        url: what is fetched, with user and password where they were given
        sha256: what the file must have, in lower-case hex, or None
    """

    url: str = field(repr=False)
    sha256: str | None = None

    def __str__(self) -> str:
        return shown(self.url)

    @property
    def scheme(self) -> str:
        """Such as "https"; in lower case."""
        return self.url.partition("://")[0].lower()

    @property
    def is_http(self) -> bool:
        """Whether it is on the web, where there are files and no folders."""
        return self.scheme in ("http", "https")

    @property
    def file_name(self) -> str:
        """A safe name, another for every address; password and checksum play no part in it."""
        url = without_credentials(self.url)
        name = PurePosixPath(unquote(shown(url))).name
        safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name)[-_MAX_NAME_LENGTH:]
        return f"{hashlib.sha256(url.encode()).hexdigest()[:12]}-{safe or 'archive'}"

    def trusts(self, url: str) -> bool:
        """Whether what ``url`` sends can be trusted to be what its owner put there.

        Args:
            url: this address's own, or one to which its server redirects.
        """
        scheme = url.partition("://")[0].lower()
        if self.sha256 is not None or scheme not in _PLAIN_SCHEMES:
            return True
        return scheme == self.scheme == "http" and is_loopback(url)


def is_address(images: object) -> bool:
    """Whether ``images`` is an address, and not a path."""
    return isinstance(images, str) and "://" in images


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
        user = host.rpartition("@")[0]
        if ":" in user or scheme.lower() in ("http", "https"):  # abfs has a container's name there
            rest = rest[len(user) + 1 :]
    elif not _HOST.fullmatch(host):  # a password with a / ? or #
        rest = rest.rpartition("@")[2]
    return f"{scheme}{slashes}{rest}"


def escaped(text: str) -> str:
    """``text`` with what could steer a terminal, or cannot be written, as escapes."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def named(names: Sequence[str], most: int = 5) -> str:
    """Names for a sentence: the first ``most`` of them, and how many more there are."""
    shown = ", ".join(f'"{escaped(name)}"' for name in names[:most])
    more = len(names) - most
    return f"{shown} and {more:,} more" if more > 0 else shown


def parse(text: str) -> Address:
    """Take an address apart.

    Args:
        text: such as ``https://host/pets.zip`` or ``s3://bucket/pets``, with ``#sha256=`` and 64
            hexadecimal digits at its end where the content is to be checked.

    Raises:
        UserError: it is not complete, its checksum is none, or it is plain http with neither a
            checksum nor this very machine as its host.
    """
    checked = _CHECKSUM.fullmatch(text)
    url, sha256 = (checked[1], checked[2].lower()) if checked else (text, None)
    parts = _split(url)
    if parts is None:
        raise UserError(f'"{shown(text)}" is no complete URL: write one like https://host/pets.zip')
    address = Address(url.rstrip("/"), sha256)
    if "#sha256=" in url or (address.is_http and parts.fragment):
        raise UserError(
            f'what follows the # in the URL "{shown(text)}" is no checksum: write #sha256= and 64 '
            "hexadecimal digits, or nothing"
        )
    if address.is_http:
        address = Address(parts._replace(path=parts.path or "/", fragment="").geturl(), sha256)
    if not address.trusts(address.url):
        raise UserError(
            f'the URL "{address}" is plain {address.scheme}, where anybody on the way can change '
            "the pictures: use https, or add #sha256= and the checksum of the file"
        )
    return address


def _split(url: str) -> SplitResult | None:
    """The parts of a URL; None where nothing can be fetched from it."""
    scheme = url.partition("://")[0].lower()
    if not _SCHEME.fullmatch(scheme) or not url.isprintable():
        return None
    try:
        parts = urlsplit(url)
        if scheme in ("http", "https"):  # reading the port raises where it is no number
            return parts if parts.hostname and parts.port != 0 and " " not in url else None
    except ValueError:
        return None
    # fsspec takes "::" for one file system inside another, which would not be checked.
    return parts if parts.netloc + parts.path.strip("/") and "::" not in url else None
