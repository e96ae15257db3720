"""A file or folder elsewhere, read by fsspec."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import fsspec
from fsspec.callbacks import TqdmCallback
from fsspec.exceptions import FSTimeoutError
from tqdm import tqdm

from pawprint.data.sources.address import Address, escaped, is_loopback, shown
from pawprint.system.errors import UserError, installing

log = logging.getLogger(__name__)

T = TypeVar("T")

_BATCH = 64  # files of a folder that are fetched, and where need be fetched again, at a time
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
_TRANSIENT_STATUSES = (408, 425, 429, 500, 502, 503, 504)
_RETRY = "see the URL and the network, and run again"
_NO_ACCESS = "see that you may read it, and that the URL has not run out"
_CURES = {401: "put your user and password for that host into ~/.netrc", 403: _NO_ACCESS}
# What failed, why, and what to do; None where another attempt may help.
_FAILURES: tuple[tuple[type[Exception], str, str | None], ...] = (
    (aiohttp.ClientSSLError, "its certificate is not trusted", "correct the URL or the "
     "certificates of this machine, or download the archive yourself"),
    (aiohttp.TooManyRedirects, "it leads in a circle", "use the URL of the file"),
    (aiohttp.ClientConnectorDNSError, "no host of this name is known", None),
    (TimeoutError, "no answer in time", None),
    (aiohttp.ClientConnectorError, "the host, or a proxy, takes no connection", None),
    (aiohttp.ClientConnectionError, "the connection broke", None),
    (aiohttp.ClientPayloadError, "the connection broke", None),
    (FileNotFoundError, "not found", "correct the URL"),
    (PermissionError, "permission denied", _NO_ACCESS),
)  # fmt: skip


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


@contextmanager
def open_remote(address: Address, policy: RetryPolicy) -> Iterator[Remote]:
    """Yield what an address leads to.

    Args:
        address: where it is.
        policy: how long to try.

    Raises:
        UserError: no installed package reads such an address.
    """
    # Debug messages of fsspec hold whole URLs, with what may be secret in them.
    logging.getLogger("fsspec").setLevel(logging.INFO)
    with _event_loop() as loop:
        options: dict[str, Any] = {"skip_instance_cache": True}
        try:
            if fsspec.get_filesystem_class(address.scheme).async_impl:
                options["loop"] = loop
            if address.is_http:
                options["encoded"] = address.url.isascii()
                options["client_kwargs"] = _client_options(address, policy)
            fs, path = fsspec.url_to_fs(address.url, **options)
        except Exception as error:  # whatever a store's own package raises
            package = getattr(error.__cause__, "name", "") if isinstance(error, ImportError) else ""
            install = package and f"install its package with {installing(package)}, or "
            raise UserError(
                f'"{address}" cannot be read from here ({package or type(error).__name__}): '
                f"{install}bring the pictures here with `dvc import-url`"
            ) from error
        yield Remote(address, policy, fs, path)


@contextmanager
def _event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop with a thread of its own, which is gone afterwards: no process forks next to one."""
    loop = asyncio.new_event_loop()

    def serve() -> None:
        with asyncio.Runner(loop_factory=lambda: loop):  # ends, on Ctrl-C too, what still runs
            loop.run_forever()
            # Connections that a store's package leaves open end here: no word of them.
            loop.set_exception_handler(lambda *_: None)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=5)  # longer where a host's name is still looked up


def _client_options(address: Address, policy: RetryPolicy) -> dict[str, Any]:
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


