"""Which code decides a result: a module and what it imports, found in the code itself."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
# These say where things are and are recorded, not what comes out.
_NOT_DECIDING = ("config", "system", "tracking")
_FOR_TYPES = re.compile(r"^if TYPE_CHECKING:\n(?:[ \t]+.*\n|\n)+", re.MULTILINE)
_IMPORT = re.compile(
    r"^\s*from pawprint\.?([\w.]*) import (\([^)]*\)|.*)|^\s*import pawprint\.([\w.]+)",
    re.MULTILINE,
)


@cache
def code_of(module: str) -> tuple[Path, ...]:
    """The files of a module and of all that it imports, also within functions.

    Args:
        module: by its name in the package, as "stages.train".
    """
    found: dict[str, Path] = {}
    left = [module]
    while left:
        name = left.pop()
        path = _PACKAGE.joinpath(*name.split(".")).with_suffix(".py")
        if name in found or name.split(".")[0] in _NOT_DECIDING or not path.is_file():
            continue
        found[name] = path
        text = _FOR_TYPES.sub("", path.read_text(encoding="utf-8"))
        for parent, names, whole in _IMPORT.findall(text):
            left += [whole or parent]
            left += [f"{parent}.{word}".lstrip(".") for word in re.findall(r"\w+", names)]
    if module not in found:
        raise ModuleNotFoundError(f"there is no module pawprint.{module}")
    return tuple(sorted(found.values()))


def code_digest(*modules: str) -> str:
    """Digest of all that modules compute with: another digest is another code.

    Args:
        modules: by their names in the package.

    Returns:
        sha256 in hex.
    """
    digest = hashlib.sha256()
    for file in sorted({file for module in modules for file in code_of(module)}):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(_PACKAGE).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
