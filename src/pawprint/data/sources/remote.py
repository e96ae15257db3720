"""A file or folder elsewhere, read by fsspec."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import fsspec
from fsspec.callbacks import TqdmCallback
from tqdm import tqdm

from pawprint.data.sources.address import Address, escaped
from pawprint.data.sources.web import RetryPolicy, client_options, failure_reason
from pawprint.system.errors import UserError

log = logging.getLogger(__name__)

T = TypeVar("T")

_RESERVE = 200 * 10**6  # bytes of disk that stay free where the size is not known before
_BATCH = 64  # files of a folder that are fetched at a time


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
                path = address.url
                options["client_kwargs"] = client_options(address, policy)
                fs = fsspec.filesystem("https", encoded=path.isascii(), **options)
            else:
                fs, path = fsspec.url_to_fs(address.url, **options)
        except ImportError as error:
            package = getattr(error.__cause__, "name", None) or address.scheme
            raise UserError(
                f'"{address}" takes the package {package}: install it with `pip install {package}`,'
                " or bring the pictures here with `dvc import-url`"
            ) from error
        except Exception as error:  # whatever a store's own package raises
            raise UserError(
                f'the pictures "{address}" are neither here nor where they can be read from '
                f"({type(error).__name__}): bring them here with `dvc import-url`, and set "
                "`images` to the folder or archive"
            ) from error
        yield Remote(address, policy, fs, path)


@contextmanager
def _event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop with a thread of its own, which is gone afterwards: no process forks next to one."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def end() -> None:
        """Also on Ctrl-C, when a download is still running."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await loop.shutdown_default_executor()
        # Connections that a store's package leaves open end here: no word of them.
        loop.set_exception_handler(lambda *_: None)

    try:
        yield loop
    finally:
        with suppress(TimeoutError):  # a host's name that is still looked up
            asyncio.run_coroutine_threadsafe(end(), loop).result(timeout=5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


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
        info = self._attempt(lambda: self.fs.info(self.path), attempts=1)
        if info.get("type") == "directory":
            return self._attempt(self._survey, attempts=1)[0]
        return _version(info)

    def fetch(self, target: Path) -> str | None:
        """Write the content to ``target``, a new file or folder; returns its version.

        Raises:
            UserError: it is not to be had or not safe to take, or the disk has no room for it.
            OSError: ``target`` cannot be written.
        """
        if self.address.is_http and self.address.sha256:
            info = {"type": "file"}  # nobody will compare it
        else:
            info = self._attempt(lambda: self.fs.info(self.path))
        if info.get("type") != "directory":
            self._attempt(lambda: self._fetch_file(target))
            return _version(info)
        if self.address.sha256:
            raise UserError(f'"{self.address}" is a folder: leave out #sha256=, which is of a file')
        return self._attempt(lambda: self._fetch_folder(target), attempts=1)

    def _fetch_file(self, target: Path) -> None:
        with _Progress(self.address, target.parent) as progress:
            self.fs.get_file(self.path, str(target), callback=progress)

    def _fetch_folder(self, target: Path) -> str:
        version, size = self._survey()
        files = self._files()
        target.mkdir()
        with _Progress(self.address, target.parent) as progress:
            progress.set_size(size)
            while batch := list(islice(files, _BATCH)):
                paths = [str(target / inside) for _, inside, _ in batch]
                for path in paths:
                    Path(path).parent.mkdir(parents=True, exist_ok=True)
                sources = [source for source, _, _ in batch]
                self._attempt(partial(self.fs.get, sources, paths))
                progress.relative_update(sum(info["size"] or 0 for _, _, info in batch))
        return version

    def _survey(self) -> tuple[str, int]:
        """The version of a folder, in whatever order it is listed, and its bytes."""
        version = size = 0
        for _, inside, info in self._files():
            file = f"{inside}\0{_version(info)}".encode(errors="surrogateescape")
            version ^= int.from_bytes(hashlib.sha256(file).digest())
            size += info["size"] or 0
        return f"{version:064x}", size

    def _files(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Yield each file of a folder, its path inside the folder, and what is known of it."""
        folder = self.path.rstrip("/") + "/"
        for _, _, files in self.fs.walk(self.path, detail=True, on_error="raise"):
            for info in files.values():
                path, inside = info["name"], info["name"].removeprefix(folder)
                if path.endswith("/") or path == self.path:
                    continue  # how some stores mark a folder
                if inside == path or {"", ".", ".."} & set(inside.split("/")):
                    raise UserError(
                        f'"{self.address}" holds "{escaped(path)}", which is no name for a file '
                        "here: rename it"
                    )
                yield path, inside, info
            self.fs.invalidate_cache()  # else millions of files fill the memory

    def _attempt(self, call: Callable[[], T], attempts: int | None = None) -> T:
        """Call, again and again where that may help."""
        attempts = attempts or self.policy.attempts
        attempt = 0
        while True:
            attempt += 1
            try:
                return call()
            except UserError:
                raise
            except Exception as error:  # whatever a store's own package raises
                reason = failure_reason(error, self.address, self.policy)
                if attempt == attempts:
                    times = f" {attempts} times in a row" if attempts > 1 else ""
                    raise UserError(
                        f'the download of "{self.address}" failed{times} ({reason}): see the URL '
                        "and the network, and run again"
                    ) from error
                pause = self.policy.pause * 2 ** (attempt - 1)
                log.warning("%s: %s; trying again in %.3g s.", self.address, reason, pause)
                time.sleep(pause)


class _Bar(tqdm):
    monitor_interval = 0  # no thread next to which no process would be forked


class _Progress(TqdmCallback):
    """A bar where somebody watches; stops before the disk is full."""

    def __init__(self, address: Address, folder: Path) -> None:
        self._address, self._folder = address, folder
        # disable=None: quiet unless stderr is a terminal
        bar = {"unit": "B", "unit_scale": True, "disable": None, "dynamic_ncols": True}
        super().__init__(tqdm_kwargs=bar, tqdm_cls=_Bar)

    def call(self, *args: Any, **kwargs: Any) -> None:
        needed = _RESERVE if self.size is None else self.size - self.value
        free = shutil.disk_usage(self._folder).free
        if needed > free:
            raise UserError(
                f'"{self._address}" needs {needed / 1e9:.1f} GB, but the disk of "{self._folder}" '
                f"has {free / 1e9:.1f} GB free: free some"
            )
        super().call(*args, **kwargs)


def _version(info: dict[str, Any]) -> str | None:
    """A digest of what a server says of a file; where it redirects to is no part of that."""
    facts = {key: value for key, value in info.items() if key not in ("name", "url", "type")}
    if not any(value for key, value in facts.items() if key not in ("mimetype", "partial")):
        return None
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
