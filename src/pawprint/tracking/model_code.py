"""The few modules with which an exported network answers where pawprint is not installed."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

PACKAGE = "pawprint"
LOADER = "tracking.pyfunc"
MODULES = (
    "system.errors",
    "inference.calibration",
    "data.brightness",
    "data.decode",
    "data.resize",
    "inference.predictor",
    LOADER,
)

_IMPORT = re.compile(rf"^(\s*(?:from|import) ){PACKAGE}\b", re.MULTILINE)


def write_model_code(folder: Path) -> str:
    """Write the modules into ``folder``, as a package whose name tells the code apart.

    A model so answers with the code that it was recorded with, whatever pawprint is installed, and
    in one process with models of other code: under one name, the first that is imported would
    serve all.

    Returns:
        The name of the module that loads a model, as "pawprint_0123abcd.tracking.pyfunc".
    """
    source = Path(__file__).parents[1]
    files = {Path("__init__.py")}
    for module in MODULES:
        path = Path(*module.split(".")).with_suffix(".py")
        files |= {path, path.parent / "__init__.py"}
    texts = {path: (source / path).read_text(encoding="utf-8") for path in sorted(files)}
    digest = hashlib.sha256("\0".join(texts.values()).encode()).hexdigest()[:8]
    name = f"{PACKAGE}_{digest}"
    for path, text in texts.items():
        target = folder / name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_IMPORT.sub(rf"\g<1>{name}", text), encoding="utf-8")
    return f"{name}.{LOADER}"