@dataclass(frozen=True)
class Remote:
    """A file or folder elsewhere.

    Attributes:
        address: where it is
        policy: how long to try
        fs: the file system that it is in
        path: where it is in there
    """

    address: Address
    policy: RetryPolicy
    fs: fsspec.AbstractFileSystem
    path: str

    def version(self) -> str | None:
        """What changes when the content does, or None where the server does not tell.

        Raises:
            UserError: it does not answer.
        """
        return self._attempt(self._survey, attempts=1)[0]

    def fetch(self, target: Path) -> str | None:
        """Write the content to ``target``, a new file or folder; returns its version.

        Raises:
            UserError: it is not to be had, or not safe to take.
            OSError: ``target`` cannot be written.
        """
        version, files = None, None
        if not (self.address.is_http and self.address.sha256):  # else nobody will compare it
            version, files = self._attempt(self._survey)
        if files is None:
            self._attempt(lambda: self.fs.get_file(self.path, str(target), callback=_progress("B")))
            return version
        if self.address.sha256:
            raise UserError(f'"{self.address}" is a folder: leave out #sha256=, which is of a file')
        target.mkdir()
        progress = _progress("files")
        progress.set_size(len(files))
        root = self.path.rstrip("/")
        for start in range(0, len(files), _BATCH):
            batch = [path for path, _ in files[start : start + _BATCH]]
            sources, targets = [f"{root}/{p}" for p in batch], [str(target / p) for p in batch]
            for path in targets:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._attempt(partial(self.fs.get, sources, targets))
            progress.relative_update(len(batch))
        return version

    def _survey(self) -> tuple[str | None, list[tuple[str, str | None]] | None]:
        """The version of what is there; of a folder also its files' paths and versions."""
        info = self.fs.info(self.path)
        if info.get("type") != "directory":
            return _version(info), None
        root, files, folders = self.path.rstrip("/"), [], [self.path]
        while folders:  # fsspec's own walk leaves out the folders that it cannot list
            folder = folders.pop()
            for info in self.fs.ls(folder, detail=True):
                path = info["name"].rstrip("/")
                inside = path.removeprefix(f"{root}/")
                if path == folder:
                    continue  # how some stores mark a folder
                if inside == path or {"", ".", ".."} & set(inside.split("/")):
                    raise UserError(
                        f'"{self.address}" holds "{escaped(path)}", which is no name for a file '
                        "here: rename it"
                    )
                if info["type"] == "directory":
                    folders.append(path)
                elif path == info["name"]:  # else another mark
                    files.append((inside, _version(info)))
        files.sort(key=lambda file: file[0])
        return hashlib.sha256(json.dumps(files).encode()).hexdigest(), files

    def _attempt(self, call: Callable[[], T], attempts: int | None = None) -> T:
        """Call, again and again where that may help."""
        attempts = attempts or self.policy.attempts
        attempt = 0
        while True:
            attempt += 1
            try:
                return call()
            except Exception as error:  # whatever a store's own package raises
                reason, cure = _explain(error, self.address)
                if cure or attempt == attempts:
                    times = f" {attempt} times in a row" if attempt > 1 else ""
                    raise UserError(
                        f'the download of "{self.address}" failed{times} ({reason}): '
                        f"{cure or _RETRY}"
                    ) from error
                pause = self.policy.pause * 2 ** (attempt - 1)
                log.warning("%s: %s; trying again in %.3g s", self.address, reason, pause)
                time.sleep(pause)


def _explain(error: Exception, address: Address) -> tuple[str, str | None]:
    """Why an attempt failed, in words without the URL, which may hold secrets; and what to do.

    Raises:
        UserError: it was not safe.
        OSError: the disk failed.
    """
    wrapped = isinstance(error, (FileNotFoundError, FSTimeoutError)) and error.__cause__
    if isinstance(wrapped, Exception):  # fsspec says less than what it wraps
        error = wrapped
    if isinstance(error, UserError) or (isinstance(error, OSError) and error.errno in _DISK_ERRORS):
        raise error
    if isinstance(error, aiohttp.NonHttpUrlRedirectClientError):
        raise _unsafe(address, str(error.args[0])) from error
    for kind, reason, cure in _FAILURES:
        if isinstance(error, kind):
            return reason, cure
    if isinstance(error, aiohttp.ClientResponseError):
        reason = escaped(f"{error.status} {error.message}".strip())
        if error.status in _TRANSIENT_STATUSES:
            return reason, None
        return reason, _CURES.get(error.status, "correct the URL")
    return type(error).__name__, "see the address, the network, and your credentials"


class _Bar(tqdm):
    monitor_interval = 0  # no thread next to which no process would be forked


def _progress(unit: str) -> TqdmCallback:
    """A bar, where somebody watches."""
    # disable=None: quiet unless stderr is a terminal
    bar = {"unit": unit, "unit_scale": True, "disable": None, "dynamic_ncols": True}
    return TqdmCallback(tqdm_kwargs=bar, tqdm_cls=_Bar)


def _version(info: dict[str, Any]) -> str | None:
    """A digest of what a server says of a file; where it redirects to is no part of that."""
    facts = {key: value for key, value in info.items() if key not in ("name", "url", "type")}
    if not any(value for key, value in facts.items() if key not in ("mimetype", "partial")):
        return None
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
