"""How files of the web are requested, and what it means where they do not come."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import Any

import aiohttp
from fsspec.exceptions import FSTimeoutError

from pawprint.data.sources.address import Address, escaped, is_loopback, shown
from pawprint.system.errors import UserError

_TRANSIENT_STATUSES = (408, 425, 429, 500, 502, 503, 504)
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
_CURES = {
    401: "put your user and password for that host into ~/.netrc",
    403: "see that you may read it, and that the URL has not run out",
}


@dataclass(frozen=True)
class RetryPolicy:
    """How long to try.

    Attributes:
        attempts: how often in all. Defaults to 5
        pause: seconds before the second attempt, doubled before each further. Defaults to 0.5
        connect: seconds until a web server must have taken the connection. Defaults to 15
        read: seconds in which a web server must have sent something. Defaults to 30
    """

    attempts: int = 5
    pause: float = 0.5
    connect: float = 15.0
    read: float = 30.0


def client_options(address: Address, policy: RetryPolicy) -> dict[str, Any]:
    """Options of an aiohttp session that fetches from nowhere but where it is safe to."""

    async def check(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """See every URL that is requested, also after a redirect."""
        if not address.trusts(str(request.url)):
            raise _unsafe(address, str(request.url))
        if is_loopback(str(request.url)):
            request.update_proxy(None, None, None)
        return await handler(request)

    return {
        "trust_env": True,  # ~/.netrc and proxies
        "auto_decompress": False,  # an archive served as "gzip-encoded" is to stay compressed
        "headers": {"Accept-Encoding": "identity", "User-Agent": "pawprint"},
        "timeout": aiohttp.ClientTimeout(connect=policy.connect, sock_read=policy.read),
        "middlewares": (check,),
    }


def _unsafe(address: Address, url: str) -> UserError:
    return UserError(
        f'"{address}" leads to "{shown(url)}", which is not https, so anybody on the way can '
        "change the pictures: use another URL, or add #sha256= and its checksum"
    )


def failure_reason(error: Exception, address: Address, policy: RetryPolicy) -> str:
    """Why an attempt failed, in words without the URL, which may hold secrets.

    Raises:
        UserError: another attempt would fail too.
        OSError: the disk failed.
    """
    wrapped = isinstance(error, (FileNotFoundError, FSTimeoutError)) and error.__cause__
    if isinstance(wrapped, Exception):  # fsspec says less than what it wraps
        error = wrapped
    if isinstance(error, UserError):
        raise error
    _raise_final(error, address)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "no host of this name is known"
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return f"no answer within {policy.connect:g} s"
    if isinstance(error, TimeoutError):
        return f"nothing came for {policy.read:g} s"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"the server says {_status(error)}"
    if isinstance(error, OSError) and error.errno is not None:
        proxy = "proxy: " if isinstance(error, aiohttp.ClientProxyConnectionError) else ""
        return proxy + os.strerror(error.errno).lower()
    return "the connection broke"


def _raise_final(error: Exception, address: Address) -> None:
    """Raise where another attempt would fail too."""
    if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
        raise error
    if isinstance(error, aiohttp.ClientSSLError):
        raise UserError(
            f'the certificate of "{address}" cannot be trusted: correct the URL or the '
            "certificates of this machine, or download the archive yourself"
        ) from error
    if isinstance(error, aiohttp.NonHttpUrlRedirectClientError):
        raise _unsafe(address, str(error.args[0])) from error
    if isinstance(error, aiohttp.TooManyRedirects):
        raise UserError(
            f'"{address}" leads in a circle: set `images` to the URL of the file itself'
        ) from error
    if isinstance(error, aiohttp.ClientResponseError) and error.status in _TRANSIENT_STATUSES:
        return
    if isinstance(error, (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)):
        return
    said, todo = type(error).__name__, "see the address, the network, and your credentials"
    if isinstance(error, aiohttp.ClientResponseError):
        said, todo = _status(error), _CURES.get(error.status, "correct `images`")
    elif isinstance(error, FileNotFoundError):
        said, todo = "404 Not Found" if address.is_http else "not found", "correct `images`"
    elif isinstance(error, PermissionError):
        said, todo = "permission denied", _CURES[403]
    raise UserError(f'the server does not give "{address}" ({said}): {todo}') from error


def _status(error: aiohttp.ClientResponseError) -> str:
    return escaped(f"{error.status} {error.message}".strip())
