"""Arrays about pictures that are computed once and kept on disk: features, a teacher's answers."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pawprint.system.files import digest_of, replacing_file, write_json
from pawprint.system.lock import locked

log = logging.getLogger(__name__)

_PART = 2**20  # bytes read at a time
_HEADER = 128  # bytes of a .npy file before its numbers, for up to some dimensions


def cached_array(
    folder: Path,
    key: Mapping[str, str | int | float | None],
    name: str,
    compute: Callable[[], Iterable[np.ndarray]],
    what: str = "features",
) -> np.ndarray:
    """Take an array from the disk, or compute it and leave it there.

    It is in ``folder``, in a folder named by a hash of ``key``, as ``<name>.npy`` with its
    sha256 at the end; ``key.json`` beside it says in words what it is of.

    Args:
        folder: where all of them are kept.
        key: everything that it depends on but the name: of features pictures, backbone, digest of
            its weights, size, precision, code; the seed too where the weights are random.
        name: of the file, as train, validation or test.
        compute: computes it, float32 arrays (n, ...) one after the other, at least one; called
            only where it is not there or damaged.
        what: to call the rows in messages. Defaults to "features".

    Returns:
        The array float32, memory-mapped and read-only.
    """
    place = digest_of(key)
    path = folder / place / f"{name}.npy"
    found = _read(path, tell=None)
    if found is None:
        busy = f"another process computes these {what}; waiting until it has ended"
        with locked(folder / f".{place}.lock", busy=busy, patience=None):
            found = _read(path, tell=what)  # another process may have computed them
            if found is None:
                return _computed(path, key, compute, what)
    log.info("%s of %s: %d pictures, taken from %s", what, name, len(found), path)
    return found


def _computed(
    path: Path,
    key: Mapping[str, Any],
    compute: Callable[[], Iterable[np.ndarray]],
    what: str,
) -> np.ndarray:
    begin = time.perf_counter()
    try:
        with replacing_file(path) as temporary:
            _write(temporary, compute())
    except BaseException:
        with contextlib.suppress(OSError):  # another array may be there
            path.parent.rmdir()
        raise
    seconds = max(time.perf_counter() - begin, 1e-9)
    write_json(path.with_name("key.json"), dict(sorted(key.items())))
    found = np.load(path, mmap_mode="r")
    speed = f"computed in {seconds:.1f} s, {len(found) / seconds:.0f} pictures/s"
    log.info("%s of %s: %d pictures, %s", what, path.stem, len(found), speed)
    return found


def _write(path: Path, parts: Iterable[np.ndarray]) -> None:
    """Write arrays as one .npy file, of which only a part is in memory at a time."""
    count, shape = 0, ()
    with path.open("w+b") as file:
        file.write(bytes(_HEADER))
        for part in parts:
            count, shape = count + len(part), part.shape[1:]
            file.write(part.astype("<f4").tobytes())
        file.seek(0)
        head = {"descr": "<f4", "fortran_order": False, "shape": (count, *shape)}
        np.lib.format.write_array_header_1_0(file, head)
        assert file.tell() == _HEADER
        file.seek(0)
        file.write(hashlib.file_digest(file, "sha256").digest())  # at the end
        file.flush()
        os.fsync(file.fileno())  # after a power failure there are all of them or none


def _read(path: Path, *, tell: str | None) -> np.ndarray | None:
    """What is there, and whole; ``tell`` is what to call it in a warning where it is damaged."""
    try:
        found = np.lib.format.open_memmap(path, mode="r")  # np.load would take other formats too
        left, digest = found.offset + found.nbytes, hashlib.sha256()
        with path.open("rb") as file:
            while left and (part := file.read(min(left, _PART))):
                digest.update(part)
                left -= len(part)
            if file.read() != digest.digest():
                raise ValueError("its content is not what was written")
        return found
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError) as error:
        if tell:
            log.warning("%s is damaged (%s): its %s are computed anew", path, error, tell)
        return None
