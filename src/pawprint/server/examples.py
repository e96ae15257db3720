"""Some pictures of the project for a person to try."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pawprint.data.layout import files_below
from pawprint.system.errors import UserError

MOST = 8
_LOOKED_AT = 2000  # files; a folder of millions is not listed for eight
_TYPES = {  # what browsers show; SVG is none of them: it can hold a script
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".bmp": "image/bmp",
}


@dataclass(frozen=True)
class Example:
    """A picture file and its content type."""

    path: Path
    media_type: str


def find_examples(images: Path | None, most_bytes: int) -> list[Example]:
    """At most eight pictures of a folder, spread over it; none where there is no such folder.

    Args:
        images: a folder, or a picture.
        most_bytes: of a file; larger ones are passed over.
    """
    if images is None or not images.exists():
        return []
    try:
        files = sorted(islice(files_below(images), _LOOKED_AT)) if images.is_dir() else [images]
    except UserError:
        return []
    found = [
        Example(path, _TYPES[path.suffix.lower()])
        for path in map(Path, files)
        if path.suffix.lower() in _TYPES and path.is_file() and path.stat().st_size <= most_bytes
    ]
    count = min(MOST, len(found))
    return [found[place * len(found) // count] for place in range(count)]
