"""One file over HTTP: what arrived stays, and a broken connection goes on from there."""

from __future__ import annotations

import json
import logging
import shutil
import time
from dataclasses import asdict
from http import HTTPStatus
from pathlib import Path

import requests
from tqdm import tqdm

from pawprint.data.sources.address import Address
from pawprint.data.sources.http import (
    BrokenError,
    Facts,
    Patience,
    answer,
    breaks_told,
    check_status,
    facts_of,
)
from pawprint.system.errors import UserError
from pawprint.system.files import write_json

log = logging.getLogger(__name__)

_PIECE = 64 * 2**10
_GAIN = 2**20  # bytes that make up for the breaks before
_BETWEEN_LOOKS = 32 * 2**20  # bytes, where nobody says how many there will be
_SPARE = 200 * 10**6  # bytes of disk that stay free then


def fetch(address: Address, part: Path, patience: Patience) -> Facts:
    """Bring the whole file to ``part``, going on from what is there of the same file.

    Args:
        address: Where the file is.
        part: The file to write; what it has and what is known of it stay on every error.
        patience: How long to try.

    Raises:
        UserError: The server refuses, has no such file, breaks off again and again or points to an
            unsafe place, or the disk has no room.
    """
    known = _read_facts(part)
    if address.sha256 is not None and known.size is not None and known.size == _length(part):
        return known
    log.info("Downloading %s to %s.", address, part.parent)
    furthest, breaks = _length(part), 0
    with requests.Session() as session:
        while True:
            try:
                with breaks_told(patience):
                    return _attempt(session, address, part, patience)
            except BrokenError as error:
                reached = _length(part)
                breaks = 1 if reached >= furthest + _GAIN else breaks + 1
                furthest = max(furthest, reached)
                if breaks >= patience.attempts:
                    raise UserError(
                        f'The download of "{address}" failed {breaks} times in a row ({error}): '
                        "see the URL and the network, and run again to go on."
                    ) from error
                pause = patience.pause * 2 ** (breaks - 1)
                log.warning("%s: %s; trying again in %.3g s.", address, error, pause)
                time.sleep(pause)


def is_unchanged(address: Address, facts: Facts, patience: Patience) -> bool:
    """Ask the server whether it still has the file of which ``facts`` are known.

    Raises:
        UserError: It does not say.
    """
    headers = {"If-None-Match": facts.etag, "If-Modified-Since": facts.last_modified}
    asked = {name: value for name, value in headers.items() if value is not None}
    try:
        with (
            breaks_told(patience),
            requests.Session() as session,
            answer(session, address, asked, patience) as response,
        ):
            if response.status_code == HTTPStatus.NOT_MODIFIED:
                return True
            check_status(response, address)
            return facts.same_file(facts_of(response))
    except BrokenError as error:
        raise UserError(f'"{address}" cannot be asked for changes ({error}).') from error


def discard(part: Path) -> None:
    """Remove a part and what is known of it."""
    part.unlink(missing_ok=True)
    _notes(part).unlink(missing_ok=True)


def _attempt(session: requests.Session, address: Address, part: Path, patience: Patience) -> Facts:
    known, start = _read_facts(part), _length(part)
    if known.validator is None and address.sha256 is None:
        start = 0  # nothing would tell that it is of the same file
    headers = {}
    if start:
        headers["Range"] = f"bytes={start}-"
        if known.validator is not None:
            headers["If-Range"] = known.validator
    with answer(session, address, headers, patience) as response:
        facts = facts_of(response)
        if start and response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            if facts.size == start and facts.etag in (None, known.etag):
                return known
            discard(part)
            raise BrokenError("the file on the server is another by now")
        check_status(response, address)
        if response.status_code == HTTPStatus.PARTIAL_CONTENT:
            if not start or not _goes_on(response, start, known):
                discard(part)
                raise BrokenError("the server sent another part than was asked for")
            facts = known.updated(facts)
        elif start and start == facts.size and known.same_file(facts):
            return known
        else:
            start = 0
            discard(part)
        _check_room(address, part, (facts.size or 0) - start)
        write_json(_notes(part), asdict(facts))
        _receive(response, part, start, facts.size, address)
    return facts


def _receive(
    response: requests.Response, part: Path, start: int, size: int | None, address: Address
) -> None:
    progress = tqdm(
        total=size, initial=start, unit="B", unit_scale=True, disable=None, dynamic_ncols=True
    )  # disable=None: quiet unless stderr is a terminal
    unlooked = 0
    with progress, part.open("ab") as file:
        # As sent: an archive that is served as "gzip-encoded" is meant to stay compressed.
        for piece in response.raw.stream(_PIECE, decode_content=False):
            file.write(piece)
            progress.update(len(piece))
            unlooked += len(piece)
            if size is None and unlooked >= _BETWEEN_LOOKS:
                unlooked = 0
                _check_room(address, part, _SPARE)
    if size is not None and _length(part) != size:
        raise BrokenError(f"{_length(part):,} of {size:,} bytes came")


def _check_room(address: Address, part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise UserError(
            f'"{address}" needs {needed / 1e9:.1f} GB, but the disk of "{part.parent}" has '
            f"{free / 1e9:.1f} GB free: free some."
        )


def _goes_on(response: requests.Response, start: int, known: Facts) -> bool:
    """Whether a partial answer is the rest of the file of which the part is."""
    if not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        return False
    facts = facts_of(response)
    pairs = ((facts.etag, known.etag), (facts.size, known.size))
    return all(new == old for new, old in pairs if new is not None and old is not None)


def _read_facts(part: Path) -> Facts:
    try:
        return Facts(**json.loads(_notes(part).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return Facts()


def _notes(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
