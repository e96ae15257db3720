"""What a web server answers: where it points, what it refuses, and what a connection dies of."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from pawprint.data.sources.address import Address, escaped, is_loopback, shown
from pawprint.system.errors import UserError

_REDIRECTS = 10
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # what a server may say once and not again
_BREAKS = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    urllib3.exceptions.HTTPError,
)


@dataclass(frozen=True)
class Patience:
    """How long to try.

    Attributes:
        attempts: How often in a row a connection may break with little gained. Defaults to 5.
        pause: Seconds before the second attempt, doubled before each further. Defaults to 0.5.
        connect: Seconds until a server must have taken the connection. Defaults to 15.
        read: Seconds in which a server must have sent something. Defaults to 30.
    """

    attempts: int = 5
    pause: float = 0.5
    connect: float = 15.0
    read: float = 30.0


@dataclass(frozen=True)
class Facts:
    """What a server says of a file; None is what it does not say."""

    etag: str | None = None
    last_modified: str | None = None
    size: int | None = None

    @property
    def validator(self) -> str | None:
        """What a part is continued by; a weak tag does not promise the same bytes."""
        strong = self.etag and not self.etag.startswith("W/")
        return self.etag if strong else self.last_modified

    def updated(self, newer: Facts) -> Facts:
        """What is known after an answer that may say less."""
        pairs = zip(astuple(self), astuple(newer), strict=True)
        return Facts(*(old if new is None else new for old, new in pairs))

    def same_file(self, other: Facts) -> bool:
        """Whether both are of one file, by the best that both say and by the size."""
        pairs = list(zip(astuple(self), astuple(other), strict=True))
        pairs = [pair for pair in pairs if None not in pair]
        return bool(pairs) and all(mine == theirs for mine, theirs in (pairs[0], pairs[-1]))


class BrokenError(Exception):
    """An attempt failed; the next may not."""


def answer(
    session: requests.Session, address: Address, headers: dict[str, str], patience: Patience
) -> requests.Response:
    """Ask, and follow where the server points, as far as that is safe.

    Raises:
        UserError: It points to an unsafe place or in a circle, or its certificate is not trusted.
        requests.RequestException: The connection failed.
    """
    url = address.url
    for _ in range(_REDIRECTS):
        own = _origin(url) == _origin(address.url)
        try:
            response = session.get(
                url,
                headers={"Accept-Encoding": "identity", "User-Agent": "pawprint", **headers},
                auth=address.credentials if own else None,
                stream=True,
                allow_redirects=False,
                timeout=(patience.connect, patience.read),
                proxies=dict.fromkeys(("http", "https", "all")) if is_loopback(url) else None,
            )
        except requests.exceptions.SSLError as error:
            raise UserError(
                f'The certificate of "{shown(url)}" cannot be trusted: mend the URL or the '
                "certificates of this machine, or download the archive yourself."
            ) from error
        except (requests.exceptions.InvalidURL, UnicodeError) as error:
            raise UserError(
                f'"{shown(url)}" is no URL that can be asked: set `images` to one like '
                "https://host/pets.zip."
            ) from error
        target = session.get_redirect_target(response)
        if target is None:
            return response
        response.close()
        before, url = url, urljoin(url, target)
        if not address.may_ask(url, before):
            raise UserError(
                f'"{address}" leads to "{shown(url)}", which is not https, so anybody on the way '
                "can change the pictures: use another URL, or add #sha256= and its checksum."
            )
    raise UserError(f'"{address}" leads in a circle: set `images` to the URL of the file itself.')


def check_status(response: requests.Response, address: Address) -> None:
    """Go on only with an answer that holds the file or a part of it.

    Raises:
        BrokenError: The server may answer otherwise another time.
        UserError: It will not.
    """
    code = response.status_code
    if code in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        return
    said = f"{code} {response.reason or ''}".strip()
    if code in _PASSING:
        raise BrokenError(f"the server says {escaped(said)}")
    todo = {
        HTTPStatus.UNAUTHORIZED: "put your user and password for that host into ~/.netrc",
        HTTPStatus.FORBIDDEN: "see that you may read it, and that the URL has not run out",
    }.get(code, "correct `images`")
    raise UserError(f'The server does not give "{address}" ({escaped(said)}): {todo}.')


def facts_of(response: requests.Response) -> Facts:
    """What the headers say of the whole file, also where the answer is a part of it."""
    headers = response.headers
    total = re.fullmatch(r"bytes .*/(\d+)", headers.get("Content-Range", ""))
    length = None if "Content-Range" in headers else headers.get("Content-Length", "")
    size = total[1] if total else length
    return Facts(
        etag=headers.get("ETag"),
        last_modified=headers.get("Last-Modified"),
        size=int(size) if size and size.isdecimal() else None,
    )


@contextmanager
def breaks_told(patience: Patience) -> Iterator[None]:
    """Turn what a connection can die of into a reason without the URL, which may hold secrets.

    Raises:
        BrokenError: The connection failed, which it may not do again.
        UserError: It cannot be made.
    """
    try:
        yield
    except _BREAKS as error:
        raise BrokenError(_reason(error, patience)) from error
    except requests.RequestException as error:
        raise UserError(
            f"The download failed ({type(error).__name__}): correct `images`."
        ) from error


def _reason(error: BaseException, patience: Patience) -> str:
    seen: list[BaseException] = []
    waiting = [error]
    while waiting and len(seen) < 20:
        seen.append(inner := waiting.pop())
        linked = [inner.__cause__, inner.__context__, getattr(inner, "reason", None), *inner.args]
        waiting += [e for e in linked if isinstance(e, BaseException) and e not in seen]
    timeouts = (TimeoutError, requests.Timeout, urllib3.exceptions.TimeoutError)
    if any(isinstance(e, socket.gaierror) for e in seen):
        return "no host of this name is known"
    if told := [e for e in seen if isinstance(e, OSError) and e.strerror]:
        whose = "proxy: " if isinstance(error, requests.exceptions.ProxyError) else ""
        return whose + told[-1].strerror.lower()
    if any(isinstance(e, requests.ConnectTimeout) for e in seen):
        return f"no answer within {patience.connect:g} s"
    if any(isinstance(e, timeouts) for e in seen):
        return f"nothing came for {patience.read:g} s"
    return "the connection broke"


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port
